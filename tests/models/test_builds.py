"""Builds of the demo export: against the twin, under every policy, and what a build may not do."""

import re
import shutil
from itertools import combinations, product
from pathlib import Path
from typing import Any

import pytest
import yaml

from loader.demo import write_export
from loader.export.layout import open_export
from tests.models.comparison import (
    INCREMENTAL,
    assert_equals_twin,
    assert_rows_equal,
)
from tests.models.health_twin import HealthTwin
from tests.models.histories import (
    SPECIAL_PATTERNS,
    history,
    landed_rows,
    last_day,
    write_state,
)
from tests.models.policies import CHOICES, ON_HISTORIES, ON_THE_DEMO, WITH_RANDOM_METRICS, chosen
from tests.models.project import ROOT, Project, failed_rows, failures, with_status
from tests.models.quality_data import fill_seed, ledger_of
from tests.models.quality_twin import MARTS, QualityTwin
from tests.models.twin import Names, Twin
from tests.models.twin_inputs import ExportedRows, exported_rows, seeded_names, shipped_metrics


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


@pytest.fixture(scope="module")
def rows(export: Path) -> ExportedRows:
    """The demo's rows."""
    return exported_rows(export)


@pytest.fixture(scope="module")
def twin(rows: ExportedRows) -> Twin:
    """The twin of the demo as it is built."""
    return Twin(*rows, seeds=seeded_names(), **shipped_metrics())


def test_the_demo_raises_no_warning(built: tuple[Project, Any]) -> None:
    _, result = built
    assert len(with_status(result, "pass")) > 100
    assert with_status(result, "warn") | with_status(result, "fail") == set()


def test_the_shipped_patterns_flag_nobody_in_the_demo(demo: Project) -> None:
    for model in ("fct_decisions", "fct_conversions", "fct_exposures"):
        reasons = demo.query(f"select distinct bot_reason from {model} order by all nulls last")
        assert reasons == [("attribute",), (None,)]


@pytest.mark.parametrize("policy", ON_THE_DEMO, ids=str)
def test_every_policy_equals_the_twin(
    policy: dict[str, Any], project: Project, rows: ExportedRows, twin: Twin
) -> None:
    """No full refresh: a changed policy alone makes a build recompute everybody."""
    if policy:
        # What a policy does to the quality marts is tested in test_quality.py.
        quality = ["--exclude", "path:models/marts/quality", "int_known_differences"]
        project.build("--vars", str(policy), *quality)
        twin = Twin(*rows, seeds=seeded_names(), **(shipped_metrics() | policy))
    assert_equals_twin(project, twin, f"under {policy}", exact=False)


def test_every_two_policies_meet_in_every_combination() -> None:
    """In the builds that are compared with the twin: those of the demo and of random histories."""
    built = [chosen(policy) for policy in (*ON_THE_DEMO, *ON_HISTORIES, *WITH_RANDOM_METRICS)]
    for one, other in combinations(CHOICES, 2):
        met = {(choices[one], choices[other]) for choices in built}
        assert met == set(product(CHOICES[one], CHOICES[other])), (one, other)


def test_fetched_names_stand_where_the_seeds_say_nothing(
    project: Project, rows: ExportedRows
) -> None:
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
    named = Twin(*rows, seeds=seeds, fetched=fetched)
    for model, expected in (
        ("dim_experiments", named.experiments),
        ("dim_variations", named.variations),
    ):
        assert_rows_equal(project, model, expected, "with fetched names")


def test_the_quality_marts_equal_their_twin(
    project: Project, rows: ExportedRows, twin: Twin
) -> None:
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
    quality = QualityTwin(
        *rows, twin, ledger_of(project), [dict(zip(names, row, strict=True)) for row in numbers]
    )
    for mart in MARTS:
        assert_rows_equal(project, mart, getattr(quality, mart)(), "of the demo", exact=False)
    health = HealthTwin(quality).experiment_health()
    assert_rows_equal(project, "experiment_health", health, "of the demo", exact=False)
    assert any(row["status"] == "warn" for row in health)


def test_queries_of_the_docs_run(project: Project) -> None:
    text = (ROOT / "docs" / "reconciliation.md").read_text(encoding="utf-8")
    queries = [part.split("```")[0] for part in text.split("```sql\n")[1:]]
    assert len(queries) > 5
    for query in queries:
        project.query(query)


def test_a_mistake_in_a_seed_fails_its_test(project: Project) -> None:
    """Each row fails the test that is for it, and no other."""
    select = "test", "--select", "resource_type:seed"
    project.execute("insert into variations values ('1', '2', 'a', null), ('1', '3', 'a', 'None')")
    assert failed_rows(project.dbt(*select)) == {}
    project.execute(
        """
        insert into experiments by name select unnest(['1', '1']) as experiment_id;
        insert into experiments by name select 'a' as experiment_name;
        insert into experiments by name select 'my test' as experiment_id;
        insert into variations values
            ('2', '1', 'a', '50%'),
            ('2', '2', 'a', '50'),
            ('2', '3', 'a', 'nan'),
            ('2', '4', 'a', '1'), ('2', '4', 'b', '1');
        insert into bot_user_agents values (null, 'a'), (' ', 'a'), ('GoogleBot', 'a');
        """
    )
    failed = failed_rows(project.dbt(*select))
    assert {name.partition("__")[0]: rows for name, rows in failed.items()} == {
        "unique_experiments_experiment_id": 1,
        "not_null_experiments_experiment_id": 1,
        "is_numeric_id_experiments_experiment_id": 1,
        "holds_variations_weight": 3,
        "unique_together_variations_experiment_id": 1,
        "not_null_bot_user_agents_pattern": 1,
        "holds_bot_user_agents_pattern": 1,
        "unique_together_bot_user_agents_lower_pattern_": 1,
    }


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


