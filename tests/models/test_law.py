"""The law: after any loads, incremental marts equal a full refresh and the twin, row for row."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from tests.models.comparison import assert_equals_full_refresh, assert_equals_twin
from tests.models.histories import history, landed_rows, write_state
from tests.models.project import Project, failures
from tests.models.twin import Twin

LOADS = 6
GROUPS = 10
"""Tests that the sequences are spread over, so that they can run side by side."""

BREAKABLE = ("fct_decisions", "fct_sessions", "fct_exposures", "int_event_observations")
"""Incremental models that a build is made to fail at."""


@pytest.mark.parametrize("group", range(GROUPS))
def test_incremental_equals_full_refresh_and_twin(
    group: int, pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> None:
    sequences = int(pytestconfig.getoption("--sequences"))

    @settings(
        max_examples=max(1, sequences // GROUPS),
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        # A failing sequence is named by its seed; to shrink it would take hundreds of builds.
        phases=[Phase.generate],
    )
    @given(seed=st.integers(0, 2**32 - 1), fails_at=st.sampled_from(BREAKABLE))
    def hold(seed: int, fails_at: str) -> None:
        # The first seed hypothesis draws is always 0: every group must make something else of it.
        seed = seed * GROUPS + group
        note(f"history({seed}), failing at {fails_at}")
        check_sequence(tmp_path_factory.mktemp("law"), seed, fails_at)

    hold()


def check_sequence(folder: Path, seed: int, fails_at: str) -> None:
    """Loads one history step by step, and after each step compares the marts with both oracles."""
    project = Project(folder)
    for step, state in enumerate(history(seed, loads=LOADS - 1).states):
        project.pull(write_state(folder / "export", state))
        if step % 3 == 2:
            fail_half_way(project, fails_at)
        project.build()
        where = f"after load {step} of history({seed})"
        assert_equals_full_refresh(project, where)
        assert_equals_twin(project, Twin(*landed_rows(state)), where)


def fail_half_way(project: Project, model: str) -> None:
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
    result = project.dbt("run")
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
