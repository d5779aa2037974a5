"""`pip install .` alone: which files and commands come with it, and that they need nothing else."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PARTS = ("loader", "report")


def comes_with(requirements: list[str]) -> set[str]:
    """Names of the distributions that pip installs for these requirements."""
    found: set[tuple[str, str]] = set()
    pending = [(Requirement(text), "") for text in requirements]
    while pending:
        requirement, of_extra = pending.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": of_extra}):
            continue
        for extra in ("", *requirement.extras):
            if (requirement.name, extra) not in found:
                found.add((requirement.name, extra))
                needed = distribution(requirement.name).requires or []
                pending += [(Requirement(text), extra) for text in needed]
    return {name for name, _ in found}


def link_distribution(name: str, site: Path) -> None:
    """Puts what is installed beside these tests into another environment."""
    files = distribution(name).files
    assert files
    for file in files:
        place = site / file
        if ".." not in file.parts and not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(Path(str(file.locate())).resolve())


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment in which only this was installed, and what it says that it needs."""
    folder = tmp_path_factory.mktemp("install")
    source = folder / "source"
    for part in PARTS:
        shutil.copytree(ROOT / part, source / part, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    made = folder / "environment"
    venv.create(made, with_pip=False)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run(
        [*pip, "--python", made / "bin" / "python", "install", "--no-deps", source], check=True
    )
    shutil.rmtree(source)

    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    [site] = made.glob("lib/python*/site-packages")
    for name in comes_with(settings["project"]["dependencies"]):
        link_distribution(name, site)
    return made


def run(environment: Path, folder: Path, *command: str) -> str:
    """What a command of the environment prints, run in a folder that is no clone."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [environment / "bin" / command[0], *command[1:]],
        cwd=folder,
        env=inherited | {"COLUMNS": "80"},
        capture_output=True,
        encoding="utf-8",
    )
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def test_every_file_is_installed(environment: Path) -> None:
    [site] = environment.glob("lib/python*/site-packages")
    for part in PARTS:
        wanted = {
            path.relative_to(ROOT)
            for path in (ROOT / part).rglob("*")
            if path.is_file() and path.suffix != ".pyc"
        }
        assert wanted == {
            path.relative_to(site)
            for path in (site / part).rglob("*")
            if path.is_file() and path.suffix != ".pyc"
        }


def test_loader_works_outside_a_clone(environment: Path, tmp_path: Path) -> None:
    def loader(*arguments: str) -> str:
        return run(environment, tmp_path, "loader", *arguments)

    assert "Lands Optimizely's Enriched Events Export" in loader("--help")
    written = loader("demo", "export", "--events", "2000", "--visitors", "100", "--days", "3")
    assert written.startswith("2,000 events in ")
    landed = loader("pull", "--source", "export", "--warehouse", "w.duckdb")
    assert re.match(r"landed \d+ days, \d+ files, 2,000 rows", landed)
    assert "landed" in loader("status", "--warehouse", "w.duckdb")
    assert loader("verify", "--source", "export", "--warehouse", "w.duckdb").startswith("0 diff")


def test_report_says_what_it_needs(environment: Path, tmp_path: Path) -> None:
    assert "Shows what the marts say." in run(environment, tmp_path, "report", "--help")
    (tmp_path / "w.duckdb").touch()
    refused = run(environment, tmp_path, "report", "build", "--warehouse", "w.duckdb")
    assert refused.startswith("error: the pages need more packages (altair, great_tables, ")


def test_nothing_else_is_in_the_environment(environment: Path, tmp_path: Path) -> None:
    """Neither the clone, nor what only the tests or the pages need."""
    names = ["loader", "report", "duckdb", "pytest", "scipy", "streamlit"]
    code = f"from importlib.util import find_spec\nfor name in {names}: print(find_spec(name))"
    found = run(environment, tmp_path, "python", "-c", code).splitlines()
    assert [str(environment) in line for line in found] == [True, True, True, False, False, False]
