"""docs/extending.md, "In a dbt project of your own": a tiny project that installs this one."""

import re
import subprocess
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from dbt.cli.main import dbtRunner

from loader.demo import write_export
from loader.landing.warehouse import open_warehouse
from tests.models.comparison import assert_rows_equal
from tests.models.own_project import IN_A_PROJECT, add_all, add_files, copy_of_project
from tests.models.project import ROOT, Project, failures, with_status

MARTS = sorted(path.stem for path in (ROOT / "models" / "marts").rglob("*.sql"))

TARGET = "rebuild"
SCHEMA = "rebuild_experiments"
"""Where the tiny project has our tables; the project itself builds in `main` of the same file."""

DAYS = date(2023, 10, 3), date(2023, 10, 5)
"""The days up to which the demo is landed, before the first build and before the second."""


WINDOW = "attribution_window_hours"
"""A var that decides what counts, set for the package alone."""


def tiny_project(folder: Path) -> Path:
    """What the page says, done beside a clone, and then all that its other sections add."""
    (folder / "optimizely-e3").symlink_to(ROOT)
    shop = folder / "shop"
    shop.mkdir()
    add_files(shop, IN_A_PROJECT)
    _, steps = re.findall(r"^```bash\n(.*?)^```$", IN_A_PROJECT, flags=re.MULTILINE | re.DOTALL)
    done = []
    for step in steps.splitlines():
        name = step.split()[0]
        if step == "dbt deps":
            assert dbtRunner().invoke(["deps", f"--project-dir={shop}", "--quiet"]).success
        elif name in ("mkdir", "cp"):
            subprocess.run(["bash", "-ec", step], cwd=shop, check=True)
        done.append(name)
    assert done == ["dbt", "mkdir", "cp", "cp", "loader", "loader", "dbt", "report"]
    add_all(shop)
    replace(shop / "dbt_project.yml", "    segments:", f"    {WINDOW}: 48\n    segments:")
    return shop


def replace(path: Path, before: str, after: str) -> None:
    """Changes one place of a file."""
    text = path.read_text(encoding="utf-8")
    assert text.count(before) == 1
    path.write_text(text.replace(before, after), encoding="utf-8")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Any]:
    """The tiny project, built twice with a landing between, and how the second build ended."""
    folder = tmp_path_factory.mktemp("package")
    export = folder / "export"
    write_export(export)
    project = Project(folder, root=tiny_project(folder))
    first, last = DAYS
    project.pull(export, until=first)
    project.build(target=TARGET)
    # A mark on every row: those that are built again lose it.
    project.execute(f"update {TARGET}.visitor_purchases set purchases = purchases + 1000")
    project.pull(export, until=last)
    return project, project.dbt("build", target=TARGET)


@pytest.fixture(scope="module")
def itself(tmp_path_factory: pytest.TempPathFactory, built: tuple[Project, Any]) -> Project:
    """The project itself with the same additions, built once from the same landed rows."""
    root = copy_of_project(tmp_path_factory.mktemp("copy") / "project")
    replace(root / "dbt_project.yml", f"  {WINDOW}: 0", f"  {WINDOW}: 48")
    project = Project(built[0].folder, root=root)
    project.build()
    return project


def test_everything_is_built_and_every_test_passes(built: tuple[Project, Any]) -> None:
    _, result = built
    assert result.success, failures(result)
    passed = with_status(result, "pass")
    assert {
        "no_row_lost",
        "optimizely_e3_unique_together_support_call_observations_"
        "experiment_id__visitor_id__metric_name",
    } <= passed
    assert len(passed) > 300
    assert with_status(result, "skipped") == set()


@pytest.mark.parametrize("mart", MARTS)
def test_a_mart_is_what_the_project_itself_builds(
    built: tuple[Project, Any], itself: Project, mart: str
) -> None:
    with open_warehouse(built[0].warehouse, read_only=True) as connection:
        found = connection.execute(f"select * from {SCHEMA}.{mart}")
        names = [column[0] for column in found.description]
        rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    assert rows or mart in ("duplicate_events", "results_reconciliation")
    # Built in two steps: the last digit of a sum of doubles may be another.
    assert_rows_equal(itself, mart, rows, "in a package", exact=False)


def test_its_own_metrics_stand_beside_the_shipped_ones(built: tuple[Project, Any]) -> None:
    project, _ = built
    found = project.query(
        f"select metric_name, sum(visitors) from {SCHEMA}.metric_summary group by 1"
    )
    assert {"purchase rate", "searched to cart", "support calls"} <= dict(found).keys()


def test_a_model_of_its_own_rebuilds_the_visitors_that_were_touched(
    built: tuple[Project, Any], itself: Project
) -> None:
    project, _ = built
    marked = dict(
        project.query(
            f"select purchases >= 1000, count(*) from {TARGET}.visitor_purchases group by 1"
        )
    )
    assert marked.keys() == {True, False}
    project.execute(f"update {TARGET}.visitor_purchases set purchases = purchases % 1000")
    columns = "visitor_id, purchases, revenue_cents, first_purchased_at"
    assert project.query(f"select {columns} from {TARGET}.visitor_purchases order by 1") == (
        itself.query(f"select {columns} from main.visitor_purchases order by 1")
    )


def test_its_own_models_see_the_vars_of_the_package(
    built: tuple[Project, Any], itself: Project
) -> None:
    project, _ = built
    settings = "select settings from {}.build_watermarks where model = '{}.visitor_purchases'"
    seen = project.query(settings.format(TARGET, TARGET))
    assert seen == itself.query(settings.format("main", "main")) != []


def test_a_build_without_news_writes_no_row(built: tuple[Project, Any]) -> None:
    project, _ = built
    tables = f"{TARGET}.visitor_purchases", f"{SCHEMA}.fct_exposures"
    with open_warehouse(project.warehouse) as connection:
        connection.execute("begin")
        for table in tables:
            connection.execute(f"insert into {table} from {table}")
        connection.execute("commit")
    before = project.row_counts(tables)
    result = project.dbt("run", "--select=visitor_purchases fct_exposures", target=TARGET)
    assert result.success, failures(result)
    assert project.row_counts(tables) == before
