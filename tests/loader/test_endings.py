"""How commands end when something is in the way: one line, an exit code, and nothing half done."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent

import duckdb
import pytest

from loader.demo import write_export
from loader.errors import ExitCode, LoaderError
from loader.export.layout import Export, open_export
from loader.export.store import ExportFile, save
from loader.landing.spool import open_spool
from loader.landing.warehouse import is_disk_full, open_warehouse, resolve_warehouse
from loader.plan import Plan, PlannedDay
from tests.loader.command import Command, Done
from tests.loader.days import Days, check_ledger, days_of
from tests.loader.disk import Disk
from tests.loader.exports import (
    beside,
    day,
    everything,
    expected,
    few_days,
    landed_units,
    plan,
    pull,
    run_plan,
    staged,
)
from tests.loader.s3_server import S3Export

INTERRUPTED = "interrupted; what was done so far is kept\n"
ALL = ("--since", "2020-01-01")


def said(done: Done, code: ExitCode) -> str:
    """The one line of a command that ended with an error."""
    assert done.returncode == code, done
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr.strip()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo of four days; it lands in about half a second."""
    folder = tmp_path_factory.mktemp("shop")
    write_export(folder, days=4, visitors=300, events=8_000)
    return folder


@pytest.fixture(scope="module")
def landed(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Days:
    """What an undisturbed pull of the shop lands."""
    warehouse = tmp_path_factory.mktemp("undisturbed") / "w.duckdb"
    pull(shop, warehouse)
    return days_of(warehouse)


class TestInterrupted:
    """Ctrl-C, which a shell sends only to what it runs in the foreground."""

    @staticmethod
    def start(*command: str | Path) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, *map(str, command)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A process in the background, as a test may be, has it ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )

    def test_midway(self, shop: Path, landed: Days, tmp_path: Path) -> None:
        warehouse = tmp_path / "w.duckdb"
        spool = tmp_path / "w.duckdb.spool"
        log = tmp_path / "w.duckdb.wal"
        instants = [(spool, 0.0), (log, 0.0), (log, 0.05)]
        interrupted = half_done = 0
        for begun, later in instants * 5:
            if interrupted >= len(instants) and half_done:
                break
            command = ("pull", *ALL, "--source", shop, "--warehouse", warehouse)
            with self.start("-m", "loader", *command) as process:
                while process.poll() is None and not begun.exists():
                    time.sleep(0.0005)
                time.sleep(later)
                if spool.exists():  # else it was done too soon
                    process.send_signal(signal.SIGINT)
                    if process.wait(timeout=30) == ExitCode.DONE:  # it came with the last day
                        continue
                    assert process.returncode == ExitCode.INTERRUPTED
                    assert process.stderr is not None
                    assert process.stderr.read().endswith(INTERRUPTED)
                    interrupted += 1
            assert not spool.exists()
            days = days_of(warehouse) if warehouse.exists() else {}
            assert days == {unit: landed[unit] for unit in days}
            if days:
                check_ledger(warehouse, days)
            half_done += 0 < len(days) < len(landed)
            if len(days) > len(landed) // 2:  # so that the next one has something to do
                warehouse.unlink()
        assert interrupted >= len(instants) and half_done

        assert pull(shop, warehouse).exit_code == ExitCode.DONE
        assert days_of(warehouse) == landed
        assert beside(warehouse) == {"w.duckdb"}

    @pytest.mark.parametrize("name", ["loader", "report"])
    def test_while_it_starts(self, tmp_path: Path, name: str) -> None:
        # As the installed script does it, and a line once Python itself has started.
        script = f"from {name}.__main__ import main; print(flush=True); main()"
        command = ("status",) if name == "loader" else ("show",)
        interrupted = 0
        for later in (0.02, 0.07, 0.15, 0.25):
            warehouse = tmp_path / "w.duckdb"
            with self.start("-c", script, *command, "--warehouse", warehouse) as process:
                assert process.stdout is not None and process.stderr is not None
                assert process.stdout.readline() == "\n"
                time.sleep(later)
                process.send_signal(signal.SIGINT)
                code, stderr = process.wait(timeout=30), process.stderr.read()
            assert "Traceback" not in stderr
            assert list(tmp_path.iterdir()) == []
            # Python kills itself by the signal if it came while text was compiled.
            if code in (ExitCode.INTERRUPTED, -signal.SIGINT):
                assert stderr in ("", INTERRUPTED)
                interrupted += 1
            else:  # it was done before the signal came
                assert code in (ExitCode.DONE, ExitCode.USAGE)
        assert interrupted

    def test_nothing_is_said_after_it(self) -> None:
        """DuckDB lists what it could not free, if threads had it, which is no use to anybody."""
        script = """
            import atexit, os, signal
            from loader.command_line import run
            atexit.register(os.write, 2, b"leaked 27 instances!")
            run(lambda *_, **__: os.kill(os.getpid(), signal.SIGINT), "loader")
        """
        with self.start("-c", dedent(script)) as process:
            assert process.wait(timeout=30) == ExitCode.INTERRUPTED
            assert process.stderr is not None
            assert process.stderr.read() == INTERRUPTED

    @pytest.mark.parametrize(
        ("place", "told"), [("loader.command_line.run", ""), ("loader.cli.app", INTERRUPTED)]
    )
    def test_outside_of_a_command(
        self, loader: Command, monkeypatch: pytest.MonkeyPatch, place: str, told: str
    ) -> None:
        def interrupted(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(place, interrupted)
        assert loader("status") == Done(ExitCode.INTERRUPTED, "", told)

    def test_a_query(self, tmp_path: Path) -> None:
        with pytest.raises(KeyboardInterrupt), open_warehouse(tmp_path / "w.duckdb"):
            raise RuntimeError("Query interrupted")
        with pytest.raises(RuntimeError), open_warehouse(tmp_path / "w.duckdb"):
            raise RuntimeError("something else")


class ManyFiles:
    """A store of two days: the first is empty, the second has many files; it counts downloads."""

    identity = "test://store/"

    def __init__(self, seconds: float, error: Exception | None = None):
        self.listed = [
            ExportFile(f"type=events/date={day(1)}/event=x/part-{n}.parquet", 4, None)
            for n in range(400)
        ]
        self.downloads = 0
        self._seconds = seconds
        self._error = error

    def at(self, folder: str) -> "ManyFiles":
        return self

    def address(self, key: str) -> str:
        return self.identity + key

    def folders(self, folder: str) -> list[str]:
        return [f"date={day(n)}" for n in range(2)] if folder == "type=events/" else []

    def level(self, folder: str) -> tuple[list[str], list[str]]:
        return self.folders(folder), []

    def files(self, folder: str) -> list[ExportFile]:
        mark = ExportFile(f"{folder}_SUCCESS", 0, None)
        return [mark, *(file for file in self.listed if file.key.startswith(folder))]

    def download(self, file: ExportFile, path: Path) -> None:
        self.downloads += 1  # near enough: only its size is looked at
        time.sleep(self._seconds)
        if self._error and file == self.listed[0]:
            raise self._error
        save([b"PAR1"], file, path)

    def pull(self, warehouse: Path, on_landed: Callable[[object], None]) -> None:
        export = Export(self, ["events"])
        planned = Plan([PlannedDay(export.day("events", day(n)).listed(), "new") for n in range(2)])
        run_plan(planned, export, warehouse, on_landed)


class TestDownloadsGivenUp:
    def test_at_the_first_error(self, tmp_path: Path) -> None:
        error = LoaderError("the key has expired: get another", ExitCode.CREDENTIALS)
        store = ManyFiles(0.005, error)
        with pytest.raises(LoaderError, match="expired"):
            store.pull(tmp_path / "w.duckdb", lambda _: None)
        assert 1 <= store.downloads < len(store.listed) // 2
        assert beside(tmp_path / "w.duckdb") == {"w.duckdb"}

    @pytest.mark.parametrize("error", [KeyboardInterrupt, LoaderError("", ExitCode.NO_DISK_SPACE)])
    def test_of_the_next_day_when_this_one_fails(
        self, tmp_path: Path, error: type[BaseException] | BaseException
    ) -> None:
        store = ManyFiles(0.2)

        def fail(_: object) -> None:
            raise error

        with pytest.raises((KeyboardInterrupt, LoaderError)):
            store.pull(tmp_path / "w.duckdb", fail)
        assert store.downloads < len(store.listed) // 2
        assert beside(tmp_path / "w.duckdb") == {"w.duckdb"}

    def test_all_are_fetched_otherwise(self, tmp_path: Path) -> None:
        store = ManyFiles(0)
        store.pull(tmp_path / "w.duckdb", lambda _: None)  # no Parquet, so they are quarantined
        assert store.downloads == len(store.listed)

    def test_from_s3(self, s3_export: S3Export, tmp_path: Path) -> None:
        folder = f"type=events/date={day(0)}"
        for number in range(100):
            s3_export.put(f"{folder}/event=x/part-{number:03}.parquet", b"PAR1")
        s3_export.put(f"{folder}/_SUCCESS")
        s3_export.fail("GET", 403, "ExpiredToken", times=1000)
        process = subprocess.run(
            [sys.executable, "-m", "loader", "pull", "--source", s3_export.source],
            cwd=tmp_path,
            env=s3_export.environment | {"PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True,
            text=True,
            timeout=60,
        )
        line = said(Done(process.returncode, process.stdout, process.stderr), ExitCode.CREDENTIALS)
        assert "ExpiredToken" in line
        assert 1 <= s3_export.requests["GET"] <= 50
        assert beside(tmp_path / "warehouse.duckdb") == set()


class TestFullDisk:
    @pytest.mark.parametrize("size", ["4k", "1m", "2m"])
    def test_of_a_first_pull(
        self,
        loader: Command,
        new_disk: Callable[[str], Disk],
        shop: Path,
        landed: Days,
        size: str,
    ) -> None:
        disk = new_disk(size)
        command = ("pull", *ALL, "--source", shop, "--warehouse", disk.warehouse)
        for _ in range(2):
            line = said(loader(*command), ExitCode.NO_DISK_SPACE)
            assert str(disk.folder) in line and "free some" in line
            days = days_of(disk.warehouse) if disk.warehouse.exists() else {}
            assert days == {unit: landed[unit] for unit in days}
            assert not disk.warehouse.with_name("w.duckdb.spool").exists()

        disk.grow()
        assert loader(*command).returncode == ExitCode.DONE
        assert days_of(disk.warehouse) == landed
        check_ledger(disk.warehouse, landed)
        assert beside(disk.warehouse) == {"w.duckdb"}

    @pytest.mark.parametrize("free", [0, 300_000])
    def test_of_a_rewritten_export(
        self,
        loader: Command,
        new_disk: Callable[[str], Disk],
        shop: Path,
        landed: Days,
        tmp_path: Path,
        free: int,
    ) -> None:
        disk = new_disk("64m")
        write_export(tmp_path / "old", seed=2, days=4, visitors=300, events=8_000)
        pull(tmp_path / "old", disk.warehouse)
        old = days_of(disk.warehouse)
        disk.fill(free)

        command = ("pull", *ALL, "--source", shop, "--warehouse", disk.warehouse)
        said(loader(*command), ExitCode.NO_DISK_SPACE)
        now = days_of(disk.warehouse)
        assert now == {unit: (old if now[unit] == old[unit] else landed)[unit] for unit in old}
        check_ledger(disk.warehouse, now)
        assert any(now[unit] == old[unit] for unit in old)

        disk.grow()
        assert loader(*command).returncode == ExitCode.DONE
        assert days_of(disk.warehouse) == landed

    def test_of_a_source_that_moved(
        self, loader: Command, new_disk: Callable[[str], Disk], export: Path, tmp_path: Path
    ) -> None:
        disk = new_disk("64m")
        pull(export, disk.warehouse)
        before = everything(disk.warehouse)
        moved = Path(shutil.copytree(export, tmp_path / "moved"))
        disk.fill(0)

        command = ("pull", *ALL, "--source", moved, "--warehouse", disk.warehouse)
        said(loader(*command), ExitCode.NO_DISK_SPACE)
        assert everything(disk.warehouse) == before

        disk.grow()
        assert loader(*command).stdout.endswith("; 6 days unchanged\n")
        assert everything(disk.warehouse) != before
        assert staged(disk.warehouse) == expected(few_days())

    def test_of_a_demo(self, loader: Command, new_disk: Callable[[str], Disk]) -> None:
        disk = new_disk("300k")
        command = ("demo", disk.folder / "shop", "--days", "3", "--events", "2000")
        assert "no disk space left" in said(loader(*command), ExitCode.NO_DISK_SPACE)
        disk.grow()
        assert loader(*command).returncode == ExitCode.DONE

    @pytest.mark.parametrize(
        ("error", "is_full"),
        [
            (duckdb.IOException('Could not write file "x": No space left on device'), True),
            (duckdb.FatalException("failed: No space left on device"), True),
            (duckdb.TransactionException("Failed to commit: No space left on device"), True),
            (duckdb.IOException("IO Error: could not allocate block of size 256 KiB"), True),
            (duckdb.IOException("Could not write file: Input/output error"), False),
            (duckdb.OutOfMemoryException("failed to allocate data of size 1 KiB"), False),
        ],
    )
    def test_as_duckdb_tells_it(self, tmp_path: Path, error: duckdb.Error, is_full: bool) -> None:
        assert is_disk_full(error) == is_full
        raised = LoaderError if is_full else type(error)
        with pytest.raises(raised) as told, open_warehouse(tmp_path / "w.duckdb"):
            raise error
        if isinstance(told.value, LoaderError):
            assert told.value.exit_code == ExitCode.NO_DISK_SPACE


class TestWarehousePaths:
    @pytest.mark.parametrize("command", ["pull", "status"])
    def test_a_tilde_is_the_home(
        self,
        loader: Command,
        export: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        command: str,
    ) -> None:
        home = tmp_path / "home"
        home.mkdir()
        monkeypatch.setenv("HOME", str(home))
        pull(export, home / "x.duckdb")
        (home / "x.duckdb.lock").unlink()
        done = loader(command, *ALL, "--source", export, "--warehouse", "~/x.duckdb")
        assert done.returncode == ExitCode.DONE
        assert "6 landed" in done.stdout or done.stdout.endswith("; 6 days unchanged\n")
        assert (home / "x.duckdb.lock").exists() == (command == "pull")
        assert list(loader.folder.iterdir()) == []

    @pytest.mark.parametrize("command", ["pull", "status"])
    @pytest.mark.parametrize(
        "path",
        [
            ":memory:",
            "below/:memory:",
            "s3://b/x.duckdb",
            "https://host/x.duckdb",
            "n" * 300,
            "x\udcff.duckdb",
            "~nosuch/x.duckdb",
            "which?/x.duckdb",
            "Optimizely_raw.duckdb",
            "optimizely_ledger.duckdb",
        ],
    )
    def test_that_no_file_can_have(
        self, loader: Command, export: Path, command: str, path: str
    ) -> None:
        line = loader.refused(command, "--source", export, "--warehouse", path)
        assert line.isprintable()
        assert line.endswith(("with --warehouse", "give the path of a DuckDB file"))

    def test_from_the_environment(
        self, loader: Command, export: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OPTIMIZELY_E3_WAREHOUSE", ":memory:")
        assert "cannot be :memory:" in loader.refused("pull", "--source", export)

    def test_that_may_not_be_looked_at(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

        monkeypatch.setattr(Path, "stat", refuse)  # root may look everywhere
        with pytest.raises(LoaderError, match="Permission denied") as refused:
            resolve_warehouse(tmp_path / "w.duckdb")
        assert refused.value.exit_code == ExitCode.USAGE

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may enter every folder")
    @pytest.mark.parametrize("command", ["pull", "status"])
    def test_below_a_folder_that_may_not_be_entered(
        self, loader: Command, export: Path, command: str, tmp_path: Path
    ) -> None:
        closed = tmp_path / "closed"
        closed.mkdir(mode=0)
        line = loader.refused(command, "--source", export, "--warehouse", closed / "w.duckdb")
        assert "Permission denied" in line

    def test_whose_name_has_two_lines(self, loader: Command, export: Path) -> None:
        (loader.folder / "a\nb").mkdir()
        for path in ("a\nb", "/proc/a\nb/w.duckdb"):
            assert "a\\nb" in loader.refused("pull", "--source", export, "--warehouse", path)

    @pytest.mark.parametrize("ending", [".spool", ".new"])
    @pytest.mark.parametrize("is_folder", [False, True])
    def test_whose_neighbour_is_taken(
        self, loader: Command, export: Path, ending: str, is_folder: bool
    ) -> None:
        taken = loader.folder / f"warehouse.duckdb{ending}"
        if is_folder:
            taken.mkdir()
            (taken / "file").touch()
        else:
            taken.write_text("mine")
        done = loader("pull", "--source", export)
        # What a killed pull may leave is removed, and nothing else.
        if is_folder == (ending == ".spool"):
            assert done.returncode == ExitCode.DONE
            assert not taken.exists()
        else:
            assert str(taken) in said(done, ExitCode.USAGE)
            assert taken.is_dir() == is_folder
            assert beside(loader.folder / "warehouse.duckdb") == {taken.name}


class TestSources:
    @pytest.mark.parametrize(
        "source",
        ["~nosuch/x", "file:///tmp/%00", "file://[abc/x", "a\0b", "file:///x%0Ay", "x\udcff"],
    )
    def test_that_no_folder_can_have(self, loader: Command, source: str) -> None:
        assert loader.refused("pull", "--source", source).isprintable()


class TestDemo:
    ARGUMENTS = ("--days", "3", "--visitors", "20", "--events", "200")

    @pytest.mark.parametrize("place", ["file", "file/below", "/proc/x", "n" * 300, "line\nbreak"])
    def test_where_no_folder_can_be(self, loader: Command, place: str) -> None:
        for name in ("file", "line\nbreak"):
            (loader.folder / name).write_text("mine")
        assert loader.refused("demo", place, *self.ARGUMENTS).isprintable()

    @pytest.mark.parametrize("name", ["type=decisions", "notes.txt", "line\nbreak"])
    def test_into_a_folder_of_something_else(self, loader: Command, name: str) -> None:
        (loader.folder / "other\n" / name).mkdir(parents=True)
        line = loader.refused("demo", "other\n", *self.ARGUMENTS)
        assert "already holds another export" in line

    def test_a_name_that_is_not_utf8(self, loader: Command) -> None:
        done = loader("demo", "x\udcff", *self.ARGUMENTS)
        assert done.returncode == ExitCode.DONE
        assert done.stdout.endswith("in x\\udcff\n")

    @pytest.mark.parametrize(
        "note", [{}, {"totals": None}, {"totals": []}, {"totals": {"files": 1}}]
    )
    def test_totals_that_are_missing_are_counted(
        self, loader: Command, note: dict[str, object]
    ) -> None:
        whole = loader.json("demo", "shop", *self.ARGUMENTS)
        path = loader.folder / "shop" / "demo.json"
        written = json.loads(path.read_text())
        del written["totals"]
        path.write_text(json.dumps(written | note))
        assert loader.json("demo", "shop", *self.ARGUMENTS) == whole
        assert json.loads(path.read_text())["totals"]["events"] == whole["events"]

    @pytest.mark.parametrize("place", ["pathlib.Path.replace", "loader.demo.writer._write"])
    def test_killed_before_there_was_data(
        self, loader: Command, monkeypatch: pytest.MonkeyPatch, place: str
    ) -> None:
        def kill(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(place, kill)
            done = loader("demo", "shop", *self.ARGUMENTS)
        assert (done.returncode, done.stdout, done.stderr) == (130, "", INTERRUPTED)
        assert not (loader.folder / "shop" / "v1").exists()
        assert len(list((loader.folder / "shop").iterdir())) == 1

        again = loader("demo", "shop", *self.ARGUMENTS)
        assert (again.returncode, again.stderr) == (ExitCode.DONE, "")
        assert [path.name for path in (loader.folder / "shop").glob("*.json")] == ["demo.json"]
        assert loader("pull", "--source", "shop").returncode == ExitCode.DONE


class TestStandardOutput:
    COMMANDS = (("--help",), ("status",))

    @staticmethod
    def run(export: Path, command: tuple[str, ...], stdout: int, **options: object) -> Done:
        asked = ("--source", str(export)) if command[0] != "--help" else ()
        process = subprocess.run(
            [sys.executable, "-m", "loader", *command, *asked],
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            **options,  # type: ignore[call-overload]
        )
        return Done(process.returncode, "", process.stderr)

    @pytest.mark.parametrize("command", COMMANDS)
    def test_whose_reader_is_gone(
        self, loader: Command, export: Path, command: tuple[str, ...]
    ) -> None:
        reader, writer = os.pipe()
        os.close(reader)
        try:
            done = self.run(export, command, writer)
        finally:
            os.close(writer)
        assert (done.returncode, done.stderr) == (141, "")

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
    @pytest.mark.parametrize("command", COMMANDS)
    def test_that_is_full(self, loader: Command, export: Path, command: tuple[str, ...]) -> None:
        with Path("/dev/full").open("wb") as full:
            done = self.run(export, command, full.fileno())
        assert "no disk space left" in said(done, ExitCode.NO_DISK_SPACE)

    def test_that_is_closed(self, loader: Command, export: Path) -> None:
        done = self.run(export, ("pull",), subprocess.DEVNULL, preexec_fn=lambda: os.close(1))
        assert (done.returncode, done.stderr) == (ExitCode.DONE, "")
        assert staged(loader.folder / "warehouse.duckdb") == expected(few_days())


def test_status_names_a_bad_day_until_it_is_mended(loader: Command, export: Path) -> None:
    def state() -> str:
        days = loader.json("status", "--source", export, "--type", "events")
        [found] = [item["state"] for item in days if item["date"] == str(day(1))]
        return str(found)

    bad = next(iter((export / f"type=events/date={day(1)}").rglob("*.parquet")))
    good = bad.read_bytes()
    bad.write_bytes(b"no Parquet")
    assert state() == "to land"
    assert loader("pull", "--source", export).returncode == ExitCode.BAD_INPUT
    assert state() == "quarantined"
    assert loader("pull", *ALL, "--source", export).returncode == ExitCode.BAD_INPUT
    assert state() == "quarantined"
    bad.write_bytes(good)
    assert state() == "to land"
    assert loader("pull", *ALL, "--source", export).returncode == ExitCode.DONE
    assert state() == "landed"


class TestOnePullAtATime:
    def test_the_plan_is_made_while_the_spool_is_held(
        self, loader: Command, export: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        @contextmanager
        def after_another_pull(warehouse: Path) -> Iterator[Path]:
            planned = plan(export, warehouse)
            other = run_plan(planned, open_export(str(export)), warehouse)
            assert len(landed_units(other)) == 6
            with open_spool(warehouse) as spool:
                yield spool

        monkeypatch.setattr("loader.pull.open_spool", after_another_pull)
        done = loader("pull", *ALL, "--source", export)
        assert done.stdout.startswith("landed 0 days, ")
        assert done.stdout.endswith("; 6 days unchanged\n")

    def test_a_second_one_is_refused_before_it_plans(self, loader: Command, export: Path) -> None:
        with open_spool(loader.folder / "warehouse.duckdb"):
            done = loader("pull", "--source", export)
        assert "another command works on" in said(done, ExitCode.DATABASE_IN_USE)

    def test_a_stale_spool_goes_with_a_pull_of_nothing(self, loader: Command, export: Path) -> None:
        loader("pull", "--source", export)
        before = everything(loader.folder / "warehouse.duckdb")
        stale = loader.folder / "warehouse.duckdb.spool" / f"events-{day(0)}"
        stale.mkdir(parents=True)
        (stale / "1.parquet").write_bytes(b"half a file")
        done = loader("pull", "--source", export)
        assert done.stdout.endswith("; 6 days unchanged\n")
        assert beside(loader.folder / "warehouse.duckdb") == {"warehouse.duckdb"}
        assert everything(loader.folder / "warehouse.duckdb") == before
