"""The checks of `experiment_health` on planted days: what they detect, when, and how often falsely.

The models' SQL runs on tables made by hand: a planted history needs more visitors than an export
of a test could hold. On exports, test_quality.py compares the mart with its twin.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import duckdb
import numpy as np
import pytest

from tests.models.health_twin import THRESHOLDS, SampleRatio
from tests.models.project import Project, compiled_code, failures

FIRST = date(2024, 2, 20)

Days = Mapping[date, Mapping[str, int]]
"""Date → variation → visitors first exposed on it."""

TABLES = {
    "int_exposure_days": "experiment_id varchar, variation_id varchar, exposure_date date, "
    "new_visitors bigint",
    "dim_experiments": "experiment_id varchar, visitor_count bigint, holdback_count bigint, "
    "crossover_count bigint, bot_count bigint, first_seen_at timestamp, last_seen_at timestamp",
    "stg_registry__variations": "experiment_id varchar, variation_id varchar, weight double",
    "stg_optimizely__variation_names": "experiment_id varchar, variation_id varchar, weight double",
    "fct_decisions": "experiment_id varchar, occurred_at timestamp, export_date date",
    "export_days": "export_type varchar, export_date date, is_landed boolean, "
    "is_complete boolean, is_missing boolean",
    "attribution_audit": "experiment_id varchar, agreement varchar, conversion_count bigint",
}
"""What the models read, as far as they read it."""
MODELS = (
    "int_variation_weights",
    "int_sample_ratio_days",
    "int_health_figures",
    "experiment_health",
)


@dataclass(frozen=True)
class Bench:
    """A database with the tables that the models read, and the models' SQL."""

    connection: duckdb.DuckDBPyConnection
    queries: Mapping[str, str]

    def plant(self, experiment_id: str, days: Days, weights: Mapping[str, float]) -> None:
        """Adds an experiment."""
        self.connection.execute(
            "insert into dim_experiments values (?, 0, 0, 0, 0, null, null)", [experiment_id]
        )
        self.fill(
            "int_exposure_days",
            [
                (experiment_id, variation_id, day, visitors)
                for day, counts in days.items()
                for variation_id, visitors in counts.items()
                if visitors
            ],
        )
        self.fill(
            "stg_registry__variations",
            [(experiment_id, variation_id, weight) for variation_id, weight in weights.items()],
        )

    def fill(self, table: str, rows: list[tuple[Any, ...]]) -> None:
        """Adds rows to a table."""
        if rows:
            places = ", ".join("?" for _ in rows[0])
            self.connection.executemany(f"insert into {table} values ({places})", rows)

    def build(self, *models: str) -> None:
        """Builds the models, in this order."""
        for model in models or MODELS:
            self.connection.execute(f"create table {model} as {self.queries[model]}")

    def rows(self, query: str) -> list[dict[str, Any]]:
        """Rows of a query."""
        found = self.connection.execute(query)
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


@pytest.fixture(scope="module")
def queries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    project = Project(tmp_path_factory.mktemp("health"))
    result = project.dbt("compile", "--select", *MODELS, "--exclude", "resource_type:test")
    assert result.success, failures(result)
    return compiled_code(result)


@pytest.fixture
def bench(queries: dict[str, str]) -> Iterator[Bench]:
    with duckdb.connect() as connection:
        connection.execute("attach ':memory:' as warehouse; use warehouse")
        for table, columns in TABLES.items():
            connection.execute(f"create table {table} ({columns})")
        yield Bench(connection, queries)


def days_of(*counts: Mapping[str, int]) -> dict[date, Mapping[str, int]]:
    """Counts of one day after the other."""
    return {FIRST + timedelta(days=number): day for number, day in enumerate(counts)}


TWENTY = {f"{number}": 1 / 20 for number in range(100, 120)}

