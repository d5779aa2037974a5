"""The documents say what the commands say, and their examples hold."""

import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
from configparser import RawConfigParser
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

import loader.cli
from loader.command_line import BROKEN_PIPE
from loader.errors import ExitCode

ROOT = Path(__file__).parents[1]
OPERATIONS = (ROOT / "docs/operations.md").read_text(encoding="utf-8")


def render(**env: str) -> str:
    """What `make docs` writes to docs/cli.md."""
    return subprocess.run(
        [sys.executable, "docs/render_cli.py"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"} | env,
        capture_output=True,
        encoding="utf-8",
        check=True,
    ).stdout


def blocks(language: str) -> list[str]:
    """The fenced blocks of operations.md in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", OPERATIONS, re.MULTILINE | re.DOTALL)


def example(name: str) -> str:
    """The block that stands below a comment with the name of its file."""
    [text] = re.findall(
        rf"^<!-- {re.escape(name)} -->\n```\w+\n(.*?)^```$", OPERATIONS, re.M | re.S
    )
    return str(text)


class TestReference:
    def test_is_what_help_says(self) -> None:
        written = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
        assert render() == written, "run `make docs`"

    def test_no_terminal_and_no_setting_changes_it(self) -> None:
        assert render() == render(
            COLUMNS="40",
            TERMINAL_WIDTH="50",
            FORCE_COLOR="1",
            OPTIMIZELY_E3_SOURCE="s3://secret",
            OPTIMIZELY_E3_WAREHOUSE="w",
            LC_ALL="C",
        )

    def test_has_every_command(self) -> None:
        page = render()
        for name in ["loader", *commands()]:
            title = name if name == "loader" else f"loader {name}"
            assert f"## {title}\n\n```text\nUsage: {title} " in page
        assert "## report show\n" in page


def commands() -> dict[str, set[str]]:
    """Each command of `loader` and the options it has."""
    group = get_command(loader.cli.app)
    return {
        name: {option for parameter in command.params for option in parameter.opts}
        for name, command in group.commands.items()  # type: ignore[attr-defined]
    }


class TestOperations:
    def test_every_exit_code_is_explained(self) -> None:
        rows = re.findall(r"^\| (\d+) \| ", OPERATIONS, re.MULTILINE)
        assert [int(code) for code in rows] == [*map(int, ExitCode), BROKEN_PIPE]

    @pytest.mark.parametrize("script", blocks("bash"))
    def test_shell(self, script: str) -> None:
        subprocess.run(["bash", "-n"], input=script, encoding="utf-8", check=True)

    def test_the_crontab_runs_commands(self) -> None:
        [crontab] = blocks("crontab")
        lines = [line for line in crontab.splitlines() if not line.startswith("#")]
        for line in lines:
            *when, command = line.split(maxsplit=5)
            assert all(re.fullmatch(r"[0-9*]+", field) for field in when)
            assert "%" not in command  # cron takes it for the end of a line
            subprocess.run(["bash", "-n"], input=command, encoding="utf-8", check=True)

    def test_units_of_systemd(self) -> None:
        for text in blocks("ini"):
            unit = RawConfigParser()
            unit.read_string(text)
            assert unit.has_section("Unit")

    def test_the_workflow(self) -> None:
        [text] = blocks("yaml")
        steps = yaml.safe_load(text)["jobs"]["export"]["steps"]
        for step in steps:
            assert ("run" in step) != ("uses" in step)
            if script := step.get("run"):
                subprocess.run(["bash", "-n"], input=script, encoding="utf-8", check=True)

    def test_python(self) -> None:
        for text in blocks("python"):
            compile(text, "docs/operations.md", "exec")

    def test_links_lead_somewhere(self) -> None:
        for target, anchor in re.findall(r"\]\(([^)#]*)(#[^)]*)?\)", OPERATIONS):
            assert not target or (ROOT / "docs" / target).is_file(), target
            assert not anchor or f"# {anchor[1:].replace('-', ' ')}" in OPERATIONS.lower()

    def test_commands_and_options_are_there(self) -> None:
        known = commands()
        asked = re.findall(r"\bloader ((?:[a-z]+)(?: [^`|;&<>#\n]*)?)", "\n".join(example_text()))
        assert len(asked) > 15
        for text in asked:
            name, *arguments = shlex.split(text.split("\\")[0])
            options = {argument for argument in arguments if argument.startswith("--")}
            assert name in known, text
            assert options <= known[name], text


def example_text() -> list[str]:
    """All code of the page: blocks, and what stands in backquotes within the text."""
    inline = re.findall(
        r"`(loader [^`]+)`", re.sub(r"^```.*?^```$", "", OPERATIONS, flags=re.M | re.S)
    )
    return [*blocks("bash"), *blocks("crontab"), *inline]


class TestDaily:
    """The script of the page, with a `loader` and a `dbt` that end as they are told."""

    @pytest.fixture
    def script(self, tmp_path: Path) -> Path:
        for name in ("loader", "dbt"):
            write(tmp_path / "bin" / name, f'#!/bin/sh\necho {name} "$@"\nexit "${name.upper()}"\n')
        return write(tmp_path / "project/daily.sh", example("daily.sh"))

    @pytest.mark.parametrize(
        ("loader_code", "dbt_code", "is_built", "code"),
        [
            (0, 0, True, 0),
            (4, 0, True, 4),
            (6, 0, True, 6),
            (0, 1, True, 1),
            (4, 2, True, 2),
            *((code, 0, False, code) for code in (1, 2, 3, 5, 8, 10, 130)),
        ],
    )
    def test_builds_and_ends_with_the_right_code(
        self, script: Path, loader_code: int, dbt_code: int, is_built: bool, code: int
    ) -> None:
        path = f"{script.parents[1] / 'bin'}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            [script],
            env={"PATH": path, "LOADER": str(loader_code), "DBT": str(dbt_code)},
            capture_output=True,
            encoding="utf-8",
        )
        assert done.returncode == code
        assert done.stdout.splitlines() == ["loader pull --wait 6h"] + ["dbt build"] * is_built
        assert done.stderr == ""


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not here")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    for name in ("optimizely-export.service", "optimizely-export.timer"):
        text = example(name).replace("/srv/optimizely/daily.sh", "/bin/true")
        (tmp_path / name).write_text(text)
    alert = "[Service]\nType=oneshot\nExecStart=/bin/true\n"
    (tmp_path / "optimizely-alert.service").write_text(alert)
    units = [str(path) for path in tmp_path.iterdir()]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units], capture_output=True, encoding="utf-8"
    )
    told = [
        line for line in done.stderr.splitlines() if str(tmp_path) in line or "optimizely" in line
    ]
    assert told == []
