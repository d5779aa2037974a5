"""Builds of the demo export: against the twin, under every policy, and what a build may not do."""

import csv
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from loader.demo import write_export
from loader.export.layout import open_export
from loader.landing.spool import file_id
from loader.spec import TABLES
from tests.models.comparison import (
    INCREMENTAL,
    assert_equals_twin,
    assert_rows_equal,
)
from tests.models.health_twin import HealthTwin
from tests.models.histories import (
    BURST_LIMIT,
    SPECIAL_PATTERNS,
    history,
    landed_rows,
    last_day,
    write_state,
)
from tests.models.project import ROOT, Project, failures, with_status
from tests.models.quality_data import fill_seed, ledger_of
from tests.models.quality_twin import MARTS, QualityTwin
from tests.models.twin import Names, Twin

POLICIES: dict[str, tuple[Any, ...]] = {
    "attribution": ("derived", "vendor"),
    "visitor_counting": ("full_stack", "web"),
    "crossovers": ("first", "exclude"),
    "attribution_window_hours": (0, 2),
}
PAIRS = ((0, 0, 0, 0), (0, 1, 1, 1), (1, 0, 1, 1), (1, 1, 0, 1), (1, 1, 1, 0))
"""Places in `POLICIES`: every two policies meet in every combination."""


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "export"
    write_export(folder, days=10, visitors=250, events=4_000)
    return folder


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, export: Path) -> tuple[Project, Any]:
    """The demo, built with all tests, and how that ended."""
    project = Project(tmp_path_factory.mktemp("builds"))
    project.pull(export)
    result = project.dbt("build")
    assert result.success, failures(result)
    return project, result


@pytest.fixture
def demo(built: tuple[Project, Any]) -> Project:
    """The built demo, to read only."""
    return built[0]


@pytest.fixture
def project(tmp_path: Path, demo: Project) -> Project:
    """A copy of the built demo, to change."""
    (tmp_path / "warehouse.duckdb").write_bytes(demo.warehouse.read_bytes())
    return Project(tmp_path)


def exported_rows(folder: Path) -> list[list[dict[str, Any]]]:
    """The rows of an export, table by table, as the twin takes them: read by pyarrow alone."""
    export = open_export(str(folder))
    root = next(folder.rglob("type=decisions")).parent
    tables = []
    for export_type in TABLES:
        rows = []
        for export_date in export.dates(export_type):
            for file in export.day(export_type, export_date).files:
                for number, row in enumerate(pq.read_table(root / file.key).to_pylist()):
                    for name in ("timestamp", "process_timestamp"):
                        row[name] = row[name] and row[name].replace(tzinfo=None)
                    rows.append(
                        row
                        | {
                            "_export_date": export_date,
                            "_file_id": file_id(file),
                            "_file_row": number,
                        }
                    )
        tables.append(rows)
    return tables


def seeded_names() -> Names:
    """What the shipped seeds say, as the twin takes it; a blank is NULL, a weight a number."""
    tables = []
    for name in ("experiments", "variations"):
        rows = seed_rows(name)
        for row in rows:
            if row.get("weight"):
                row["weight"] = float(row["weight"])
        tables.append(rows)
    experiments, variations = tables
    return Names(
        {row["experiment_id"]: row for row in experiments},
        {(row["experiment_id"], row["variation_id"]): row for row in variations},
    )


def shipped_metrics() -> dict[str, Any]:
    """What the shipped seeds declare, as the twin takes it."""
    return {name: seed_rows(name) for name in ("metrics", "metric_events")}


