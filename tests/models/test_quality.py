"""The quality marts on adversarial exports: against the twin, row for row."""

import random
from copy import deepcopy
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from loader.export.layout import open_export
from loader.plan import Window
from loader.prune import prune
from loader.pull import run_pull
from loader.spec import TABLES
from tests.models.comparison import assert_rows_equal
from tests.models.health_twin import HealthTwin
from tests.models.histories import State, history, landed_rows, write_state
from tests.models.project import Project, failures, with_status
from tests.models.quality_data import fill_seed, ledger_of, vendor_results
from tests.models.quality_twin import MARTS, QualityTwin
from tests.models.twin import Names, Twin

NOT_PARQUET = b"PAR1 is not enough"


@dataclass(frozen=True)
class Case:
    """A built warehouse and the twin of what is landed in it."""

    project: Project
    twin: QualityTwin
    policy: dict[str, Any]
    health: HealthTwin


def with_few_sessions(rng: random.Random, state: State) -> State:
    """The state with vendor's sessions that are in part ours: of two ids, by halves of days.

    The history's own ids never occur twice.
    """
    state = deepcopy(state)
    for files in state.values():
        for _, rows in files:
            for row in rows:
                happened = row.get("timestamp")
                usual = f"-{happened.day * 2 + happened.hour // 12}" if happened else "1"
                row["session_id"] = rng.choices((usual, "7", None, ""), weights=(90, 1, 2, 2))[0]
    return state


def spoil(root: Path, unit: tuple[str, date]) -> None:
    """Adds a file to a day that is no Parquet file."""
    folder = root / f"type={unit[0]}" / f"date={unit[1]}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "_SUCCESS").write_bytes(b"")
    (folder / "part-spoiled.c000.snappy.parquet").write_bytes(NOT_PARQUET)


one_case = pytest.mark.parametrize("case", ["as shipped"], indirect=True)

WEIGHTS = {
    ("9300000077", "18112613000"): 0.3,
    ("9300000077", "18174970251"): 0.3,
    ("9300000077", "9900000001"): 0.2,
    # Nobody ever saw it.
    ("9300000077", "9900000009"): 0.2,
    # One with visitors has weight 0.
    ("18142600572", "18130191769"): 0.5,
    ("18142600572", "18159011346"): 0.5,
    ("18142600572", "9900000002"): 0.0,
    # One of three is not known.
    ("18156943409", "9900000003"): 0.1,
    ("18156943409", "9900000004"): 0.1,
    ("1", "11"): 1.0,
}
"""Planned shares, as `loader names` fetches them."""

CASES: dict[str, dict[str, Any]] = {
    "as shipped": {},
    "other policies": {
        "attribution": "vendor",
        "visitor_counting": "web",
        "crossovers": "exclude",
        "attribution_window_hours": 0.5,
    },
}

THRESHOLDS: dict[str, dict[str, float]] = {
    "as shipped": {},
    "other policies": {
        "sample_ratio_concentration": 12.5,
        "sample_ratio_warn_p": 0.4,
        "sample_ratio_fail_p": 0.0004,
        "crossover_warn_share": 0.5,
        "crossover_fail_share": 0.9,
        "bot_warn_share": 0.1,
        "bot_fail_share": 0.14,
        "late_warn_share": 0.12,
        "late_fail_share": 0.175,
        "missing_warn_days": 2,
        "missing_fail_days": 2,
        "running_warn_days": 2,
        "exposures_warn_share": 0.9,
        "attribution_warn_share": 0.1,
        "attribution_fail_share": 0.08,
    },
}
"""Vars of the health checks."""


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    return build_case(
        tmp_path_factory.mktemp("quality"),
        request.param,
        CASES[request.param],
        THRESHOLDS[request.param],
    )