def test_patterns_that_say_the_same_recompute_nobody(project: Project) -> None:
    """In another order, with other letters, beside blanks."""
    # Every row doubled by hand: a visitor that is written again would have each row once.
    project.execute("".join(f"insert into {model} from {model};" for model in INCREMENTAL))
    before = project.row_counts(INCREMENTAL)
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
    assert project.row_counts(INCREMENTAL) == before


@pytest.fixture(scope="module")
def one_load(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with the first load of a history built, to copy."""
    project = Project(tmp_path_factory.mktemp("one_load"))
    project.pull(write_state(project.folder / "export", history(5, visitors=40).states[0]))
    project.build()
    return project


@pytest.fixture(scope="module")
def twin_of_two_loads() -> Twin:
    state = history(5, visitors=40).states[1]
    return Twin(
        *landed_rows(state),
        conversions_landed_until=last_day(state, "events"),
        **shipped_metrics(),
    )


@pytest.fixture
def two_loads(tmp_path: Path, one_load: Project, twin_of_two_loads: Twin) -> tuple[Project, Twin]:
    """A project with one load built and a second one landed, and the twin of both."""
    shutil.copy(one_load.warehouse, tmp_path)
    project = Project(tmp_path)
    project.pull(write_state(tmp_path / "export", history(5, visitors=40).states[1]))
    return project, twin_of_two_loads


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


@pytest.mark.parametrize("policy", ON_HISTORIES, ids=str)
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


SHARE = "must be a number from 0 to 1"
DAYS = "must be a whole number of days, 1 or more"
BETWEEN = "must be a number between {} and 1"

WRONG_VARS: tuple[tuple[str, str, tuple[Any, ...]], ...] = (
    ("attribution", 'is "last_click", must be derived or vendor', ("last_click",)),
    ("visitor_counting", 'is "all", must be full_stack or web', ("all",)),
    ("crossovers", 'is "both", must be first or exclude', ("both",)),
    ("decision_method", 'is "peek", must be always_valid or fixed_horizon', ("peek",)),
    ("correction", 'is "sidak", must be benjamini_hochberg or holm or none', ("sidak",)),
    ("attribution_window_hours", "must be a number of hours, 0 for no limit", (-1, "soon", True)),
    ("segments", "must be a list of names", ("plan",)),
    ("segments", 'names "all", which is everyone', (None, ["all"])),
    ("segments", "must name each once", (None, None, ["plan", "Plan", "plan"])),
    ("observation_models", "must be a list of names", ("support_calls",)),
    ("observation_models", "must name each once", (None, None, ["calls", "calls"])),
    ("automatic_metrics", "must be true or false", ("maybe",)),
    ("confidence_level", BETWEEN.format(0.5), (0.5, 1, 95, "high")),
    ("power", BETWEEN.format(0.5), (0.5, 1, 95, "high")),
    ("mixing_scale", BETWEEN.format(0), (0, 1, 95, "high")),
    ("minimum_visitors", "must be a whole number", (-1, 1.5, "many", "50")),
    ("minimum_conversions", "must be a whole number", (1.5, "many")),
    ("cuped_days", "must be a whole number", (-1, True)),
    (
        "bot_events_per_minute",
        "must be a whole number of events, 0 for no limit",
        (-1, 1.5, "many", True),
    ),
    ("bot_fail_share", SHARE, ("20%",)),
    ("sample_ratio_warn_p", SHARE, (True,)),
    ("exposures_warn_share", SHARE, (1.5,)),
    ("late_warn_share", SHARE, (float("nan"),)),
    ("missing_warn_days", DAYS, (0,)),
    ("running_warn_days", DAYS, (7.5,)),
    ("sample_ratio_concentration", "must be a number from 1 to 1e9", (0,)),
    # Orders are looked at once every threshold by itself is right.
    ("crossover_warn_share", "must not be more than crossover_fail_share", (None, 0.2)),
    ("sample_ratio_fail_p", "must not be more than sample_ratio_warn_p", (None, 0.1)),
    ("attribution_fail_share", "must not be more than attribution_warn_share", (None, 1)),
)
"""Vars, what is said of them, and the wrong values, one for each build; None leaves the var be."""


@pytest.mark.parametrize("place", range(4))
def test_a_wrong_var_stops_the_build(project: Project, place: int) -> None:
    settings, expected = {}, []
    for name, complaint, values in WRONG_VARS:
        value = dict(enumerate(values)).get(place)
        if value is not None:
            settings[name] = value
            expected.append(f"{name} {complaint}")
    before = project.query("select count(*) from build_watermarks")
    result = project.dbt("run", "--vars", yaml.safe_dump(settings))
    assert not result.success
    [complaints] = re.findall("Wrong vars: (.*)", failures(result))
    assert sorted(complaints.split("; ")) == sorted(expected)
    assert project.query("select count(*) from build_watermarks") == before
