"""The command `loader`: what it prints, where, and with which exit code."""

import json
import os
import re
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from loader.errors import ExitCode
from tests.loader.command import Command
from tests.loader.exports import (
    conversion,
    conversions_of,
    day,
    decision,
    decisions_of,
    expected,
    few_days,
    staged,
)
from tests.loader.files import damage
from tests.models.histories import write_state


class TestRefused:
    @pytest.mark.parametrize("text", ["2020-13-45", "2020-02-30", "20200101", "tomorrow", "7", ""])
    def test_since_that_is_no_day(self, loader: Command, export: Path, text: str) -> None:
        line = loader.refused("pull", "--source", export, "--since", text)
        assert f"--since {text!r} is no day" in line
        assert line.endswith("give a date such as 2026-01-31, `yesterday`, or an age such as 7d")

    def test_since_after_until(self, loader: Command, export: Path) -> None:
        line = loader.refused(
            "pull", "--source", export, "--since", "2024-01-02", "--until", "2024-01-01"
        )
        assert line.endswith("exchange them")

    def test_source_that_is_not_there(self, loader: Command) -> None:
        line = loader.refused("pull", "--source", "no such folder")
        assert line == "error: no such folder is not there: give the folder that holds `type=…`"
        done = loader.process("pull", "--source", "no such folder")
        assert (done.returncode, done.stdout, done.stderr) == (2, "", f"{line}\n")

    def test_markup_is_not_interpreted(self, loader: Command) -> None:
        line = loader.refused("pull", "--source", "[bold]x[/bold]:smile:[red")
        assert line.startswith("error: [bold]x[/bold]:smile:[red is not there")

    def test_folder_without_types(self, loader: Command) -> None:
        (loader.folder / "[red]").mkdir()
        line = loader.refused("pull", "--source", "[red]")
        assert "no type=decisions or type=events found at or below [red]" in line
        assert line.endswith("give the folder that holds them")

    @pytest.mark.parametrize("source", [[], ["--source", ""]])
    def test_no_source(self, loader: Command, source: list[str]) -> None:
        assert "give --source or set OPTIMIZELY_E3_SOURCE" in loader.refused("pull", *source)

    def test_unknown_option(self, loader: Command) -> None:
        line = loader.refused("pull", "--zzz", "3")
        assert line == "error: No such option: --zzz: see loader --help"

    def test_unknown_command(self, loader: Command) -> None:
        assert "No such command 'push'" in loader.refused("push")

    def test_unknown_type(self, loader: Command, export: Path) -> None:
        assert "'visitors'" in loader.refused("pull", "--source", export, "--type", "visitors")

    @pytest.mark.parametrize("command", ["pull", "status"])
    def test_warehouse_that_is_no_database(
        self, loader: Command, export: Path, command: str
    ) -> None:
        (loader.folder / "notes.txt").write_text("not a database")
        line = loader.refused(command, "--source", export, "--warehouse", "notes.txt")
        assert f"cannot open the warehouse {loader.folder / 'notes.txt'}" in line
        assert line.endswith(
            "give a DuckDB file, or a path where one can be created, with --warehouse"
        )
        assert (loader.folder / "notes.txt").read_text() == "not a database"

    @pytest.mark.parametrize("command", ["pull", "status"])
    def test_warehouse_that_is_a_folder(self, loader: Command, export: Path, command: str) -> None:
        (loader.folder / "folder").mkdir()
        line = loader.refused(command, "--source", export, "--warehouse", "folder")
        assert f"cannot open the warehouse {loader.folder / 'folder'}" in line

    def test_warehouse_that_is_damaged(self, loader: Command, export: Path) -> None:
        loader("pull", "--source", export)
        warehouse = loader.folder / "warehouse.duckdb"
        damage(warehouse)
        line = loader.refused("history")
        assert f"{warehouse} is damaged" in line
        assert line.endswith("put a backup in its place, or pull into a new one")

    def test_warehouse_that_was_changed_by_hand(self, loader: Command, export: Path) -> None:
        loader("pull", "--source", export)
        with duckdb.connect(loader.folder / "warehouse.duckdb") as connection:
            connection.execute("alter table optimizely_ledger.days drop column source")
        line = loader.refused("pull", "--source", export)
        assert "has not the tables that `loader pull` makes" in line
        assert line.endswith("put a backup in its place, or pull into a new one")

    def test_warehouse_that_is_a_pipe(self, loader: Command) -> None:
        os.mkfifo(loader.folder / "pipe")
        line = loader.refused("status", "--warehouse", "pipe")
        assert "no warehouse can be at pipe (it is no file)" in line

    @pytest.mark.parametrize("place", ["/proc/w.duckdb", "/proc/new/w.duckdb", "file/w.duckdb"])
    def test_warehouse_where_nothing_can_be_written(
        self, loader: Command, export: Path, place: str
    ) -> None:
        (loader.folder / "file").touch()
        line = loader.refused("pull", "--source", export, "--warehouse", place)
        assert f"cannot write beside the warehouse {loader.folder / place}" in line
        assert line.endswith("give another place with --warehouse")


