"""Tables are rebuilt when something they are made of has changed, and only then."""

import shutil
from pathlib import Path

import pytest

from loader.demo import write_export
from tests.models.project import Project, failures

BUILT = (
    *("stg_optimizely__experiment_names", "stg_registry__experiments", "int_sightings"),
    *("dim_experiments", "fct_sessions", "int_session_agreement", "session_audit"),
    *("int_arms", "int_comparisons", "int_inference", "int_verdicts", "experiment_results"),
)
"""A few models that stand for all: tables, the views between them, one kept by visitor."""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("tables"))
    write_export(project.folder / "export", days=3, visitors=60, events=600)
    project.pull(project.folder / "export")
    project.build()
    return project


@pytest.fixture
def project(tmp_path: Path, built: Project) -> Project:
    """A copy of the built project, to change."""
    shutil.copy(built.warehouse, tmp_path)
    return Project(tmp_path)


def versions(project: Project) -> dict[str, str]:
    return dict(project.query("select model, version from build_versions"))


def rebuilt(project: Project, *arguments: str, selection: str = " ".join(BUILT)) -> set[str]:
    """The tables that a run of some models wrote."""
    before = versions(project)
    result = project.dbt("run", "--select", selection, *arguments)
    assert result.success, failures(result)
    after = versions(project)
    return {name.removeprefix("main.") for name in after if after[name] != before.get(name)}


RESULTS = {"int_inference", "experiment_results"}


def test_nothing_is_written_without_news(project: Project) -> None:
    """Rows that are there twice stay so, in every table of every layer."""
    names = [name.removeprefix("main.") for name in versions(project)]
    assert len(names) > 30
    project.execute("".join(f"insert into {name} from {name};" for name in names))
    before = project.row_counts(names)
    project.build()
    assert project.row_counts(names) == before


def test_a_setting_that_a_view_in_between_reads(project: Project) -> None:
    assert rebuilt(project, "--vars", "minimum_visitors: 7") == RESULTS
    assert rebuilt(project, "--vars", "minimum_visitors: 7") == set()
    assert rebuilt(project) == RESULTS


@pytest.mark.parametrize(
    "change",
    [
        "update experiments set experiment_name = 'New' where experiment_id = '21000000001'",
        """
        delete from experiments;
        insert into optimizely_raw.experiment_names (experiment_id, experiment_name)
        values ('21000000001', 'New')
        """,
    ],
    ids=["a row of a seed", "names that were fetched"],
)
def test_a_name(project: Project, change: str) -> None:
    assert "dim_experiments" not in rebuilt(project)
    project.execute(change)
    assert "dim_experiments" in rebuilt(project)
    assert project.query(
        "select experiment_name from dim_experiments where experiment_id = '21000000001'"
    ) == [("New",)]


def test_a_load(project: Project) -> None:
    write_export(project.folder / "more", days=4, visitors=60, events=900)
    project.pull(project.folder / "more")
    assert rebuilt(project) >= {"fct_sessions", "session_audit"}


def test_a_table_that_was_rebuilt_by_itself(project: Project) -> None:
    assert rebuilt(project, "--full-refresh", selection="fct_sessions") == {"fct_sessions"}
    assert rebuilt(project) == {"session_audit"}


def test_a_table_that_was_dropped(project: Project) -> None:
    project.execute("drop table experiment_results")
    assert rebuilt(project) == {"experiment_results"}
    assert project.query("select count(*) > 0 from experiment_results") == [(True,)]


def test_a_table_whose_version_was_lost(project: Project) -> None:
    """As after a kill between the table and its version."""
    project.execute("delete from build_versions where model = 'main.int_inference'")
    assert rebuilt(project) == RESULTS
    assert rebuilt(project, "--full-refresh") >= {*RESULTS, "dim_experiments"}