def build_case(
    folder: Path, seed: str, policy: dict[str, Any], thresholds: dict[str, float]
) -> Case:
    """Days rewritten, missing, empty, in part, unreadable, pruned; and a results page."""
    rng = random.Random(seed)
    project = Project(folder)
    states = [
        with_few_sessions(rng, state)
        for state in history(rng.randrange(1000), visitors=120, loads=4).states
    ]
    first, last = states[1], states[-1]
    days = sorted({day for _, day in last})
    for state in (first, last):
        state.pop(("decisions", days[3]), None)
        state["events", days[2]] = []
    project.pull(write_state(folder / "export", first))
    root = write_state(folder / "export", last)
    # The newest day of one type is there in part, one day after it cannot be read at all.
    in_part = ("events", days[-1])
    spoil(root, in_part)
    export = open_export(str(root))
    window = Window(since=date.min, until=None)
    run_pull(export, project.warehouse, list(TABLES), window, skip_bad_files=True)
    spoil(root, ("decisions", days[-1] + timedelta(days=2)))
    project.pull(root)
    first_kept = days[1]
    prune(project.warehouse, first_kept)

    kept = {unit: files for unit, files in last.items() if unit[1] >= first_kept}
    decisions, conversions = landed_rows(kept)
    fetched = Names(variations={key: {"weight": weight} for key, weight in WEIGHTS.items()})
    for (experiment_id, variation_id), weight in WEIGHTS.items():
        project.execute(
            f"""
            insert into optimizely_raw.variation_names
            values ('{experiment_id}', '{variation_id}', null, {weight}, false, now())
            """
        )
    twin = Twin(decisions, conversions, fetched=fetched, **policy)
    results = vendor_results(rng, twin, 100)
    fill_seed(project, [list(row.values()) for row in results])
    project.build("--exclude", "vendor_results", "--vars", str(policy | thresholds))
    quality = QualityTwin(decisions, conversions, twin, ledger_of(project), results)
    return Case(project, quality, policy, HealthTwin(quality, thresholds))


@pytest.mark.parametrize("mart", MARTS)
def test_a_mart_equals_the_twin(case: Case, mart: str) -> None:
    assert_rows_equal(case.project, mart, getattr(case.twin, mart)())


def test_health_equals_the_twin(case: Case) -> None:
    health = case.health.experiment_health()
    assert_rows_equal(case.project, "experiment_health", health, exact=False)
    days = case.health.sample_ratio_days()
    assert_rows_equal(case.project, "int_sample_ratio_days", days, exact=False)


def test_the_history_is_adversarial(case: Case) -> None:
    """Everything that a mart can say, it says here."""
    days = case.twin.export_days()
    for column in ("is_missing", "is_pruned", "is_latest_complete"):
        assert any(row[column] for row in days), column
    assert any(row["row_count"] == 0 for row in days)
    assert any(row["is_landed"] and not row["is_complete"] for row in days)
    assert any(row["quarantined_file_count"] and not row["is_landed"] for row in days)
    assert any(row["landing_count"] > 1 for row in days)
    duplicates = case.twin.duplicate_events()
    for table in ("decisions", "conversions"):
        for column in ("is_across_days", "has_differences"):
            found = {row[column] for row in duplicates if row["table_name"] == table}
            assert found == {True, False}, (table, column)
    agreements = {row["agreement"] for row in case.twin.attribution_audit()}
    assert agreements >= {
        "agree",
        "other_variation",
        "missing",
        "not_filled",
        "no_decision_seen",
        "before_exposure",
    }
    if case.twin.twin.attribution_window_hours:
        assert "extra" in agreements
    assert {row["agreement"] for row in case.twin.session_audit()} == {
        "agree",
        "split",
        "joined",
        "split_and_joined",
        "not_filled",
    }
    reconciled = case.twin.results_reconciliation()
    assert {row["is_within_threshold"] for row in reconciled} == {True, False, None}
    health = {(row["check_name"], row["status"]) for row in case.health.experiment_health()}
    assert len(health) > 14, health
    assert len({row["reasons"] for row in reconciled}) > 20