class TestPull:
    def test_last_line_says_what_was_landed(self, loader: Command, export: Path) -> None:
        size = sum(path.stat().st_size for path in export.rglob("*.parquet"))
        done = loader("pull", "--source", export)
        assert done.returncode == ExitCode.DONE
        assert re.fullmatch(
            rf"landed 6 days, 12 files, 24 rows, {size:,} bytes in \d+\.\d s; 0 days unchanged\n",
            done.stdout,
        )
        assert done.stderr == ""

        again = loader("pull", "--source", export)
        assert again.stdout.startswith("landed 0 days, 0 files, 0 rows, 0 bytes in ")
        assert again.stdout.endswith("; 6 days unchanged\n")

    def test_options_from_the_environment(self, loader: Command, export: Path) -> None:
        done = loader.process(
            "pull", OPTIMIZELY_E3_SOURCE=str(export), OPTIMIZELY_E3_WAREHOUSE="mine.duckdb"
        )
        assert done.returncode == ExitCode.DONE
        assert staged(loader.folder / "mine.duckdb") == expected(few_days())

    def test_json(self, loader: Command, export: Path) -> None:
        told = loader.json("pull", "--source", export, "--type", "events", "--until", str(day(1)))
        assert {name: told[name] for name in ("days", "files", "rows", "dry_run", "exit_code")} == {
            "days": 2,
            "files": 4,
            "rows": 8,
            "dry_run": False,
            "exit_code": 0,
        }
        assert told["landed"] == [
            {"type": "events", "date": str(day(0))},
            {"type": "events", "date": str(day(1))},
        ]

    def test_dry_run_creates_nothing(self, loader: Command, export: Path) -> None:
        done = loader("pull", "--source", export, "--warehouse", "new/w.duckdb", "--dry-run")
        lines = done.stdout.splitlines()
        assert done.returncode == ExitCode.DONE
        assert len(lines) == 7
        assert lines[0].startswith(f"would land decisions of {day(0)} (new): 2 files, ")
        assert lines[-1] == "would land 6 days; 0 days unchanged"
        assert list(loader.folder.iterdir()) == []

    def test_dry_run_of_a_rewritten_day(self, loader: Command, export: Path) -> None:
        loader("pull", "--source", export)
        before = (loader.folder / "warehouse.duckdb").read_bytes()
        write_state(export.parents[1], few_days() | decisions_of(day(1)))
        told = loader.json("pull", "--source", export, "--dry-run")
        assert told["to_land"] == [{"type": "decisions", "date": str(day(1)), "reason": "changed"}]
        assert (told["days"], told["dry_run"], told["landed"]) == (0, True, [])
        assert (loader.folder / "warehouse.duckdb").read_bytes() == before

    def test_force(self, loader: Command, export: Path) -> None:
        loader("pull", "--source", export)
        assert "landed 6 days" in loader("pull", "--source", export, "--force").stdout

    def test_the_calendar_s_first_day(self, loader: Command, export: Path) -> None:
        first, *others = sorted((export / "type=events").glob("date=*"))
        for folder in others:
            shutil.rmtree(folder)
        first.rename(first.with_name(f"date={date.min}"))
        for _ in range(2):
            assert loader("pull", "--source", export).returncode == 0

    def test_closed_standard_error(self, loader: Command, export: Path) -> None:
        done = loader.closed("2>&-", "pull", "--source", export)
        assert done.returncode == 0
        assert "landed 6 days" in done.stdout

    def test_a_day_that_is_not_ready(self, loader: Command, export: Path) -> None:
        (export / f"type=events/date={day(1)}/_SUCCESS").unlink()
        done = loader("pull", "--source", export)
        assert done.returncode == ExitCode.NOT_READY
        assert done.stdout.startswith("landed 5 days")
        assert done.stderr == (
            f"not ready: events of {day(1)} has no _SUCCESS yet: run the pull again later\n"
        )

    def test_hostile_names_are_printed_as_they_are(self, loader: Command, export: Path) -> None:
        # Names from outside, that a terminal or rich would take for something else.
        name = "event=[bold]é 🛒[] :smile: \x1b[31m"
        bad = export / f"type=events/date={day(0)}" / name / "part-9.parquet"
        bad.parent.mkdir()
        bad.write_bytes(b"no Parquet")
        shutil.copytree(export / "type=events", export / "type=[red]")

        for encoding in ("utf-8", "ascii"):
            done = loader.process("pull", "--source", export, PYTHONIOENCODING=encoding)
            assert done.returncode == ExitCode.BAD_INPUT
            assert "note: type=[red] is not in the specification" in done.stderr
            assert "event=[bold]" in done.stderr
            assert "[] :smile: \\x1b[31m" in done.stderr
            assert "Traceback" not in done.stderr
        told = json.loads(
            loader.process("pull", "--source", export, "--json", PYTHONIOENCODING="ascii").stdout
        )
        assert [item["key"] for item in told["quarantined"]] == [
            f"type=events/date={day(0)}/{name}/part-9.parquet"
        ]
        assert told["unknown_types"] == ["[red]"]

    def test_a_bad_day_is_told_and_the_others_are_landed(
        self, loader: Command, export: Path
    ) -> None:
        next(iter((export / f"type=events/date={day(1)}").rglob("*.parquet"))).write_bytes(b"x")
        done = loader("pull", "--source", export)
        assert done.returncode == ExitCode.BAD_INPUT
        assert done.stdout.startswith("landed 5 days")
        assert "not a readable Parquet file" in done.stderr
        assert f"not landed: events of {day(1)} has 1 bad files" in done.stderr

    def test_an_unknown_column_is_told(self, loader: Command, tmp_path: Path) -> None:
        root = write_state(tmp_path / "one", decisions_of(day(0), decision("a")))
        [path] = root.rglob("*.parquet")
        table = pq.ParquetFile(path).read()
        pq.write_table(table.append_column("[bold]new", table["uuid"]), path)
        done = loader("pull", "--source", root)
        assert done.returncode == ExitCode.DONE
        assert done.stderr == (
            "note: decisions holds columns that the specification does not have, "
            "not landed: [bold]new\n"
        )


