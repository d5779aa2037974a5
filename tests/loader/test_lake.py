"""`--lake`: the rows that a warehouse would have, in files that nobody ever sees half of."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from loader import spec
from loader.cli import app
from loader.errors import ExitCode, LoaderError
from loader.export.layout import open_export
from loader.lake import commits
from loader.lake.forget import forget_in_lake
from loader.lake.storage import LakeStorage, open_lake, read_lake
from loader.lake.store import open_lake_store
from loader.landing.warehouse import open_warehouse
from loader.prune import prune
from loader.verify import verify
from tests.loader import lake_reader
from tests.loader.command import Command
from tests.loader.erased import visitors_of, without
from tests.loader.exports import (
    BOTH_TYPES,
    EVERYTHING,
    conversion,
    conversions_of,
    day,
    decision,
    decisions_of,
    everything,
    expected,
    few_days,
    pull,
    staged,
)
from tests.loader.faults.killed import arm
from tests.loader.files import inverted
from tests.loader.gcs_server import GcsServer
from tests.loader.s3_server import S3Export, S3Server
from tests.loader.warm import WarmProcess
from tests.models.histories import State, history, write_state

VISITOR = "visitor of d0-0"
LEDGER = ("days", "files", "quarantined_files", "changed_visitors")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "export"


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    return tmp_path / "lake"


def fill(lake: Path | str, source: Path, **options: Any) -> None:
    """Pulls everything into a lake."""
    with open_lake(str(lake)) as storage:
        result = pull(source, storage.database, storage=storage, **options)
        assert result.exit_code == ExitCode.DONE


def differences(lake: Path | str, source: Path | None = None) -> list[str]:
    """What `verify` finds in a lake."""
    with read_lake(str(lake)) as storage:
        export = None if source is None else open_export(str(source))
        found = verify(storage.database, list(BOTH_TYPES), EVERYTHING, export, storage=storage)
        return [difference.message for difference in found.differences]


def contents(lake: Path) -> dict[str, str]:
    """A hash of each file of a lake, by name."""
    return {
        str(path.relative_to(lake)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in lake.rglob("*")
        if path.is_file() and path.name != "_work.lock"
    }


def test_a_deleted_file_is_reported_and_landed_again(
    folder: Path, lake: Path, tmp_path: Path, loader: Command
) -> None:
    """Whose rows were in it is not known, so a build by visitor is not enough, and it says so."""
    write_state(folder, few_days())
    fill(lake, folder)
    [landed] = [
        found
        for found in lake_reader.table(lake, "lake_days")
        if (found["table_name"], str(found["export_date"])) == ("decisions", str(day(0)))
    ]
    for path in lake_reader.files(lake, landed):
        path.unlink()
    remedy = f"run `loader pull --since {day(0)} --until {day(0)} --type decisions --force`"
    assert [found for found in differences(lake, folder) if not found.endswith(remedy)] == []
    assert differences(lake, folder) != []
    pull_again = ["pull", "--source", str(folder), "--lake", str(lake), "--since", str(day(0))]
    done = loader(*pull_again, "--until", str(day(0)), "--type", "decisions", "--force")
    assert done.returncode == ExitCode.DONE
    assert done.stderr == (
        f"note: {landed['row_count']} decisions of {day(0)} had been deleted from the lake: "
        "run `dbt build --full-refresh` where DuckDB builds from it\n"
    )
    assert differences(lake, folder) == []
    pull(folder, tmp_path / "w.duckdb")
    assert lake_reader.rows(lake) == staged(tmp_path / "w.duckdb")


@pytest.mark.parametrize("seed", [31, 32])
def test_a_lake_holds_what_a_warehouse_does(
    folder: Path, lake: Path, tmp_path: Path, seed: int
) -> None:
    """After every load: the same rows and the same ledger, and no file was ever written twice."""
    warehouse = tmp_path / "w.duckdb"
    seen: dict[str, str] = {}
    for state in history(seed, visitors=25, loads=4).states:
        write_state(folder, state)
        pull(folder, warehouse)
        fill(lake, folder)
        assert lake_reader.rows(lake) == staged(warehouse) == expected(state)
        assert differences(lake, folder) == []
        now = contents(lake)
        assert all(now[name] == seen[name] for name in now.keys() & seen.keys())
        seen |= now
        with read_lake(str(lake)) as storage:
            ours, theirs = everything(storage.database), everything(warehouse)
            for name in LEDGER:
                key = f"optimizely_ledger.{name}"
                if name != "days":  # when it was landed differs
                    assert ours[key] == theirs[key], name
            assert sum(ours["optimizely_raw.decisions"].values()) == 0


def test_files_are_compact_and_sorted_by_visitor(folder: Path, lake: Path) -> None:
    fill(lake, write_state(folder, history(3, visitors=200, loads=0).states[0]))
    days = lake_reader.table(lake, "lake_days")
    assert days
    for landed in days:
        [path] = lake_reader.files(lake, landed)
        visitors = pq.read_table(path, columns=["visitor_id"], partitioning=None)[0].to_pylist()
        known = [visitor for visitor in visitors if visitor is not None]
        assert known == sorted(known)
        assert landed["byte_count"] == path.stat().st_size


@pytest.mark.parametrize("reading", ["status", "verify"])
def test_a_reader_is_told_that_the_lake_was_changed_meanwhile(
    folder: Path, lake: Path, monkeypatch: pytest.MonkeyPatch, reading: str
) -> None:
    """It reads a version whose files `loader forget` deletes before it has them all."""
    fill(lake, write_state(folder, few_days(1)))
    place, name = (commits, "load") if reading == "status" else (LakeStorage, "rows")
    slow = getattr(place, name)

    def change_first(*arguments: object) -> Any:
        monkeypatch.setattr(place, name, slow)
        forget = [sys.executable, "-m", "loader", "forget", "--visitor-id", VISITOR]
        subprocess.run([*forget, "--lake", lake], check=True, stdout=subprocess.DEVNULL)
        return slow(*arguments)

    monkeypatch.setattr(place, name, change_first)
    done = CliRunner().invoke(app, [reading, "--lake", str(lake)])
    assert isinstance(done.exception, LoaderError)
    assert done.exception.exit_code == ExitCode.TRANSIENT
    assert str(done.exception).endswith("was changed while it was read: run the command again")


def test_what_was_replaced_stays_a_day_for_those_who_read_it(folder: Path, lake: Path) -> None:
    fill(lake, write_state(folder, few_days(1)))
    before = {landed["folder"] for landed in lake_reader.table(lake, "lake_days")}
    changed = few_days(1) | decisions_of(day(0), decision("other"), part="part-9")
    fill(lake, write_state(folder, changed))
    after = {landed["folder"] for landed in lake_reader.table(lake, "lake_days")}
    [replaced] = before - after
    assert list((lake / replaced).iterdir())
    assert VISITOR not in str(lake_reader.rows(lake)["decisions"])
    [row] = [
        row for row in lake_reader.table(lake, "changed_visitors") if row["visitor_id"] == VISITOR
    ]
    assert row["load_id"] == 3

    with open_lake(str(lake)) as storage:
        storage.clean(timedelta(hours=1))
        assert (lake / replaced).exists()
        storage.clean(timedelta(0))
    assert not (lake / replaced).exists()
    assert len(list((lake / "commits").iterdir())) == 1
    assert lake_reader.rows(lake) == expected(changed)
    assert differences(lake, folder) == []


def test_what_a_killed_command_left_goes_after_a_day(folder: Path, lake: Path) -> None:
    fill(lake, write_state(folder, few_days(1)))
    orphan = lake / "decisions" / "export_date=2024-02-27" / "9-abcd" / "part-0.parquet"
    orphan.parent.mkdir()
    orphan.write_bytes(b"half")
    somebody_elses = lake / "notes.txt"
    somebody_elses.write_text("mine")
    fill(lake, folder)
    assert orphan.exists()
    os.utime(orphan, (0, 0))
    fill(lake, folder)
    assert not orphan.parent.exists()
    assert somebody_elses.exists()
    assert lake_reader.rows(lake) == expected(few_days(1))


POINTS = [
    *(("loader.lake.store.FolderLake.put", n) for n in (1, 2, 3, 5, 8)),
    ("loader.lake.store.FolderLake.create", 1),
    ("loader.lake.commits.commit", 1),
    ("loader.lake.commits._hash_of", 4),
    ("loader.lake.storage.LakeStorage.clean", 1),
    ("loader.lake.store.FolderLake.delete", 1),
]


@pytest.mark.parametrize(("point", "call"), POINTS)
def test_kills(folder: Path, lake: Path, point: str, call: int) -> None:
    """Killed before that call: the old version or the new one, and the next pull ends it."""
    old = few_days(2)
    new = (
        old | decisions_of(day(0), decision("n")) | conversions_of(day(1), conversion("m", day(1)))
    )
    fill(lake, write_state(folder, old))
    write_state(folder, new)
    command = ("pull", "--source", folder, "--lake", lake, "--since", "2024-01-01")
    assert WarmProcess(*command, prepare=partial(arm, point, call)).wait() == -signal.SIGKILL
    for table, rows in lake_reader.rows(lake).items():
        first, second = (expected(state)[table] for state in (old, new))
        assert rows in (first, second)
    assert differences(lake) == []
    fill(lake, folder)
    assert lake_reader.rows(lake) == expected(new)
    assert differences(lake, folder) == []
    assert sorted(path.name for path in lake.glob("_work*")) == ["_work.lock"]


def test_one_writes_at_a_time(folder: Path, lake: Path, loader: Command) -> None:
    fill(lake, write_state(folder, few_days(1)))
    with open_lake(str(lake)):
        done = loader("pull", "--source", folder, "--lake", lake)
        assert done.returncode == ExitCode.DATABASE_IN_USE
        assert done.stderr == (
            f"error: another command works on the lake {lake}/: wait for it to end\n"
        )
        assert loader("status", "--lake", lake).returncode == ExitCode.DONE


def test_a_commit_of_another_machine_is_not_overwritten(folder: Path, lake: Path) -> None:
    fill(lake, write_state(folder, few_days(1)))
    with read_lake(str(lake)) as elsewhere:  # no lock, as on another machine
        fill(lake, write_state(folder, few_days(2)))
        with pytest.raises(LoaderError, match="run the command again") as raised:
            pull(write_state(folder, few_days(3)), elsewhere.database, storage=elsewhere)
    assert raised.value.exit_code == ExitCode.DATABASE_IN_USE
    assert lake_reader.rows(lake) == expected(few_days(2))


@pytest.mark.parametrize("seed", [41, 42])
def test_forgotten_visitors_are_in_no_file(folder: Path, lake: Path, seed: int) -> None:
    rng = random.Random(seed)
    forgotten: set[str] = set()
    for state in history(seed, visitors=20, loads=3).states:
        fill(lake, write_state(folder, state))
        assert lake_reader.rows(lake) == without(state, forgotten)
        asked = rng.sample(visitors_of(state), 3)
        before = lake_reader.rows(lake)
        with read_lake(str(lake)) as storage:
            counted = forget_in_lake(storage, asked, dry_run=True).rows_deleted
        assert lake_reader.rows(lake) == before
        with open_lake(str(lake)) as storage:
            receipt = forget_in_lake(storage, asked)
        forgotten |= set(asked)
        assert lake_reader.rows(lake) == without(state, forgotten)
        gone = sum(sum(rows.values()) for rows in before.values()) - sum(
            sum(rows.values()) for rows in lake_reader.rows(lake).values()
        )
        raw = {name: n for name, n in receipt.rows_deleted.items() if "optimizely_raw" in name}
        assert (sum(raw.values()), raw) == (gone, counted)
        assert differences(lake, folder) == []
        for path in lake.rglob("*.parquet"):  # of older versions too
            columns = pq.read_schema(path).names
            if "visitor_id" in columns:
                found = pq.read_table(path, columns=["visitor_id"], partitioning=None)
                assert not forgotten & set(found[0].to_pylist()), path


def test_an_erasure_that_did_not_end_is_told(
    folder: Path, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(lake, write_state(folder, few_days(1)))
    with monkeypatch.context() as patch, open_lake(str(lake)) as storage:
        patch.setattr(LakeStorage, "clean", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            forget_in_lake(storage, [VISITOR])
        patch.undo()
    [message] = differences(lake)
    assert message.endswith("run `loader forget` again")
    with open_lake(str(lake)) as storage:
        forget_in_lake(storage, [VISITOR])
    assert differences(lake) == []


def test_pruned_days_are_gone(folder: Path, lake: Path) -> None:
    state = few_days(3)
    fill(lake, write_state(folder, state))
    with open_lake(str(lake)) as storage:
        prune(storage.database, day(1), storage=storage)
    kept: State = {unit: files for unit, files in state.items() if unit[1] >= day(1)}
    assert lake_reader.rows(lake) == expected(kept)
    assert differences(lake) == []
    noted = {row["visitor_id"] for row in lake_reader.table(lake, "changed_visitors")}
    assert VISITOR in noted


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("delete from optimizely_ledger.lake_days where table_name = 'decisions'", "0 rows, the"),
        ("update optimizely_ledger.files set row_count = 9", "rows, the ledger has 9"),
    ],
)
def test_verify_finds_what_differs(folder: Path, lake: Path, statement: str, told: str) -> None:
    fill(lake, write_state(folder, few_days(1)))
    with open_lake(str(lake)) as storage:
        with open_warehouse(storage.database) as connection:
            connection.execute(statement)
        storage.publish()
    assert any(told in message for message in differences(lake))


def cut(path: Path) -> None:
    os.truncate(path, 100)


def spoil(path: Path) -> None:
    """Leaves the footer as it is."""
    content = path.read_bytes()
    footer_bytes = int.from_bytes(content[-8:-4], "little") + 8
    path.write_bytes(inverted(content, 4, len(content) - footer_bytes))


def change(path: Path) -> None:
    """Another visitor, in a file that can be read all the same."""
    content = path.read_bytes()
    assert b"visitor of " in content
    path.write_bytes(content.replace(b"visitor of ", b"visitor or "))


def test_a_lake_of_an_older_loader_has_no_checksums(folder: Path, lake: Path) -> None:
    fill(lake, write_state(folder, few_days(2)))
    with open_lake(str(lake)) as storage:
        with open_warehouse(storage.database) as connection:
            connection.execute("alter table optimizely_ledger.lake_days drop column checksums")
        storage.publish()
    assert differences(lake) == []
    changed = few_days(2) | decisions_of(day(0), decision("other"))
    fill(lake, write_state(folder, changed))
    assert differences(lake) == []
    known = {row["export_date"]: row["checksums"] for row in lake_reader.table(lake, "lake_days")}
    assert (bool(known[day(0)]), known[day(1)]) == (True, None)


class TestCommands:
    def test_from_landing_to_erasing(self, loader: Command, export: Path, tmp_path: Path) -> None:
        lake = tmp_path / "lake"
        at = ("--lake", lake)
        assert loader("status", *at).stdout == (
            f"nothing is landed in {lake}/; no --source was given\n"
        )
        assert loader("pull", "--source", export, *at, "--dry-run").returncode == ExitCode.DONE
        assert not lake.exists()
        done = loader("pull", "--source", export, *at)
        assert done.stdout.startswith("landed 6 days, 12 files, 24 rows")
        assert loader.json("pull", "--source", export, *at)["days"] == 0
        assert {item["state"] for item in loader.json("status", *at)} == {"landed"}
        assert {item["state"] for item in loader.json("ls", "--source", export, *at)} == {"landed"}
        assert len(loader.json("history", *at)) == 6
        assert loader.json("verify", "--source", export, *at)["differences"] == []
        told = loader("forget", *at, "--visitor-id", VISITOR).stdout
        assert "their days' files written anew" in told
        assert loader.json("prune", *at, "--keep", str(day(1)))["rows"] == 6
        assert loader.json("verify", *at)["differences"] == []
        assert not (loader.folder / "warehouse.duckdb").exists()

    def test_what_cannot_be_a_lake(self, loader: Command, export: Path, tmp_path: Path) -> None:
        message = loader.refused("pull", "--source", export, "--lake", "12345")
        assert message.endswith("give s3://…, gs://…, or the folder ./12345")
        file = tmp_path / "file"
        file.touch()
        message = loader.refused("pull", "--source", export, "--lake", file)
        assert message.endswith("which is a file: give a folder")

    def test_a_folder_has_the_names_that_a_source_has(
        self, loader: Command, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HOME", str(loader.folder))
        place = loader.folder / "a lake"
        for name in ("a lake", "~/a lake", f"file://{place}", f"file://localhost{place}"):
            assert open_lake_store(name).address == f"{place}/"
        assert open_lake_store(f"file://{loader.folder}/a%20lake").address == f"{place}/"
        for name in ("file://elsewhere/lake", "~nosuch/lake", "a\0b"):
            assert "unknown source" in loader.refused("status", "--lake", name)

    def test_one_that_cannot_be_written(self, loader: Command, export: Path) -> None:
        (loader.folder / "file").touch()
        lake = loader.folder / "file" / "lake"
        message = loader.refused("pull", "--source", export, "--lake", lake)
        assert f"cannot write {lake}/_work.lock, the lock on the lake {lake}/ (" in message
        assert message.endswith("give another place with --lake, or set XDG_CACHE_HOME")

    @pytest.mark.parametrize(
        ("files", "harm", "command"),
        [
            ("decisions/**/*.parquet", cut, ["verify"]),
            ("decisions/**/*.parquet", cut, ["forget", "--visitor-id", "x"]),
            ("decisions/**/*.parquet", spoil, ["verify"]),
            ("decisions/**/*.parquet", change, ["verify"]),
            ("decisions/**/*.parquet", change, ["forget", "--visitor-id", "visitor of d0-0"]),
            ("ledger/days/**/*.parquet", cut, ["status"]),
            ("ledger/days/**/*.parquet", spoil, ["status"]),
            ("ledger/days/**/*.parquet", Path.unlink, ["status"]),
        ],
    )
    def test_damaged_files(
        self,
        loader: Command,
        export: Path,
        files: str,
        harm: Callable[[Path], None],
        command: list[str],
    ) -> None:
        lake = loader.folder / "lake"
        loader("pull", "--source", export, "--lake", lake)
        for path in lake.glob(files):
            harm(path)
        done = loader(*command, "--lake", lake)
        assert (done.returncode, done.stderr.count("\n")) == (ExitCode.BAD_INPUT, 1)
        assert "the lake cannot be read" in done.stderr
        assert done.stderr.endswith("landed again with `loader pull --force`\n")

    def test_no_commit_and_a_newer_loaders(
        self, loader: Command, export: Path, tmp_path: Path
    ) -> None:
        lake = tmp_path / "lake"
        (lake / "commits").mkdir(parents=True)
        commit = lake / "commits" / "1.json"
        commit.write_text("[]")
        done = loader("status", "--lake", lake)
        assert (done.returncode, done.stderr.count("\n")) == (ExitCode.BAD_INPUT, 1)
        line = {"format": commits.FORMAT + 1, "version": 1, "table_name": "a", "folder": "b/"}
        commit.write_text(json.dumps(line | {"rows_hash": ""}))
        done = loader("pull", "--source", export, "--lake", lake)
        assert done.returncode == ExitCode.USAGE
        assert done.stderr.endswith("was written by a newer loader: update this one\n")

    @pytest.mark.parametrize("scheme", ["s3", "gs"])
    def test_a_bad_name_of_a_bucket(self, loader: Command, scheme: str) -> None:
        done = loader("status", "--lake", f"{scheme}://My_Bucket!/lake")
        assert done.returncode == ExitCode.USAGE
        assert done.stderr.endswith(f": write {scheme}://<bucket>/<prefix>/\n")


def in_cloud(url: str, export: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Everything that is done to a lake, in a bucket."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    state = few_days()
    fill(url, export)
    fill(url, export)
    changed = state | decisions_of(day(0), decision("other"), part="part-9")
    fill(url, write_state(export, changed))
    assert differences(url, export) == []
    with open_lake(url) as storage:
        forget_in_lake(storage, ["visitor of d1-0"])
    with open_lake(url) as storage:
        prune(storage.database, day(1), storage=storage)
    with read_lake(url) as storage, open_warehouse(storage.database, read_only=True) as connection:
        for unit, table in spec.TABLES.items():
            found = [
                uuid
                for _, rows in storage.rows(connection, table)
                for (uuid,) in connection.execute(f"select uuid from {rows}").fetchall()
            ]
            assert sorted(found) == sorted(
                row["uuid"]
                for (export_type, export_date), files in changed.items()
                for _, of_file in files
                for row in of_file
                if export_type == unit and export_date >= day(1) and row["uuid"] != "d1-0"
            )
    assert differences(url) == []
    with read_lake(url) as elsewhere:
        fill(url, write_state(export, changed | conversions_of(day(2), conversion("z", day(2)))))
        with pytest.raises(LoaderError) as raised:
            pull(export, elsewhere.database, storage=elsewhere, force=True)
    assert raised.value.exit_code == ExitCode.DATABASE_IN_USE
    assert list((tmp_path / "cache").rglob("*.parquet")) == []


def test_in_s3(
    clean_environment: None,
    s3_server: S3Server,
    export: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    bucket, keys = s3_server.writable_bucket()
    for name, value in keys.items():
        monkeypatch.setenv(name, value)
    in_cloud(f"s3://{bucket}/some/lake", export, monkeypatch, tmp_path)


def test_a_bucket_that_denies_it(
    s3_export: S3Export, gcs_server: GcsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3_export.endpoint_url)
    bucket = gcs_server.export(bucket="own-bucket")
    bucket.fail("LIST", 403, "AccessDenied", times=10)
    monkeypatch.setenv("GOOGLE_BASE_URL", bucket.endpoint_url)
    monkeypatch.setenv("GOOGLE_BEARER_TOKEN", bucket.issue())
    for url in (f"s3://{s3_export.bucket}/elsewhere", "gs://own-bucket/lake"):
        with pytest.raises(LoaderError, match="AccessDenied: allow listing and reading ") as no:
            open_lake_store(url).files("")
        assert no.value.exit_code == ExitCode.CREDENTIALS


def test_in_gcs(
    gcs_server: GcsServer, export: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bucket = gcs_server.export(bucket="own-lake")
    monkeypatch.setenv("GOOGLE_BASE_URL", bucket.endpoint_url)
    monkeypatch.setenv("GOOGLE_BEARER_TOKEN", bucket.issue())
    in_cloud("gs://own-lake/lake", export, monkeypatch, tmp_path)
