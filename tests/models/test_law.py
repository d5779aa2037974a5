"""The law: after any loads, incremental marts equal a full refresh and the twin, row for row."""

from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.models.comparison import assert_equals_full_refresh, assert_equals_twin
from tests.models.histories import BURST_LIMIT, landed_rows, side_by_side, write_state
from tests.models.project import Project, failures
from tests.models.twin import Twin

LOADS = 6
GROUPS = 4
"""Tests that the sequences are spread over. The sequences of a group stand side by side in one
warehouse; the first group is one sequence alone, where a load may find nothing at all."""

SETTINGS: dict[int, dict[str, Any]] = {3: {"bot_events_per_minute": BURST_LIMIT}}
"""Vars of a group, where it has any. With this one, a load can flag events of years ago."""

BREAKABLE = ("fct_decisions", "fct_sessions", "fct_exposures", "int_event_observations")
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
    for step, state in enumerate(side_by_side(seeds, loads=LOADS - 1)):
        project.pull(write_state(tmp_path / "export", state))
        if step % 3 == 2:
            fail_half_way(project, random.choice(BREAKABLE), *arguments)
        project.build(*arguments)
        where = f"after load {step} of side_by_side({seeds}), --law-seed {run}"
        assert_equals_full_refresh(project, where, *arguments)
        assert_equals_twin(project, Twin(*landed_rows(state), **settings), where)


def fail_half_way(project: Project, model: str, *arguments: str) -> None:
    """Runs a build that fails after the rows of `model` were replaced, before that is committed."""
    columns = "model varchar, settings varchar, load_id bigint"
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