class TestStatus:
    def test_every_state(self, loader: Command, tmp_path: Path) -> None:
        state = {unit: files for unit, files in few_days(4).items() if unit[1] != day(2)}
        root = write_state(tmp_path / "export", state)
        loader("pull", "--source", root, "--until", day(1).isoformat())
        state |= decisions_of(day(1), decision("rewritten", day(1)))
        write_state(tmp_path / "export", state)
        (root / f"type=events/date={day(3)}/_SUCCESS").unlink()

        done = loader("status", "--source", root)
        told = loader.json("status", "--source", root)

        states = {(item["type"], item["date"]): item["state"] for item in told}
        wanted = {
            ("decisions", day(0)): "landed",
            ("decisions", day(1)): "changed at the source",
            ("decisions", day(2)): "missing",
            ("decisions", day(3)): "to land",
            ("events", day(0)): "landed",
            ("events", day(1)): "landed",
            ("events", day(2)): "missing",
            ("events", day(3)): "not ready",
        }
        assert states == {(name, str(at)): word for (name, at), word in wanted.items()}
        assert done.returncode == ExitCode.DONE
        assert done.stdout.splitlines()[-1] == (
            "3 landed, 1 to land, 1 changed at the source, 1 not ready, 2 missing"
        )
        for (name, at), word in wanted.items():
            assert re.search(rf"^{name} +{at} +{word}( |$)", done.stdout, re.MULTILINE)
        counts = [item["rows"] for item in told]
        assert counts == [4, 4, None, None, 4, 4, None, None]

    def test_without_a_source_the_ledger_speaks(self, loader: Command, export: Path) -> None:
        loader("pull", "--source", export, "--type", "events")
        told = loader.json("status")
        assert {(item["type"], item["state"]) for item in told} == {
            ("decisions", "missing"),
            ("events", "landed"),
        }

    def test_of_nothing(self, loader: Command) -> None:
        done = loader("status")
        assert done.stdout == (
            f"nothing is landed in {loader.folder / 'warehouse.duckdb'}; no --source was given\n"
        )
        assert done.returncode == ExitCode.DONE
        assert list(loader.folder.iterdir()) == []

    def test_creates_nothing(self, loader: Command, export: Path) -> None:
        assert loader("status", "--source", export).stdout.splitlines()[-1] == "6 to land"
        assert list(loader.folder.iterdir()) == []