PLANTED: dict[str, tuple[Days, Mapping[str, float]]] = {
    "equal counts": (days_of({"1": 500, "2": 500}, {"1": 7, "2": 7}), {"1": 0.5, "2": 0.5}),
    "one too many": (days_of({"1": 501, "2": 500}), {"1": 0.5, "2": 0.5}),
    "one arm": (days_of({"1": 500}, {"1": 3}), {"1": 1.0}),
    "one arm of two": (days_of({"1": 500}, {"1": 300}), {"1": 0.5, "2": 0.5}),
    "a planned arm without visitors": (
        days_of({"1": 40, "2": 45}, {"1": 140, "2": 150}),
        {"1": 0.45, "2": 0.45, "3": 0.1},
    ),
    "a tiny planned arm": (
        days_of({"1": 4000, "2": 4100}, {"3": 2}, {"1": 50, "2": 1}),
        {"1": 0.49995, "2": 0.49995, "3": 0.0001},
    ),
    "weight 0 from the third day": (
        # The second day is off without them, but less than could be detected.
        days_of({"1": 500, "2": 500}, {"1": 510, "2": 450}, {"1": 500, "2": 500, "3": 1}, {"1": 9}),
        {"1": 0.5, "2": 0.5, "3": 0.0},
    ),
    "weight 0 and one other": (days_of({"1": 5, "2": 5}), {"1": 1.0, "2": 0.0}),
    "only weight 0": (days_of({"3": 5}, {"3": 6}), {"1": 0.5, "2": 0.5, "3": 0.0}),
    "all weights 0": (days_of({"1": 5, "2": 9}), {"1": 0.0, "2": 0.0}),
    "a weight is not known": (days_of({"1": 50, "2": 9}, {"3": 20}), {"1": 0.5, "2": 0.2}),
    "no weights": (days_of({"1": 50, "2": 9}, {"10": 20}, {"1": 50, "2": 70}), {}),
    "weights that are no shares": (days_of({"1": 300, "2": 105}), {"1": 0.3, "2": 0.1}),
    "nobody": ({}, {"1": 0.5, "2": 0.5}),
    "nobody, nothing planned": ({}, {}),
    "twenty arms": (
        days_of({arm: 200 + int(arm) % 7 for arm in TWENTY}, {arm: int(arm) % 5 for arm in TWENTY}),
        TWENTY,
    ),
    "a gap, and a deviation after it": (
        {
            FIRST: {"1": 5000, "2": 5010},
            FIRST + timedelta(days=4): {"1": 5000, "2": 5900},
            FIRST + timedelta(days=5): {"1": 5000, "2": 6900},
        },
        {"1": 0.5, "2": 0.5},
    ),
    "off from the start": (
        days_of({"1": 5000, "2": 5300}, {"1": 5000, "2": 5400}, {"1": 5000, "2": 4000}),
        {"1": 0.5, "2": 0.5},
    ),
}

HUGE: dict[str, tuple[Days, Mapping[str, float]]] = {
    "huge and equal": (days_of({"1": 10**9, "2": 10**9}), {"1": 0.5, "2": 0.5}),
    "huge and as chance has it": (
        days_of({"1": 10**9, "2": 10**9 + 50_000}, {"1": 10**9, "2": 10**9}),
        {"1": 0.5, "2": 0.5},
    ),
    "huge and off": (days_of({"1": 10**9, "2": 10**9 + 10**7}), {"1": 0.5, "2": 0.5}),
}


