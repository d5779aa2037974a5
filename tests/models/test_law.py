"""The law: whatever is loaded and declared, an incremental build equals a rebuild and the twin."""

from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.models.comparison import assert_equals_full_refresh, assert_equals_twin
from tests.models.declarations import changed, declarations
from tests.models.histories import (
    BURST_LIMIT,
    landed_rows,
    last_day,
    side_by_side,
    write_state,
)
from tests.models.project import Project, failures
from tests.models.twin import Twin

LOADS = 3
"""The second is compared with a rebuild, the last one with the twin too; test_metrics.py compares
first builds with the twin."""
METRICS = 20
"""Declared at first; some come, go and change with each load."""
GROUPS = 2
"""Tests that the sequences are spread over. The sequences of a group stand side by side in one
warehouse; the first group is one sequence alone, where a load may find nothing at all."""

SETTINGS: dict[int, dict[str, Any]] = {1: {"bot_events_per_minute": BURST_LIMIT}}
"""Vars of a group, where it has any. With this one, a load can flag events of years ago."""

BREAKABLE = (
    "fct_decisions",
    "fct_sessions",
    "fct_exposures",
    "int_event_observations",
    "int_declared_observations",
    "fct_funnel_steps",
)
"""Incremental models that a build is made to fail at."""


@pytest.mark.parametrize("group", range(GROUPS))
def test_incremental_equals_full_refresh_and_twin(
    group: int, pytestconfig: pytest.Config, tmp_path: Path
) -> None:
    run = int(pytestconfig.getoption("--law-seed"))
    sequences = int(pytestconfig.getoption("--sequences"))
    count = 1 if group == 0 else max(1, (sequences - 1) // (GROUPS - 1))
    settings = SETTINGS.get(group, {})
    arguments = ("--vars", str(settings))
    random = Random(f"{run} {group}")
    seeds = [random.randrange(2**32) for _ in range(count)]
    project = Project(tmp_path)
    metrics, metric_events = declarations(random, METRICS)
    for step, state in enumerate(side_by_side(seeds, loads=LOADS - 1)):
        project.pull(write_state(tmp_path / "export", state))
        if step > 0:
            metrics, metric_events = changed(random, metrics, metric_events)
        project.declare(metrics, metric_events, schemas=("main", "rebuild"))
        if step == LOADS - 1:
            fail_half_way(project, random.choice(BREAKABLE), *arguments)
        project.build(*arguments, declared=True)
        where = f"after load {step} of side_by_side({seeds}), --law-seed {run}"
        if step > 0:
            assert_equals_full_refresh(project, where, *arguments, declared=True)
    twin = Twin(
        *landed_rows(state),
        metrics=metrics,
        metric_events=metric_events,
        conversions_landed_until=last_day(state, "events"),
        **settings,
    )
    assert_equals_twin(project, twin, where)


def fail_half_way(project: Project, model: str, *arguments: str) -> None:
    """Runs a build that fails after the rows of `model` were replaced, before that is committed."""
    columns = "model varchar, settings varchar, load_id bigint, landed_at timestamp"
    project.execute(
        f"""
        create table kept as from build_watermarks;
        drop table build_watermarks;
        create table build_watermarks ({columns}, check (model <> 'main.{model}'));
        insert into build_watermarks from kept where model <> 'main.{model}';
        """
    )
    result = project.dbt("run", *arguments)
    assert not result.success and f"{model}: Runtime Error" in failures(result)
    project.execute(
        f"""
        create table healed ({columns});
        insert into healed from build_watermarks;
        insert into healed from kept where model = 'main.{model}';
        drop table kept;
        drop table build_watermarks;
        alter table healed rename to build_watermarks;
        """
    )
