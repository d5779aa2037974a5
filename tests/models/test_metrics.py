"""Declared metrics: against the twin under every policy, their mistakes, what a change costs."""

import json
import re
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pytest

from loader.landing.warehouse import open_warehouse
from tests.models.comparison import assert_equals_twin
from tests.models.declarations import LONG_FUNNEL, Row, declarations
from tests.models.histories import landed_rows, last_day, side_by_side, write_state
from tests.models.policies import WITH_RANDOM_METRICS, chosen
from tests.models.project import Project, declare, failures, parsed_project, with_status
from tests.models.twin import Twin

QUALITY = "path:tests/quality"


@pytest.mark.parametrize("policy", WITH_RANDOM_METRICS, ids=str)
def test_metrics_equal_the_twin(
    policy: dict[str, Any], tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """Two histories and forty metrics in each build: thousands of cases of every type."""
    random = Random(f"{pytestconfig.getoption('--law-seed')} {policy}")
    seeds = [random.randrange(2**32) for _ in range(2)]
    state = side_by_side(seeds, loads=2)[-1]
    project = Project(tmp_path)
    project.pull(write_state(tmp_path / "export", state))
    metrics, metric_events = declarations(random, 40)
    project.declare(metrics, metric_events)
    project.build("--vars", json.dumps(policy), declared=True)
    twin = Twin(
        *landed_rows(state),
        metrics=metrics,
        metric_events=metric_events,
        conversions_landed_until=last_day(state, "events"),
        **policy,
    )
    assert_equals_twin(
        project, twin, f"under {policy}, --law-seed {pytestconfig.getoption('--law-seed')}"
    )
    # Where the policies are the shipped ones, every test that asks data passes on data like this.
    is_shipped = chosen(policy) == chosen({})
    tests = ("--exclude", "resource_type:unit_test") if is_shipped else ("--select", QUALITY)
    result = project.dbt("test", *tests, "--vars", json.dumps(policy))
    assert with_status(result, "fail") | with_status(result, "error") == set(), failures(result)
    # The tripwires on the vendor's columns see what is odd, and warn.
    assert len(with_status(result, "warn")) > 5 or not is_shipped

    assert bool(twin.covariates) == bool(policy.get("cuped_days"))
    types = {row["metric_name"]: row["metric_type"] for row in metrics}
    cases = Counter(types[row["metric_name"]] for row in twin.declared_observations)
    assert sum(cases.values()) > 2000
    assert set(cases) == {
        *("conversion", "count", "sum", "ratio", "funnel", "compound", "retention")
    }


EVENT: Row = {"clause": "event", "match_field": "event_name", "match_value": "purchase"}


def metric(metric_type: str | None, **cells: str | None) -> Row:
    return {"metric_name": "m", "metric_type": metric_type, **cells}


def part(clause: str, position: str | None = "1", **cells: str | None) -> Row:
    return {**EVENT, "metric_name": "m", "clause": clause, "position": position, **cells}


STEPS = [part("step", "1"), part("step", "2")]

MISTAKES: list[tuple[list[Row], list[Row], list[str]]] = [
    ([metric(None)], [part("event")], ["metrics.csv: m: metric_type is blank, must be "]),
    ([metric("funel")], STEPS, ['metrics.csv: m: metric_type is "funel", must be ']),
    ([metric("count", metric_name=None)], [], ["metrics.csv: metric_name is blank"]),
    (
        [metric("count"), metric("count")],
        [part("event")],
        ["metrics.csv: m: stands 2 times"],
    ),
    (
        [metric("count", metric_name="x: revenue")],
        [part("event", metric_name="x: revenue")],
        ["metrics.csv: x: revenue: a name that ends in "],
    ),
    ([metric("sum")], [part("event")], ["metrics.csv: m: value is blank, must be revenue, "]),
    (
        [metric("sum", value="events")],
        [part("event")],
        ['metrics.csv: m: value is "events", must be revenue, value or quantity in a sum'],
    ),
    (
        [metric("sum", value="cents")],
        [part("event")],
        ['metrics.csv: m: value is "cents", must be revenue, value, quantity or events'],
    ),
    (
        [metric("conversion", value="revenue")],
        [part("event")],
        ['metrics.csv: m: value is "revenue", must be blank in a conversion'],
    ),
    (
        [metric("count", value="revenue")],
        [part("event")],
        ['metrics.csv: m: value is "revenue", must be events or blank in a count'],
    ),
    *(
        (
            [metric("count", window_hours=hours)],
            [part("event")],
            [f'metrics.csv: m: window_hours is "{hours}", must be a number from 0 to 1000000'],
        )
        for hours in ("soon", "-1", "nan", "inf", "1000001", "1,5", " ")
    ),
    (
        [metric("funnel", within_seconds="1e10")],
        STEPS,
        ['metrics.csv: m: within_seconds is "1e10", must be a number from 0 to 3600000000'],
    ),
    *(
        (
            [metric("retention", window_hours=hours)],
            [part("event")],
            ["metrics.csv: m: window_hours is none: it says when the return period "],
        )
        for hours in (None, "", "0", "0.0")
    ),
    (
        [metric("count", within_seconds="5")],
        [part("event")],
        ["metrics.csv: m: within_seconds is given, but a count has window_hours only"],
    ),
    (
        [metric("retention", window_hours="1", within_from="exposure")],
        [part("event")],
        ["metrics.csv: m: within_from is given, but only a funnel has it"],
    ),
    (
        [metric("funnel", within_from="exposure", within_seconds="0")],
        STEPS,
        ["metrics.csv: m: within_from is given, but within_seconds is not"],
    ),
    (
        [metric("funnel", within_from="last_step", within_seconds="9")],
        STEPS,
        ['metrics.csv: m: within_from is "last_step", must be first_step or exposure'],
    ),
    (
        [metric("count", scope="session")],
        [part("event")],
        ['metrics.csv: m: scope is "session", but only a funnel or a compound has it'],
    ),
    (
        [metric("funnel", scope="visit")],
        STEPS,
        ['metrics.csv: m: scope is "visit", must be visitor or session'],
    ),
    (
        [metric("funnel", direction="up", role="main")],
        STEPS,
        [
            'metrics.csv: m: direction is "up", must be increase or decrease',
            'metrics.csv: m: role is "main", must be primary, secondary or guardrail',
        ],
    ),
    (
        [metric("funnel", role="primary"), metric("count", metric_name="n", role="primary")],
        [*STEPS, part("event", metric_name="n")],
        [
            'metrics.csv: m: role is "primary", and so it is in another metric',
            'metrics.csv: n: role is "primary", and so it is in another metric',
        ],
    ),
    *(
        (
            [metric("count", cap_quantile=quantile)],
            [part("event")],
            [f'metrics.csv: m: cap_quantile is "{quantile}", must be a number between 0 and 1'],
        )
        for quantile in ("1", "1.5", "-0.1", "99%")
    ),
    (
        [metric("ratio", cap_quantile="0.9")],
        [part("numerator"), part("denominator")],
        ["metrics.csv: m: cap_quantile is given, but only a count or a sum has it"],
    ),
    *(
        (
            [metric("count", role="guardrail", non_inferiority_margin=margin)],
            [part("event")],
            [
                f'metrics.csv: m: non_inferiority_margin is "{margin}", must be a number between '
                "0 and 1"
            ],
        )
        for margin in ("1", "2", "-0.1", "5%")
    ),
    *(
        (
            [metric("count", role=role, non_inferiority_margin="0.1")],
            [part("event")],
            ["metrics.csv: m: non_inferiority_margin is given, but only a guardrail has it"],
        )
        for role in ("primary", "secondary", "")
    ),
    ([metric("count")], [], ["metrics.csv: m: has no row in metric_events.csv"]),
    ([], [part("event")], ["metric_events.csv: m: is not in metrics.csv"]),
    (
        [metric("count")],
        [part("event"), part("event", metric_name="")],
        ["metric_events.csv: metric_name is blank"],
    ),
    (
        [metric("count")],
        [part("event", match_value="")],
        ["metric_events.csv: m: match_value is blank"],
    ),
    (
        [metric("count")],
        [part("event", match_field="name")],
        ['metric_events.csv: m: match_field is "name", must be event_name, entity_id or '],
    ),
    (
        [metric("count")],
        [part("event", match_field=None)],
        ["metric_events.csv: m: match_field is blank, must be "],
    ),
    (
        [metric("count")],
        [part("evnt")],
        ['metric_events.csv: m: clause is "evnt", must be step, all_of, any_of, none_of, '],
    ),
    *(
        (
            [metric(metric_type, value="revenue" if metric_type == "sum" else None)],
            [*rows, part(clause)],
            [f'metric_events.csv: m: clause is "{clause}", must be {allowed} in a {metric_type}'],
        )
        for metric_type, clause, allowed, rows in (
            ("conversion", "step", "event", [part("event")]),
            ("sum", "numerator", "event", [part("event")]),
            ("funnel", "event", "step", STEPS),
            ("compound", "event", "all_of, any_of or none_of", [part("all_of")]),
            (
                "ratio",
                "all_of",
                "numerator or denominator",
                [part("numerator"), part("denominator")],
            ),
        )
    ),
    (
        [metric("count")],
        [part("event", tag_value="x")],
        ['metric_events.csv: m: tag_value is "x", but tag_name is blank'],
    ),
    *(
        (
            [metric("compound")],
            [part("all_of"), part("none_of", position)],
            [f"metric_events.csv: m: position is {said}, must be a whole number from 1 in none_of"],
        )
        for position, said in (
            (None, "blank"),
            ("", "blank"),
            ("0", '"0"'),
            ("1.5", '"1.5"'),
            ("one", '"one"'),
        )
    ),
    *(
        (
            [metric("conversion")],
            [part("event", min_count=count)],
            [f'metric_events.csv: m: min_count is "{count}", must be a whole number'],
        )
        for count in ("-1", "1.5", "few")
    ),
    (
        [metric("funnel")],
        [*STEPS, part("step", "3", min_count="2")],
        ['metric_events.csv: m: min_count is "2", but a funnel has none'],
    ),
    (
        [metric("conversion")],
        [part("event", min_count="2"), part("event", "7")],
        ["metric_events.csv: m: min_count differs between the rows of event"],
    ),
    (
        [metric("compound")],
        [part("all_of", min_count="2"), part("all_of", "2"), part("all_of", "2", min_count="3")],
        ["metric_events.csv: m: min_count differs between the rows of all_of 2"],
    ),
    (
        [metric("compound")],
        [part("all_of", "2"), part("all_of", "2.0", min_count="3"), part("all_of", "x")],
        [
            "metric_events.csv: m: min_count differs between the rows of all_of 2",
            'metric_events.csv: m: position is "x", must be ',
        ],
    ),
    (
        [metric("ratio")],
        [part("denominator")],
        ["metric_events.csv: m: has no numerator"],
    ),
    ([metric("ratio")], [part("numerator")], ["metric_events.csv: m: has no denominator"]),
    (
        [metric("compound")],
        [part("none_of")],
        ["metric_events.csv: m: has neither all_of nor any_of"],
    ),
    (
        [metric("funnel")],
        [part("step", "2"), part("step", "4")],
        [
            "metric_events.csv: m: step 1 is missing",
            "metric_events.csv: m: step 3 is missing",
        ],
    ),
    (
        [metric("funnel")],
        [part("step", "1"), part("step", "1", match_value="other")],
        ["metric_events.csv: m: ends with step 1, but a funnel has 2 to 15 steps"],
    ),
    (
        [metric("funnel")],
        [part("step", str(step)) for step in range(1, 17)],
        ["metric_events.csv: m: ends with step 16, but a funnel has 2 to 15 steps"],
    ),
]
"""Declarations, and how each message about them begins."""

ALLOWED: list[tuple[list[Row], list[Row]]] = [
    ([metric("funnel")], [part("step", str(step)) for step in range(1, 16)]),
    ([metric("funnel", within_seconds="", within_from="None", window_hours="0")], STEPS),
    ([metric("count", cap_quantile="0", value="events")], [part("event", min_count="1")]),
    ([metric("conversion")], [part("event", None, min_count="0"), part("event", "x")]),
    ([metric("retention", window_hours="1e6")], [part("event", min_count="2.0")]),
    ([], []),
]


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A small history, built with the shipped declarations."""
    folder = tmp_path_factory.mktemp("metrics")
    project = Project(folder)
    project.pull(write_state(folder / "export", side_by_side([3], loads=1)[0]))
    project.build()
    return project


@pytest.fixture
def project(tmp_path: Path, warehouse: Project) -> Project:
    """A copy of the built warehouse, to change."""
    (tmp_path / "warehouse.duckdb").write_bytes(warehouse.warehouse.read_bytes())
    return Project(tmp_path)


def test_every_mistake_is_named(project: Project) -> None:
    with open_warehouse(project.warehouse) as connection:
        for metrics, metric_events, beginnings in MISTAKES:
            declare(connection, metrics, metric_events)
            found = messages(connection)
            assert len(found) == len(beginnings), (metrics, found)
            for message, beginning in zip(found, sorted(beginnings), strict=True):
                assert message.startswith(beginning)


def test_what_is_no_mistake(project: Project) -> None:
    with open_warehouse(project.warehouse) as connection:
        for metrics, metric_events in ALLOWED:
            declare(connection, metrics, metric_events)
            assert messages(connection) == []


def messages(connection: duckdb.DuckDBPyConnection) -> list[str]:
    rows = connection.execute("select message from int_metric_mistakes order by all").fetchall()
    return [message for (message,) in rows]


def test_mistakes_stop_a_run_before_anything_is_changed(project: Project) -> None:
    broken = [MISTAKES[place] for place in (1, 5, 10)]
    metrics: list[Row] = []
    metric_events: list[Row] = []
    for number, (rows, events, _) in enumerate(broken):
        metrics += [row | {"metric_name": f"m{number}"} for row in rows]
        metric_events += [row | {"metric_name": f"m{number}"} for row in events]
    project.declare(metrics, metric_events)
    # There is news for every model, by another policy.
    before = stored(project)
    result = project.dbt("run", "--vars", "{crossovers: exclude}")
    assert not result.success
    message = failures(result)
    assert "3 mistakes in the declared metrics, and nothing is built" in message
    for number, (_, _, [beginning]) in enumerate(broken):
        assert beginning.replace(": m:", f": m{number}:") in message
    assert "Mend the seeds, then run `dbt build`, or `dbt seed` and `dbt run`." in message
    assert with_status(result, "error") == {"int_metric_definitions"}
    nodes = parsed_project("incremental").nodes
    made = {f"model.optimizely_e3.{name}" for name in with_status(result, "success")}
    assert {nodes[node_id].config.materialized for node_id in made & nodes.keys()} == {
        "replaced_view"
    }
    assert stored(project) == before


def stored(project: Project) -> dict[str, Any]:
    """How many rows every table of the project holds, and their hash."""
    with open_warehouse(project.warehouse, read_only=True) as connection:
        tables = connection.execute(
            "select table_name from duckdb_tables() where schema_name = 'main'"
            " and table_name not in ('metrics', 'metric_events')"
        ).fetchall()
        return {
            name: connection.execute(
                f"select count(*), sum(hash({name})) from main.{name}"
            ).fetchone()
            for (name,) in tables
        }


def test_every_mart_waits_for_the_declarations() -> None:
    manifest = parsed_project("incremental")
    nodes = manifest.nodes

    def ancestors(node_id: str) -> set[str]:
        found: set[str] = set()
        waiting = [node_id]
        while waiting:
            for parent in getattr(nodes[waiting.pop()].depends_on, "nodes", []):
                if parent in nodes and parent not in found:
                    found.add(parent)
                    waiting.append(parent)
        return found

    marts = [
        node_id
        for node_id, node in nodes.items()
        if node_id.startswith("model.") and "marts" in node.fqn
    ]
    assert len(marts) > 15
    for mart in marts:
        assert "model.optimizely_e3.int_metric_definitions" in ancestors(mart), mart


def test_a_missing_column_is_named_once(project: Project) -> None:
    project.execute(
        "drop view int_metric_mistakes cascade; alter table metric_events drop column tag_name"
    )
    result = project.dbt("run")
    assert "metric_events.csv has no column tag_name. Nothing is built." in failures(result)
    assert with_status(result, "error") == {"int_metric_mistakes"}


def test_funnels_are_followed_for_as_many_steps_as_are_declared(project: Project) -> None:
    """What is written for each step costs planning, which no undeclared step should."""

    def levels() -> int:
        sql = project.compiled("fct_funnel_steps", {})["fct_funnel_steps"]
        return len(re.findall(r"\blevel_\d+ as \(", sql))

    for steps in (0, 3):
        declared = [part("step", str(step)) for step in range(1, steps + 1)]
        project.declare([metric("funnel")], [*declared, part("event", "9")])
        assert levels() == max(steps, 1)
    project.execute("drop view stg_registry__metric_events cascade")
    assert levels() == LONG_FUNNEL


def test_only_changed_metrics_are_computed_again(project: Project) -> None:
    """Every stored row is doubled by hand: what is computed again is there once."""
    names = ["stays", "changes", "is told otherwise", "goes"]
    funnels = [metric("funnel", metric_name=f"funnel {name}") for name in names]
    counts = [metric("count", metric_name=f"count {name}") for name in names]
    metric_events = [
        row | {"metric_name": funnel["metric_name"]}
        for funnel in funnels
        for row in (part("step"), part("step", "2", match_value="add_to_cart"))
    ] + [part("event", metric_name=count["metric_name"]) for count in counts]
    project.declare(funnels + counts, metric_events)
    tables = {"fct_funnel_steps": "funnel", "int_declared_observations": "count"}
    select = "--select", *(f"+{table}" for table in tables)
    project.build(*select, declared=True)
    before = {}
    for table, kind in tables.items():
        before[table] = dict(
            project.query(f"select metric_name, count(*) from {table} group by metric_name")
        )
        assert set(before[table]) == {f"{kind} {name}" for name in names}
        project.execute(f"insert into {table} select * from {table}")

    for row in (*funnels, *counts):
        if row["metric_name"].endswith("told otherwise"):  # type: ignore[union-attr]
            row |= {"direction": "decrease", "role": "guardrail", "description": "new", "scope": ""}
        elif row["metric_name"].endswith("changes"):  # type: ignore[union-attr]
            row["window_hours"] = "100000"
    kept = [row for row in (*funnels, *counts) if not str(row["metric_name"]).endswith("goes")]
    kept_events = [row for row in metric_events if not str(row["metric_name"]).endswith("goes")]
    for kind, rows in (("funnel", funnels), ("count", counts)):
        kept.append(rows[0] | {"metric_name": f"{kind} comes"})
        kept_events += [
            row | {"metric_name": f"{kind} comes"}
            for row in metric_events
            if row["metric_name"] == f"{kind} stays"
        ]
    project.declare(kept, kept_events)
    project.build(*select, declared=True)
    for table, kind in tables.items():
        found = dict(
            project.query(f"select metric_name, count(*) from {table} group by metric_name")
        )
        rows_of = before[table]
        assert found == {
            f"{kind} stays": 2 * rows_of[f"{kind} stays"],
            f"{kind} is told otherwise": 2 * rows_of[f"{kind} is told otherwise"],
            f"{kind} changes": rows_of[f"{kind} changes"],
            f"{kind} comes": rows_of[f"{kind} stays"],
        }


def test_an_event_never_seen_is_a_warning(project: Project) -> None:
    tag = {"tag_name": "a", "tag_value": "never"}
    project.declare(
        [metric("conversion"), metric("conversion", metric_name="n")],
        [
            part("event"),
            part("event", match_value="purchas"),
            part("event", metric_name="n", **tag),
        ],
    )
    project.build("--select", "+declared_events_are_seen", "+dim_metrics", declared=True)
    result = project.dbt("test", "--select", "declared_events_are_seen", "--store-failures")
    assert with_status(result, "warn") == {"declared_events_are_seen"}
    [schema] = project.query(
        "select table_schema from information_schema.tables"
        " where table_name = 'declared_events_are_seen'"
    )
    assert sorted(
        project.query(
            f"select metric_name, match_value, tag_value from {schema[0]}.declared_events_are_seen"
        )
    ) == [("m", "purchas", None), ("n", "purchase", "never")]
    assert project.query(
        "select metric_name, experiment_count > 0 from dim_metrics where metric_origin = 'declared'"
        " order by metric_name"
    ) == [("m", True), ("n", False)]