def test_demo_then_pull_then_status(loader: Command) -> None:
    # With seven days one of them is missing on purpose.
    demo = loader.json("demo", "shop", "--days", "7", "--events", "500", "--visitors", "60")
    told = loader.json("pull", "--source", "shop")
    assert (told["rows"], told["files"]) == (demo["events"], demo["files"])
    states = loader.json("status", "--source", "shop")
    assert sum(item["rows"] or 0 for item in states) == demo["events"]
    assert {item["state"] for item in states} == {"landed", "missing"}
    assert "error" not in loader("demo", "shop", "--days", "7", "--events", "500").stdout


def test_without_a_command_it_says_what_there_is(loader: Command) -> None:
    done = loader()
    assert done.returncode == ExitCode.DONE
    assert done.stderr == ""
    for command in ("pull", "status", "demo"):
        assert re.search(rf"^  {command} ", done.stdout, re.MULTILINE)


def test_any_locale_and_time_zone_lands_the_same(loader: Command, tmp_path: Path) -> None:
    state = few_days() | conversions_of(day(1), conversion("é", day(1)), part="pärt 🛒")
    root = write_state(tmp_path / "é 🛒", state)
    for number, env in enumerate(
        (
            {"LC_ALL": "C", "TZ": "America/New_York"},
            {"LC_ALL": "POSIX", "PYTHONIOENCODING": "ascii", "TZ": "Asia/Kolkata"},
            {"LC_ALL": "C.UTF-8", "TZ": "UTC"},
        )
    ):
        done = loader.process("pull", "--source", root, "--warehouse", f"{number}.duckdb", **env)
        assert (done.returncode, done.stderr) == (0, "")
        assert staged(loader.folder / f"{number}.duckdb") == expected(state)


CLOSED = """
import os, sys
from loader.starting import open_standard_streams
open_standard_streams()
print("to the next file that is opened", file=sys.stderr)
file = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)
os.write(file, str(file).encode())
"""


def test_no_file_is_taken_for_a_closed_stream(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CLOSED, str(tmp_path / "number")]
    done = subprocess.run(["sh", "-c", 'exec "$@" 0<&- 1>&- 2>&-', "sh", *command])
    assert done.returncode == 0
    assert int((tmp_path / "number").read_text()) > 2