def seed_rows(name: str) -> list[dict[str, Any]]:
    """The rows of a shipped seed; a blank is NULL."""
    with (ROOT / "seeds" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return [
            {column: cell or None for column, cell in row.items()} for row in csv.DictReader(file)
        ]


def test_the_demo_raises_no_warning(built: tuple[Project, Any]) -> None:
    _, result = built
    assert len(with_status(result, "pass")) > 100
    assert with_status(result, "warn") | with_status(result, "fail") == set()


def test_the_shipped_patterns_flag_nobody_in_the_demo(demo: Project) -> None:
    for model in ("fct_decisions", "fct_conversions", "fct_exposures"):
        reasons = demo.query(f"select distinct bot_reason from {model} order by all nulls last")
        assert reasons == [("attribute",), (None,)]


@pytest.mark.parametrize("places", PAIRS, ids=str)
def test_every_policy_equals_the_twin(
    places: tuple[int, ...], project: Project, export: Path
) -> None:
    """No full refresh: a changed policy alone makes a build recompute everybody."""
    settings = {
        name: values[place] for (name, values), place in zip(POLICIES.items(), places, strict=True)
    }
    if any(places):
        # What a policy does to the quality marts is tested in test_quality.py.
        quality = ["--exclude", "path:models/marts/quality", "int_known_differences"]
        project.build("--vars", str(settings), *quality)
    twin = Twin(*exported_rows(export), seeds=seeded_names(), **(shipped_metrics() | settings))
    assert_equals_twin(project, twin, f"under {settings}", exact=False)


def test_fetched_names_stand_where_the_seeds_say_nothing(project: Project, export: Path) -> None:
    # The seeds would name all of the demo: in their tables, some of it is taken back.
    project.execute(
        """
        insert into optimizely_raw.experiment_names
        select experiment_id, '7', 'fetched ' || experiment_id, 'key', 'paused', now()
        from dim_experiments
        union all select '99', '7', 'not in the data', null, 'paused', now();
        insert into optimizely_raw.variation_names
        select experiment_id, variation_id, 'fetched ' || variation_id, 0.125, false, now()
        from dim_variations;
        update experiments set experiment_name = null where experiment_id = '21000000002';
        delete from experiments where experiment_id = '21000000003';
        update variations set weight = '' where experiment_id = '21000000002';
        update variations set variation_name = 'None' where experiment_id = '21000000003';
        delete from variations where experiment_id = '21000000004';
        """
    )
    result = project.dbt("run", "--select", "dim_experiments", "dim_variations")
    assert result.success, failures(result)
    seeds = seeded_names()
    seeds.experiments["21000000002"]["experiment_name"] = None
    del seeds.experiments["21000000003"]
    for experiment_id, variation_id in list(seeds.variations):
        key = experiment_id, variation_id
        if experiment_id == "21000000002":
            seeds.variations[key]["weight"] = None
        elif experiment_id == "21000000003":
            seeds.variations[key]["variation_name"] = None
        elif experiment_id == "21000000004":
            del seeds.variations[key]
    fetched = Names(
        {
            key: {
                "experiment_name": f"fetched {key}",
                "experiment_key": "key",
                "status": "paused",
            }
            for (key,) in project.query("select experiment_id from dim_experiments")
        },
        {
            (experiment_id, key): {"variation_name": f"fetched {key}", "weight": 0.125}
            for experiment_id, key in project.query(
                "select experiment_id, variation_id from dim_variations"
            )
        },
    )
    twin = Twin(*exported_rows(export), seeds=seeds, fetched=fetched, **shipped_metrics())
    assert_equals_twin(project, twin, "with fetched names", exact=False)


def test_the_quality_marts_equal_their_twin(project: Project, export: Path) -> None:
    arms = [("21000000001", None), ("21000000001", "21000001001"), ("21000000004", "21000001009")]
    measures = [
        (None, "visitors", 100.0),
        ("purchase", "unique_conversions", 30.0),
        ("purchase", "value", 50_000.0),
    ]
    names = ("experiment_id", "variation_id", "event_key", "measure", "vendor_value")
    numbers = [(*arm, *measure) for arm in arms for measure in measures]
    fill_seed(project, numbers)
    result = project.dbt("run", "--select", "results_reconciliation")
    assert result.success, failures(result)
    decisions, conversions = exported_rows(export)
    twin = QualityTwin(
        decisions,
        conversions,
        Twin(decisions, conversions, seeds=seeded_names(), **shipped_metrics()),
        ledger_of(project),
        [dict(zip(names, row, strict=True)) for row in numbers],
    )
    for mart in MARTS:
        assert_rows_equal(project, mart, getattr(twin, mart)(), "of the demo", exact=False)
    health = HealthTwin(twin).experiment_health()
    assert_rows_equal(project, "experiment_health", health, "of the demo", exact=False)
    assert any(row["status"] == "warn" for row in health)


def test_queries_of_the_docs_run(project: Project) -> None:
    text = (ROOT / "docs" / "reconciliation.md").read_text(encoding="utf-8")
    queries = [part.split("```")[0] for part in text.split("```sql\n")[1:]]
    assert len(queries) > 5
    for query in queries:
        project.query(query)


@pytest.mark.parametrize(
    ("change", "failing"),
    [
        (
            "insert into experiments by name select unnest(['1', '1']) as experiment_id",
            "unique_experiments",
        ),
        ("insert into experiments by name select 'a' as experiment_name", "not_null_experiments"),
        (
            "insert into experiments by name select 'my test' as experiment_id",
            "is_numeric_id_experiments",
        ),
        ("insert into variations values ('1', '2', 'a', null)", ""),
        ("insert into variations values ('1', '2', 'a', 'None')", ""),
        ("insert into variations values ('1', '2', 'a', '50%')", "holds_variations_weight"),
        ("insert into variations values ('1', '2', 'a', '50')", "holds_variations_weight"),
        ("insert into variations values ('1', '2', 'a', 'nan')", "holds_variations_weight"),
        (
            "insert into variations values ('1', '2', 'a', '1'), ('1', '2', 'b', '1')",
            "unique_together_variations",
        ),
        ("insert into bot_user_agents values (null, 'a')", "not_null_bot_user_agents"),
        ("insert into bot_user_agents values (' ', 'a')", "holds_bot_user_agents_pattern"),
        ("insert into bot_user_agents values ('GoogleBot', 'a')", "unique_together_bot_user"),
    ],
)
def test_a_mistake_in_a_seed_fails_its_test(project: Project, change: str, failing: str) -> None:
    project.execute(change)
    failed = with_status(project.dbt("test", "--select", "resource_type:seed"), "fail")
    assert {name.startswith(failing) for name in failed} == ({True} if failing else set())


def test_a_registry_that_names_nothing_of_the_data_is_a_warning(project: Project) -> None:
    project.execute(
        """
        update dim_experiments set baseline_variation_id = '77' where experiment_id = '21000000001';
        update dim_experiments set primary_metric = 'sales' where experiment_id = '21000000002';
        """
    )
    result = project.dbt("test", "--select", "registry_names_what_is_there")
    assert with_status(result, "warn") == {"registry_names_what_is_there"}
    assert "Got 2 results" in failures(result)


def test_every_test_passes_on_adversarial_data(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.pull(write_state(tmp_path / "export", history(11).states[-1]))
    result = project.dbt("build")
    assert with_status(result, "fail") | with_status(result, "error") == set(), failures(result)
    # The tripwires on the vendor's columns see what is odd, and warn.
    assert len(with_status(result, "warn")) > 5


def test_a_build_without_news_writes_no_row(project: Project) -> None:
    # Every row doubled by hand: a visitor that is written again would have each row once.
    for model in INCREMENTAL:
        project.execute(f"insert into {model} select * from {model}")
    before = [project.query(f"select count(*) from {model}") for model in INCREMENTAL]
    project.build()
    assert [project.query(f"select count(*) from {model}") for model in INCREMENTAL] == before
    # Another order, other letters, blanks: still the same patterns.
    project.execute(
        """
        create table turned as
        select upper(pattern) as pattern, 'x' as description from bot_user_agents
        order by pattern desc;
        delete from bot_user_agents;
        insert into bot_user_agents from turned;
        insert into bot_user_agents values (null, null), ('', null), ('  ', null), ('None', null);
        """
    )
    result = project.dbt("run")
    assert result.success, failures(result)
    assert [project.query(f"select count(*) from {model}") for model in INCREMENTAL] == before


@pytest.fixture(scope="module")
def one_load(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with the first load of a history built, to copy."""
    project = Project(tmp_path_factory.mktemp("one_load"))
    project.pull(write_state(project.folder / "export", history(5, visitors=40).states[0]))
    project.build()
    return project


@pytest.fixture
def two_loads(tmp_path: Path, one_load: Project) -> tuple[Project, Twin]:
    """A project with one load built and a second one landed, and the twin of both."""
    shutil.copy(one_load.warehouse, tmp_path)
    project = Project(tmp_path)
    states = history(5, visitors=40).states
    project.pull(write_state(tmp_path / "export", states[1]))
    twin = Twin(
        *landed_rows(states[1]),
        conversions_landed_until=last_day(states[1], "events"),
        **shipped_metrics(),
    )
    return project, twin


@pytest.mark.parametrize(
    "built_first",
    [
        ("fct_sessions", "fct_exposures", "int_event_observations"),
        ("int_events_sessionized", "fct_decisions", "fct_conversions", "int_event_observations"),
    ],
)
def test_a_model_has_seen_no_more_than_those_it_reads(
    built_first: tuple[str, ...], two_loads: tuple[Project, Twin]
) -> None:
    """Built before some of its parents, a model must not take their news for seen."""
    project, twin = two_loads
    project.build("--select", *built_first)
    project.build()
    assert_equals_twin(project, twin, f"after {built_first} alone")


def test_a_table_with_other_columns_asks_for_a_full_refresh(
    two_loads: tuple[Project, Twin],
) -> None:
    """Rows of untouched visitors stay as they are, and so would what they lack."""
    project, _ = two_loads
    project.execute("alter table fct_sessions rename decision_count to decisions")
    before = project.query("from fct_sessions order by all")
    select = ("run", "--select", "+fct_sessions")
    result = project.dbt(*select)
    assert "run `dbt build --full-refresh --select fct_sessions`" in failures(result)
    assert with_status(result, "error") == {"fct_sessions"}
    assert project.query("from fct_sessions order by all") == before
    assert project.dbt("run", "--full-refresh", "--select", "fct_sessions").success
    assert project.dbt(*select).success


def test_a_policy_that_comes_back_is_computed_again(two_loads: tuple[Project, Twin]) -> None:
    project, twin = two_loads
    project.build("--vars", "{bot_events_per_minute: 1}")
    assert project.query("select distinct true from fct_exposures where bot_reason = 'rate'")
    project.build()
    assert_equals_twin(project, twin, "after another policy")


def test_changed_patterns_recompute_everybody(tmp_path: Path, one_load: Project) -> None:
    """No load, no full refresh: only the seed's table is another one."""
    shutil.copy(one_load.warehouse, tmp_path)
    project = Project(tmp_path)
    rows = landed_rows(history(5, visitors=40).states[0])
    for patterns in (SPECIAL_PATTERNS, ()):
        values = ", ".join("(null)" if text is None else f"('{text}')" for text in patterns)
        project.execute("delete from bot_user_agents")
        if patterns:
            project.execute(f"insert into bot_user_agents (pattern) values {values}")
        result = project.dbt("run")
        assert result.success, failures(result)
        twin = Twin(*rows, bot_user_agents=patterns, **shipped_metrics())
        assert_equals_twin(project, twin, f"with the patterns {patterns}")
        # Settings that are NULL equal none, and every build would recompute everybody.
        assert project.query("select count(*) from build_watermarks where settings is null") == [
            (0,)
        ]


@pytest.mark.parametrize(
    "policy",
    [
        {"bot_events_per_minute": BURST_LIMIT, "visitor_counting": "web"},
        {"attribution": "vendor", "attribution_window_hours": 0.5, "crossovers": "exclude"},
    ],
)
def test_policies_on_adversarial_data(policy: dict[str, Any], tmp_path: Path) -> None:
    project = Project(tmp_path)
    state = history(7, visitors=150).states[-1]
    project.pull(write_state(tmp_path / "export", state))
    project.build("--vars", str(policy))
    twin = Twin(
        *landed_rows(state),
        conversions_landed_until=last_day(state, "events"),
        **(shipped_metrics() | policy),
    )
    assert_equals_twin(project, twin, f"under {policy}")


@pytest.mark.parametrize("name", ["my-data b.c.duckdb"])
def test_the_warehouse_may_be_called_anything(project: Project, name: str) -> None:
    renamed = Project(project.folder, name)
    project.warehouse.rename(renamed.warehouse)
    before = renamed.query("select count(*) from main.fct_sessions")
    renamed.build("--select", "+fct_sessions", "resource_type:seed")
    assert renamed.query("select count(*) from main.fct_sessions") == before


def test_staging_tables_made_anew_ask_for_a_full_refresh(project: Project, export: Path) -> None:
    project.execute("drop schema optimizely_raw cascade; drop schema optimizely_ledger cascade")
    first_day = open_export(str(export)).dates("events")[0]
    project.pull(export, until=first_day)
    result = project.dbt("run")
    assert not result.success
    assert "run `dbt build --full-refresh`" in failures(result)
    project.build("--full-refresh")
    assert project.dbt("run", "--select", "stg_optimizely__decisions").success


def test_nothing_landed_says_what_to_do(tmp_path: Path) -> None:
    result = Project(tmp_path).dbt("run")
    assert not result.success
    assert "run `loader pull` first" in failures(result)


def test_a_seed_that_was_never_loaded_says_what_to_do(project: Project) -> None:
    project.execute("drop table bot_user_agents cascade; drop table variations cascade")
    for command in (("run",), ("build", "--resource-type=model")):
        result = project.dbt(*command)
        assert not result.success
        assert "seed bot_user_agents, variations. Run `dbt seed` first" in failures(result)
    for remedy in (("seed",), ("run", "--select", "stg_registry__bot_user_agents")):
        result = project.dbt(*remedy)
        assert result.success, failures(result)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        *(
            (f"{{bot_events_per_minute: {wrong}}}", "bot_events_per_minute must be a whole number")
            for wrong in ("-1", "1.5", "many", "true")
        ),
        *(
            (f"{{{name}: {wrong}}}", f"{name} must be a number between {lowest} and 1")
            for name, lowest in (("confidence_level", 0.5), ("power", 0.5), ("mixing_scale", 0))
            for wrong in (lowest, 1, 95, "high")
        ),
        ("{decision_method: peek}", 'decision_method is "peek", must be always_valid or fixed_'),
        ("{correction: sidak}", 'correction is "sidak", must be benjamini_hochberg or holm or '),
        ("{minimum_visitors: -1}", "minimum_visitors must be a whole number"),
        ("{minimum_conversions: 1.5}", "minimum_conversions must be a whole number"),
        ("{attribution: last_click}", 'attribution is "last_click", must be derived or vendor'),
        ("{crossovers: both}", 'crossovers is "both", must be first or exclude'),
        ("{visitor_counting: all}", 'visitor_counting is "all", must be full_stack or web'),
        ("{attribution_window_hours: -1}", "attribution_window_hours must be a number of hours"),
        ("{segments: plan}", "segments must be a list of names"),
        ("{segments: [all]}", 'segments names "all", which is everyone'),
        ("{automatic_metrics: maybe}", "automatic_metrics must be true or false"),
        ("{attribution_window_hours: soon}", "attribution_window_hours must be a number of hours"),
        ("{bot_fail_share: 20%}", "bot_fail_share must be a number from 0 to 1"),
        ("{sample_ratio_warn_p: true}", "sample_ratio_warn_p must be a number from 0 to 1"),
        ("{exposures_warn_share: 1.5}", "exposures_warn_share must be a number from 0 to 1"),
        ("{late_warn_share: .nan}", "late_warn_share must be a number from 0 to 1"),
        ("{missing_warn_days: 0}", "missing_warn_days must be a whole number of days, 1 or more"),
        ("{running_warn_days: 7.5}", "running_warn_days must be a whole number of days"),
        ("{sample_ratio_concentration: 0}", "sample_ratio_concentration must be a number from 1"),
        (
            "{crossover_warn_share: 0.2}",
            "crossover_warn_share must not be more than crossover_fail",
        ),
        (
            "{sample_ratio_fail_p: 0.1}",
            "sample_ratio_fail_p must not be more than sample_ratio_warn",
        ),
        (
            "{attribution_fail_share: 1}",
            "attribution_fail_share must not be more than attribution_",
        ),
    ],
)
def test_a_wrong_var_stops_the_build(project: Project, settings: str, message: str) -> None:
    before = project.query("select count(*) from build_watermarks")
    result = project.dbt("run", "--vars", settings)
    assert not result.success
    assert message in failures(result)
    assert project.query("select count(*) from build_watermarks") == before
