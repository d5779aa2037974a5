"""Builds on DuckDB from a lake: what a build from landed rows gives, visitor by visitor."""

import shutil
from pathlib import Path

import pytest

from loader.errors import LoaderError
from tests.models.comparison import assert_equals_full_refresh, assert_equals_twin
from tests.models.histories import history, landed_rows, last_day, write_state
from tests.models.project import LAKE, Project, failures, fill_lake
from tests.models.twin import Twin
from tests.models.twin_inputs import shipped_metrics


def test_a_lake_that_changes_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project, lake = Project(tmp_path), tmp_path / "lake"
    monkeypatch.setenv(LAKE, str(lake))
    first, second = history(5, visitors=40).states[:2]
    fill_lake(lake, write_state(tmp_path / "export", first))
    project.build()
    fill_lake(lake, write_state(tmp_path / "export", second))
    project.build()
    twin = Twin(
        *landed_rows(second),
        conversions_landed_until=last_day(second, "events"),
        **shipped_metrics(),
    )
    assert_equals_twin(project, twin, "from a lake")
    assert_equals_full_refresh(project, "from a lake")

    with pytest.raises(LoaderError, match="is built from a lake: give the lake with --lake"):
        project.pull(tmp_path / "export")
    monkeypatch.delenv(LAKE)
    result = project.dbt("run", "--select", "stg_optimizely__decisions")
    assert "is built from a lake: set OPTIMIZELY_E3_LAKE to its address." in failures(result)


def test_another_lake_is_not_taken_for_the_same_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its loads have the ids of the first one's, as after a backup was landed in again."""
    project, state = Project(tmp_path), history(5, visitors=5).states[0]
    only_decisions = ("run", "--select", "stg_registry__bot_user_agents", "+fct_decisions")
    project.dbt("seed")
    for name in ("first", "second"):
        monkeypatch.setenv(LAKE, str(tmp_path / name))
        fill_lake(tmp_path / name, write_state(tmp_path / "export", state))
        if name == "second":
            assert "run `dbt build --full-refresh`" in failures(project.dbt(*only_decisions))
        result = project.dbt(*only_decisions, "--full-refresh")
        assert result.success, failures(result)
    result = project.dbt(*only_decisions)
    assert result.success, failures(result)


def test_what_cannot_be_built_from_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project, lake = Project(tmp_path), tmp_path / "lake"
    monkeypatch.setenv(LAKE, str(lake))
    only_staging = ("run", "--select", "stg_optimizely__decisions")
    assert "Nothing is landed in the lake" in failures(project.dbt(*only_staging))
    export = write_state(tmp_path / "export", history(5, visitors=5).states[0])
    fill_lake(lake, export)
    project.warehouse.unlink()
    project.pull(export)
    assert "has rows of its own, and the lake" in failures(project.dbt(*only_staging))


def test_days_without_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project, lake = Project(tmp_path), tmp_path / "lake"
    monkeypatch.setenv(LAKE, str(lake))
    state = history(5, visitors=5).states[0]
    empty = {unit: files if unit[0] == "events" else [] for unit, files in state.items()}
    fill_lake(lake, write_state(tmp_path / "export", empty))
    result = project.dbt("run", "--select", "stg_optimizely__decisions")
    assert result.success, failures(result)
    assert project.query("select count(*) from stg_optimizely__decisions") == [(0,)]
    shutil.rmtree(lake)
