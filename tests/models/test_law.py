"""The law: after any loads, incremental marts equal a full refresh and the twin, row for row."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from tests.models.histories import history, landed_rows, write_state
from tests.models.project import Project, failures
from tests.models.twin import Twin

GROUPS = 4
"""Tests that the sequences are spread over, so that they can run side by side."""

LOADS = 6

BUILT = (
    "int_events_sessionized",
    "fct_decisions",
    "fct_conversions",
    "fct_sessions",
    "fct_exposures",
    "fct_attributed_conversions",
    "int_event_observations",
    "dim_experiments",
    "dim_variations",
    "dim_events",
    "fct_metric_observations",
    "metric_summary",
    "experiment_results",
)

TWINS = {
    "fct_decisions": "decisions",
    "fct_conversions": "conversions",
    "fct_sessions": "sessions",
    "fct_exposures": "exposures",
    "fct_attributed_conversions": "attributed_conversions",
    "fct_metric_observations": "observations",
    "metric_summary": "summary",
    "experiment_results": "results",
}
"""The mart, and the twin's name for it."""

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
        # A failing sequence is named by its seed; making it smaller would cost hundreds of builds.
        phases=[phase for phase in settings().phases if phase.name != "shrink"],
    )
    @given(seed=st.integers(0, 2**32 - 1), fails_at=st.sampled_from(BREAKABLE))
    def hold(seed: int, fails_at: str) -> None:
        note(f"history({seed}), failing at {fails_at}")
        check_sequence(tmp_path_factory.mktemp("law"), seed, fails_at)

    hold()


def check_sequence(folder: Path, seed: int, fails_at: str) -> None:
    """Loads one history step by step, and after each step compares the marts with both oracles."""
    project = Project(folder)
    states = history(seed, loads=LOADS - 1).states
    for step, state in enumerate(states):
        project.pull(write_state(folder / "export", state))
        if step % 3 == 2:
            fail_half_way(project, fails_at)
        project.build()
        project.build("--full-refresh", target="rebuild")
        where = f"history({seed}), load {step}"
        for model in BUILT:
            assert differences(project, model) == [], f"{model} after {where}"
        twin = Twin(*landed_rows(state))
        for model, name in TWINS.items():
            found, expected = compare(project, model, getattr(twin, name))
            assert found - expected == Counter(), f"{model} has too much after {where}"
            assert expected - found == Counter(), f"{model} has too little after {where}"


def fail_half_way(project: Project, model: str) -> None:
    """Runs a build that fails for real when it comes to write `model`."""
    project.execute(f"alter table main.{model} add column not_in_the_model integer")
    result = project.dbt("run")
    assert not result.success and f"{model}:" in failures(result)
    project.execute(f"alter table main.{model} drop column not_in_the_model")


def differences(project: Project, model: str) -> list[tuple[Any, ...]]:
    """Rows that only one of the two builds has."""
    return project.query(
        f"""
        (select 'incremental', * from (from main.{model} except all from rebuild.{model}))
        union all
        (select 'rebuild', * from (from rebuild.{model} except all from main.{model}))
        """
    )


def compare(
    project: Project, model: str, expected: list[dict[str, Any]]
) -> tuple[Counter[tuple[Any, ...]], Counter[tuple[Any, ...]]]:
    """The rows of a mart and those of the twin as bags, in the twin's columns."""
    columns = list(expected[0]) if expected else ["1"]
    found = project.query(f"select {', '.join(columns)} from main.{model}")
    return Counter(found), Counter(tuple(row.values()) for row in expected)
