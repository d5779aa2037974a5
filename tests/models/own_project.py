"""A project of one's own, made as docs/extending.md and docs/metrics.md say."""

import re
import shutil
from pathlib import Path

from tests.models.project import ROOT

PARTS = ("models", "macros", "seeds", "analyses", "examples", "tests")
EXAMPLE = Path("examples") / "support_calls"

EXTENDING, METRICS = (
    (ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("extending.md", "metrics.md")
)
IN_A_PROJECT = EXTENDING[
    EXTENDING.index("## In a dbt project of your own") : EXTENDING.index("## Selectors")
]
"""What test_package.py does."""


def add_files(folder: Path, page: str) -> None:
    """Adds what stands on a page below the name of a file to that file."""
    for path, text in re.findall(r"<!-- (\S+) -->\n```\w+\n(.*?)```\n", page, flags=re.DOTALL):
        (folder / path).parent.mkdir(exist_ok=True)
        with (folder / path).open("a", encoding="utf-8") as file:
            file.write(text)


def add_all(folder: Path) -> None:
    """All that the two pages add to a project, except what the project says of its vars."""
    for page in (EXTENDING.replace(IN_A_PROJECT, ""), METRICS):
        add_files(folder, page)
    for part in ("seeds", "models"):
        shutil.copytree(ROOT / EXAMPLE / part, folder / part, dirs_exist_ok=True)


def copy_of_project(folder: Path) -> Path:
    """The project as a user's own, with all that the two pages add to it."""
    for part in PARTS:
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("*.py*"))
    add_all(folder)
    settings = (ROOT / "dbt_project.yml").read_text(encoding="utf-8")
    for name, value in re.findall(r"^```yaml\nvars:\n  (\w+): (.*)\n```$", EXTENDING, flags=re.M):
        assert f"  {name}: []\n" in settings
        settings = settings.replace(f"  {name}: []\n", f"  {name}: {value}\n")
    (folder / "dbt_project.yml").write_text(settings, encoding="utf-8")
    return folder