def test_every_way_to_count_is_that_of_its_policy(case: Case) -> None:
    """Each way without bots gives what the twin of the other marts gives under those vars."""
    window = case.twin.twin.attribution_window_hours
    found = case.project.query(
        """
        select visitor_counting, crossovers, attribution, experiment_id, variation_id, measure,
            event_key, our_value
        from results_reconciliation
        where bots = 'excluded' and our_value is not null and variation_id is not null
        """
    )
    compared = 0
    for policy in sorted({row[:3] for row in found}):
        names = ("visitor_counting", "crossovers", "attribution")
        twin = Twin(
            case.twin.decisions,
            case.twin.conversions,
            attribution_window_hours=window,
            **dict(zip(names, policy, strict=True)),
        )
        summary = {
            (row["experiment_id"], row["variation_id"], row["metric_name"]): row
            for row in twin.summary
        }
        visitors = {key[:2]: row["visitors"] for key, row in summary.items()}
        for *mode, experiment_id, variation_id, measure, event_key, our_value in found:
            if tuple(mode) != policy:
                continue
            if measure == "visitors":
                wanted = visitors.get((experiment_id, variation_id), 0)
            else:
                what = measure.removesuffix("_cents").replace("_", " ")
                row = summary.get((experiment_id, variation_id, f"{event_key}: {what}"))
                wanted = row["value_sum"] if row else 0
            assert our_value == wanted, (policy, experiment_id, variation_id, measure, event_key)
            compared += our_value != 0
    assert compared > 100


def test_the_configured_way_is_that_of_the_results(case: Case) -> None:
    columns = "experiment_id, variation_id, event_key, measure"
    assert case.project.query("select count(*) from results_reconciliation") == [
        (16 * len(case.twin.vendor_results),)
    ]
    assert case.project.query(
        f"select count(*) from results_reconciliation where is_configured group by {columns}"
    ) == [(1,)] * len(case.twin.vendor_results)
    [(compared, different)] = case.project.query(
        """
        select count(*), count(*) filter (where our_value <> numerator)
        from results_reconciliation
        inner join experiment_results using (experiment_id, variation_id)
        where is_configured and metric_name = event_key || ': ' || case measure
            when 'revenue_cents' then 'revenue' else replace(measure, '_', ' ')
        end
        """
    )
    assert compared > 10 and different == 0
    result = case.project.dbt("test", "--select", "path:tests/quality", "--vars", str(case.policy))
    assert result.success, failures(result)
    assert "reconciliation_is_the_summary" in with_status(result, "pass")


@one_case
def test_the_tests_on_the_marts_can_fail(case: Case, tmp_path: Path) -> None:
    broken = Project(tmp_path)
    broken.warehouse.write_bytes(case.project.warehouse.read_bytes())
    broken.execute(
        """
        update results_reconciliation set our_value = our_value + 1 where is_configured;
        delete from session_audit where agreement = 'split';
        update export_days set row_count = row_count + 1 where is_latest_complete;
        """
    )
    result = broken.dbt("test", "--select", "path:tests/quality")
    assert with_status(result, "fail") == {
        "reconciliation_is_the_summary",
        "audits_are_complete",
        "rows_as_in_the_ledger",
    }


@one_case
def test_mistakes_in_the_seed_have_names(case: Case, tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.warehouse.write_bytes(case.project.warehouse.read_bytes())
    project.execute("delete from vendor_results")
    right = ["1", "11", "buy", "value", "1"]
    fill_seed(project, [right])
    assert with_status(project.dbt("test", "--select", "vendor_results"), "fail") == set()
    mistakes: dict[str, list[Any]] = {
        "experiment_id_is_given": [None, "11", "buy", "value", "1"],
        "experiment_id_is_numeric": ["my test", "11", "buy", "value", "1"],
        "variation_id_is_numeric": ["1", "B", "buy", "value", "1"],
        "event_key_is_blank_for_visitors_only": ["1", "12", "buy", "visitors", "1"],
        "measure_is_given": ["1", "13", "buy", None, "1"],
        "measure_is_known": ["1", "14", "buy", "conversions", "1"],
        "vendor_value_is_a_number": ["1", "15", "buy", "value", "5,232"],
        "has_each_number_once": right,
    }
    for row in mistakes.values():
        fill_seed(project, [row])
    result = project.dbt("test", "--select", "vendor_results")
    assert with_status(result, "fail") == {f"vendor_results_{name}" for name in mistakes}