def test_edge_cases_equal_the_twin(bench: Bench) -> None:
    for name, (days, weights) in (PLANTED | HUGE).items():
        bench.plant(name, days, weights)
    bench.build()
    for name, (days, weights) in (PLANTED | HUGE).items():
        # The twin's log-gammas are good for 16 digits of billions.
        within = 2e-5 if name in HUGE else 1e-9
        twin = SampleRatio(days, weights, THRESHOLDS["sample_ratio_concentration"])
        found = bench.rows(
            f"from int_sample_ratio_days where experiment_id = '{name}' order by exposure_date"
        )
        assert len(found) == len(twin.looks), name
        for row, look in zip(found, twin.looks, strict=True):
            assert (row["exposure_date"], row["new_visitors"], row["visitors"]) == (
                look.day,
                look.new_visitors,
                look.visitors,
            )
            assert row["unplanned_visitors"] == look.unplanned_visitors, name
            for column in ("chi_square", "log_bayes_factor"):
                wanted = getattr(look, column)
                assert row[column] == (
                    None if wanted is None else pytest.approx(wanted, rel=1e-9, abs=within)
                ), (name, look.day)
            assert row["p_value_always_valid"] == pytest.approx(
                look.p_value, rel=1e-9, abs=within
            ), name

        checks = {
            row["check_name"]: row
            for row in bench.rows(f"from experiment_health where experiment_id = '{name}'")
        }
        assert len(checks) == 9, name
        fixed, sequential = checks["sample_ratio"], checks["sample_ratio_sequential"]
        if not twin.has_ratio:
            for check in (fixed, sequential):
                assert {check[column] for column in ("observed", "expected", "p_value")} == {None}
                assert (check["status"], check["worst_variation_id"]) == ("pass", None), name
            continue
        assert fixed["p_value"] == pytest.approx(twin.p_value, rel=1e-9), name
        assert sequential["p_value"] == pytest.approx(
            twin.looks[-1].p_value, rel=1e-9, abs=within
        ), name
        began_on, detected_on = twin.detection(THRESHOLDS["sample_ratio_warn_p"])
        assert (sequential["began_on"], sequential["detected_on"]) == (began_on, detected_on), name
        for check in (fixed, sequential):
            assert check["worst_variation_id"] == twin.worst, name
            assert check["observed"] == pytest.approx(twin.observed(twin.worst), rel=1e-12)
            assert check["expected"] == pytest.approx(twin.shares[twin.worst], rel=1e-12)
            assert check["status"] == status_of(check["p_value"]), name


def status_of(p_value: float) -> str:
    """By the shipped thresholds."""
    if p_value <= THRESHOLDS["sample_ratio_fail_p"]:
        return "fail"
    return "warn" if p_value <= THRESHOLDS["sample_ratio_warn_p"] else "pass"


def test_one_visitor_is_no_evidence(bench: Bench) -> None:
    """The Bayes factor is 1 then, which shows how exact it is: nothing hides a rounded digit."""
    bench.plant("1", days_of({"1": 1}), {"1": 0.5, "2": 0.5})
    bench.plant("2", days_of({"1": 1}), {"1": 0.3, "2": 0.3, "3": 0.4})
    bench.build("int_variation_weights", "int_sample_ratio_days")
    for row in bench.rows("from int_sample_ratio_days"):
        assert row["log_bayes_factor"] == pytest.approx(0, abs=1e-14)


def test_the_day_a_deviation_begins(bench: Bench) -> None:
    by_name = {name: PLANTED[name] for name in PLANTED if "from the" in name or "a gap" in name}
    for name, (days, weights) in by_name.items():
        bench.plant(name, days, weights)
    bench.build()
    found = {
        row["experiment_id"]: ((row["began_on"] - FIRST).days, (row["detected_on"] - FIRST).days)
        for row in bench.rows("from experiment_health where detected_on is not null")
    }
    assert found == {
        "weight 0 from the third day": (2, 2),
        # No date of the gap: nobody was exposed on them.
        "a gap, and a deviation after it": (4, 4),
        "off from the start": (0, 1),
    }


@pytest.mark.parametrize(
    ("visitors", "unlanded", "in_part", "end"),
    [
        ((50, 40, 30), (), (), "and some on every day whose decisions are landed."),
        ((50, 0, 30), (), (), "but nobody on 1 day whose decisions are landed, first 2024-02-21."),
        ((50, 0, 30), (1,), (), "and some on every day whose decisions are landed."),
        ((90, 50, 1), (), (), "but only 1 on the last full day, 2024-02-22."),
        # A day that is landed in part is not full, but nobody on it is nobody.
        ((90, 50, 1), (), (2,), "and some on every day whose decisions are landed."),
        ((90, 1, 1), (), (2,), "but only 1 on the last full day, 2024-02-21."),
        (
            (90, 0, 30),
            (),
            (1,),
            "but nobody on 1 day whose decisions are landed, first 2024-02-21.",
        ),
    ],
    ids=str,
)
def test_days_without_exposures(
    visitors: tuple[int, ...],
    unlanded: tuple[int, ...],
    in_part: tuple[int, ...],
    end: str,
    bench: Bench,
) -> None:
    bench.plant("1", days_of(*({"1": count} if count else {} for count in visitors)), {})
    # Days around the run, and of conversions, say nothing.
    bench.fill(
        "export_days",
        [
            (
                export_type,
                FIRST + timedelta(days=number),
                number not in unlanded,
                number not in (*unlanded, *in_part) or export_type == "events",
                False,
            )
            for export_type in ("decisions", "events")
            for number in range(-1, 5)
        ],
    )
    bench.build()
    [check] = bench.rows("from experiment_health where check_name = 'exposures_per_day'")
    mean = sum(visitors) / 3
    assert check["message"] == f"{mean:.1f} visitors a day were exposed on average, {end}"
    assert check["observed"] == pytest.approx(mean)
    assert check["status"] == ("warn" if end.startswith("but") else "pass")


def test_a_planted_deviation_is_found_near_its_day(bench: Bench) -> None:
    """From the eighth of twenty days on, one in ten visitors of the second variation is lost."""
    random = np.random.default_rng(1)
    for number in range(40):
        days: dict[date, dict[str, int]] = {}
        for day in range(20):
            first, second = random.multinomial(3_000, [0.5, 0.5]).tolist()
            lost = int(random.binomial(second, 0.1)) if day >= 7 else 0
            days[FIRST + timedelta(days=day)] = {"1": first, "2": second - lost}
        bench.plant(str(number), days, {})
    bench.build()
    checks = bench.rows("from experiment_health where check_name = 'sample_ratio_sequential'")
    assert {check["status"] for check in checks} == {"fail"}
    off_by = [abs((check["began_on"] - FIRST).days - 7) for check in checks]
    assert sum(days <= 2 for days in off_by) >= 36, off_by
    assert np.mean(off_by) < 1.5, off_by
    assert all(check["detected_on"] >= FIRST + timedelta(days=7) for check in checks)
    [fixed] = bench.rows(
        "select distinct status, worst_variation_id from experiment_health "
        "where check_name = 'sample_ratio'"
    )
    assert fixed == {"status": "fail", "worst_variation_id": "1"}


@pytest.mark.parametrize(("arms", "concentration"), [(2, 10_000), (4, 20_000)])
def test_fair_splits_raise_no_more_alarms_than_allowed(
    arms: int, concentration: int, bench: Bench
) -> None:
    """Fourteen looks at each of two thousand fair experiments."""
    experiments, looks, level = 2_000, 14, 0.05
    counts = np.random.default_rng(2).multinomial(
        1_000, [1 / arms] * arms, size=(experiments, looks)
    )
    experiment, look, arm = (grid.ravel() for grid in np.indices(counts.shape))
    visitors = counts.ravel()
    bench.connection.execute(
        """
        insert into int_exposure_days
        select cast(experiment as varchar), cast(arm as varchar), ? + cast(look as int), visitors
        from (
            select unnest(?) as experiment, unnest(?) as look, unnest(?) as arm,
                unnest(?) as visitors
        )
        """,
        [FIRST, *(grid.tolist() for grid in (experiment, look, arm, visitors))],
    )
    shipped = f"cast({THRESHOLDS['sample_ratio_concentration']} as double)"
    query = bench.queries["int_sample_ratio_days"]
    assert shipped in query
    query = query.replace(shipped, f"cast({concentration} as double)")
    bench = Bench(bench.connection, {**bench.queries, "int_sample_ratio_days": query})
    bench.connection.execute(
        """
        insert into dim_experiments (experiment_id)
        select distinct experiment_id from int_exposure_days
        """
    )
    bench.build("int_variation_weights", "int_sample_ratio_days")
    [(sequential, fixed)] = bench.connection.execute(
        """
        select count(*) filter (where p <= ?), count(*) filter (where chi_square >= ?)
        from (
            select min(p_value_always_valid) as p, max(chi_square) as chi_square
            from int_sample_ratio_days group by experiment_id
        )
        """,
        [level, 3.841 if arms == 2 else 7.815],
    ).fetchall()
    assert sequential <= level * experiments
    # The fixed test, looked at every day, cries wolf several times as often.
    assert fixed > 3 * level * experiments
    # Of a fair split the Bayes factor is 1 on average: there are as many visitors here as its
    # variance allows.
    [(mean,)] = bench.connection.execute(
        "select avg(exp(log_bayes_factor)) from int_sample_ratio_days where exposure_date = ?",
        [FIRST + timedelta(days=4)],
    ).fetchall()
    assert mean == pytest.approx(1, abs=0.04)
