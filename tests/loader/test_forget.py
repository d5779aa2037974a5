"""`loader forget`: no row, no byte and no later landing holds the visitor; the others stay."""

import io
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

import duckdb
import pytest

from loader import forget as forget_module
from loader.demo import write_export
from loader.errors import ExitCode, LoaderError
from loader.export.layout import open_export
from loader.forget import forget
from loader.landing import rewrite as rewrite_module
from loader.landing.spool import open_spool
from loader.landing.warehouse import open_warehouse
from loader.privacy import HASH_KEY
from loader.prune import prune
from loader.verify import verify
from tests.loader.command import Command
from tests.loader.erased import differences, visitors_of, without
from tests.loader.exports import (
    BOTH_TYPES,
    EVERYTHING,
    beside,
    day,
    decision,
    decisions_of,
    everything,
    expected,
    few_days,
    pull,
    query,
    staged,
)
from tests.loader.warm import WarmProcess
from tests.models.comparison import BUILT, assert_equals_full_refresh
from tests.models.histories import history, write_state
from tests.models.project import Project

VISITOR = "visitor of d0-0"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "export"


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    path = tmp_path / "warehouse" / "w.duckdb"
    path.parent.mkdir()
    return path


@pytest.mark.parametrize("seed", [11, 12])
def test_no_state_of_a_history_brings_them_back(folder: Path, warehouse: Path, seed: int) -> None:
    """After every load the tables are the source's, without whoever was forgotten until then."""
    rng = random.Random(seed)
    forgotten: set[str] = set()
    for state in history(seed, visitors=25, loads=4).states:
        pull(write_state(folder, state), warehouse, force=rng.random() < 0.3)
        assert staged(warehouse) == without(state, forgotten)
        assert differences(warehouse) == []
        asked = rng.sample(visitors_of(state), 3)
        before = staged(warehouse)

        receipt = forget(warehouse, asked)

        forgotten |= set(asked)
        assert staged(warehouse) == without(state, forgotten)
        gone = sum(sum(c.values()) for c in before.values()) - sum(
            sum(c.values()) for c in staged(warehouse).values()
        )
        assert gone == sum(
            count for table, count in receipt.rows_deleted.items() if "optimizely_raw" in table
        )
        assert differences(warehouse) == []
        assert len(pull(folder, warehouse).plan.to_land) == 0
        found = verify(warehouse, list(BOTH_TYPES), EVERYTHING, open_export(str(folder)))
        assert found.differences == []
    assert query(warehouse, "select count(*) from optimizely_ledger.forgotten_visitors") == [
        (len(forgotten),)
    ]


def test_no_byte_of_them_stays_beside_the_warehouse(folder: Path, warehouse: Path) -> None:
    pull(write_state(folder, few_days()), warehouse)
    # A replaced day leaves rows in freed blocks, and their visitors in the ledger.
    state = few_days() | decisions_of(day(0), decision("other", day(0)))
    pull(write_state(folder, state), warehouse)
    spool = warehouse.with_name("w.duckdb.spool")
    overflow = warehouse.with_name("w.duckdb.tmp")
    for leftover in (spool, overflow):
        leftover.mkdir()
        (leftover / "left").write_text(VISITOR)
    warehouse.with_name("w.duckdb.new").write_text(VISITOR)
    assert VISITOR.encode() in warehouse.read_bytes()
    tables = "optimizely_raw.decisions"
    assert query(warehouse, f"select 1 from {tables} where visitor_id = ?", VISITOR) == []

    receipt = forget(warehouse, [VISITOR])

    assert receipt.spool_emptied
    assert receipt.rows_deleted["optimizely_ledger.changed_visitors"] == 1
    for path in warehouse.parent.rglob("*"):
        assert VISITOR.encode() not in path.read_bytes(), path
    assert beside(warehouse) == {"w.duckdb"}
    assert staged(warehouse) == expected(state)


def test_a_link_to_the_warehouse_stays_one(folder: Path, warehouse: Path, tmp_path: Path) -> None:
    pull(write_state(folder, few_days(1)), warehouse)
    link = tmp_path / "link.duckdb"
    link.symlink_to(warehouse)
    warehouse.chmod(0o640)
    owner = 12345 if os.geteuid() == 0 else os.geteuid()  # only root may give it away
    os.chown(warehouse, owner, -1)
    forget(link, [VISITOR])
    assert link.is_symlink()
    assert warehouse.stat().st_mode & 0o777 == 0o640
    assert warehouse.stat().st_uid == owner
    assert staged(warehouse) == without(few_days(1), {VISITOR})


def test_the_ledger_says_what_happened(folder: Path, warehouse: Path) -> None:
    pull(write_state(folder, few_days(2)), warehouse)
    receipt = forget(warehouse, [VISITOR, "visitor of c1-2", VISITOR])

    assert receipt.visitors == 2
    assert receipt.load_ids == [5, 6]
    loads = query(
        warehouse,
        """
        select load_id, export_type, export_date, reason, rows_before, row_count, file_count
        from optimizely_ledger.loads where load_id > 4 order by all
        """,
    )
    assert loads == [
        (5, "decisions", day(0), "forgotten", 4, 2, 2),
        (6, "events", day(1), "forgotten", 4, 3, 2),
    ]
    assert query(
        warehouse,
        """
        select export_type, export_date, row_count, erased_row_count
        from optimizely_ledger.files where erased_row_count > 0 order by all
        """,
    ) == [("decisions", day(0), 1, 2), ("events", day(1), 0, 1)]
    hashes = query(
        warehouse,
        "select visitor_hash, erased_at > forgotten_at from optimizely_ledger.forgotten_visitors",
    )
    assert sorted(hashes) == [(found, True) for found in receipt.visitor_hashes]


def test_a_copy_in_another_store_keeps_the_counts(
    folder: Path, warehouse: Path, tmp_path: Path
) -> None:
    pull(write_state(folder, few_days(2)), warehouse)
    forget(warehouse, [VISITOR])
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    assert len(pull(copy, warehouse).plan.to_adopt) == 4
    assert verify(warehouse, list(BOTH_TYPES), EVERYTHING, open_export(str(copy))).differences == []


def test_every_table_that_says_whose_its_rows_are(folder: Path, warehouse: Path) -> None:
    pull(write_state(folder, few_days(1)), warehouse)
    with open_warehouse(warehouse) as connection:
        for statement in (
            'create schema "My ""own"""',
            'create table "My ""own"""."of visitors" ("Visitor_ID" varchar not null, n int)',
            'comment on table "My ""own"""."of visitors" is \'mine\'',
            f'insert into "My ""own"""."of visitors" values (\'{VISITOR}\', 1), (\'b\', 2)',
            "create view counted as select count(*) as n from w.optimizely_raw.decisions",
            "create table numbered (visitor_id bigint primary key, n int check (n > 0))",
            "insert into numbered values (7, 1), (8, 1)",
            "create index ix on numbered (n)",
        ):
            connection.execute(statement)

    receipt = forget(warehouse, [VISITOR, "7"])

    assert {table: count for table, count in receipt.rows_deleted.items() if count} == {
        '"My ""own"""."of visitors"': 1,
        "main.numbered": 1,
        "optimizely_raw.decisions": 2,
    }
    assert query(warehouse, 'from "My ""own"""."of visitors"') == [("b", 2)]
    assert query(warehouse, "from counted") == [(2,)]
    assert query(warehouse, "select comment from duckdb_tables() where comment is not null") == [
        ("mine",)
    ]
    with open_warehouse(warehouse) as connection:
        for wrong in ("(8, 1)", "(9, 0)"):
            with pytest.raises(duckdb.ConstraintException):
                connection.execute(f"insert into numbered values {wrong}")
        tags = "select tags['storage_version'] from duckdb_databases() where path is not null"
        assert connection.execute(tags).fetchall() == [("v1.4.0+",)]


def test_a_visitor_never_seen_is_left_out_later(folder: Path, warehouse: Path) -> None:
    pull(write_state(folder, few_days(1)), warehouse)
    receipt = forget(warehouse, ["visitor of d1-0", "nobody"])
    assert sum(receipt.rows_deleted.values()) == 0
    assert receipt.load_ids == []
    assert receipt.database_rewritten

    [landed, _] = pull(write_state(folder, few_days(2)), warehouse).landed

    assert landed.row_count == 2
    assert staged(warehouse) == without(few_days(2), {"visitor of d1-0"})
    assert differences(warehouse) == []


def test_hashed_visitors_are_forgotten_by_their_own_ids(
    loader: Command, export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(HASH_KEY, "correct horse battery staple")
    loader("pull", "--source", export, "--hash-column", "visitor_id")
    receipt = loader.json("forget", "--visitor-id", VISITOR)
    assert receipt["rows_deleted"]["optimizely_raw.decisions"] == 2
    loader("pull", "--source", export, "--since", "2024-01-01", "--force")
    assert loader.json("forget", "--visitor-id", VISITOR, "--dry-run")["rows_deleted"] == {
        "optimizely_ledger.changed_visitors": 0,
        "optimizely_raw.conversions": 0,
        "optimizely_raw.decisions": 0,
    }
    monkeypatch.delenv(HASH_KEY)
    assert f"{HASH_KEY} is not set" in loader.refused("forget", "--visitor-id", VISITOR)


class TestCommand:
    def test_a_dry_run_changes_nothing(self, loader: Command, export: Path) -> None:
        loader("pull", "--source", export)
        before = (loader.folder / "warehouse.duckdb").read_bytes()

        done = loader("forget", "--visitor-id", VISITOR, "--dry-run")

        assert done.stdout == (
            "would delete 2 rows of optimizely_raw.decisions\n"
            "would forget 1 visitors and delete 2 rows\n"
        )
        assert (loader.folder / "warehouse.duckdb").read_bytes() == before
        assert beside(loader.folder / "warehouse.duckdb") == {"warehouse.duckdb"}

    @pytest.mark.parametrize("place", ["-", "ids.txt"])
    def test_ids_from_a_file_are_in_no_output(
        self, loader: Command, export: Path, monkeypatch: pytest.MonkeyPatch, place: str
    ) -> None:
        loader("pull", "--source", export)
        content = f"\ufeff{VISITOR}\r\nvisitor of c0-1\n\nvisitor of c0-1".encode()
        Path("ids.txt").write_bytes(content)
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

        done = loader("forget", "--from-file", place, "--json")

        assert done.returncode == ExitCode.DONE, done.stderr
        assert '"visitors": 2' in done.stdout
        assert '"optimizely_raw.conversions": 1' in done.stdout
        assert "visitor of" not in done.stdout + done.stderr

    def test_what_cannot_be_done_is_refused(self, loader: Command, export: Path) -> None:
        assert "nothing is landed" in loader.refused("forget", "--visitor-id", "x")
        loader("pull", "--source", export)
        Path("bytes").write_bytes(b"\xff\xfe\xff")
        for arguments, message in (
            ((), "no visitor is named"),
            (("--visitor-id", ""), "no visitor is named"),
            (("--from-file", "nowhere.txt"), "No such file"),
            (("--from-file", "bytes"), "it is no UTF-8 text"),
        ):
            assert message in loader.refused("forget", *arguments)

    def test_closed_standard_input_names_nobody(self, loader: Command, export: Path) -> None:
        loader("pull", "--source", export)
        done = loader.closed("0<&-", "forget", "--from-file", "-")
        assert done.returncode == ExitCode.USAGE
        assert done.stderr.startswith("error: no visitor is named")

    def test_an_id_that_is_not_utf8(self, loader: Command, export: Path) -> None:
        loader("pull", "--source", export)
        line = loader.refused("forget", "--visitor-id", "\udcff")
        assert line == "error: an option or a setting is not UTF-8 text: write it as UTF-8"

    def test_rows_that_others_refer_to(self, loader: Command, export: Path) -> None:
        loader("pull", "--source", export)
        with open_warehouse(loader.folder / "warehouse.duckdb") as connection:
            connection.execute("create table main.own (visitor_id varchar primary key)")
            connection.execute("create table main.notes (of varchar references main.own)")
            for table in ("own", "notes"):
                connection.execute(f"insert into main.{table} values (?)", [VISITOR])
        line = loader.refused("forget", "--visitor-id", VISITOR)
        assert "rows of main.own are referred to" in line
        assert VISITOR not in line

    def test_not_while_a_pull_runs(self, loader: Command, export: Path) -> None:
        loader("pull", "--source", export)
        with open_spool(loader.folder / "warehouse.duckdb"):
            done = loader("forget", "--visitor-id", VISITOR)
        assert done.returncode == ExitCode.DATABASE_IN_USE


class TestFaults:
    def test_no_room_for_the_copy(
        self, folder: Path, warehouse: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pull(write_state(folder, few_days(1)), warehouse)
        before = warehouse.read_bytes()
        usage = shutil.disk_usage(warehouse)._replace(free=len(before) - 1)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)

        with pytest.raises(LoaderError, match="free some space and try again") as refused:
            forget(warehouse, [VISITOR])

        assert refused.value.exit_code == ExitCode.NO_DISK_SPACE
        assert warehouse.read_bytes() == before

    def test_a_copy_that_differs_does_not_take_the_place(
        self, folder: Path, warehouse: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pull(write_state(folder, few_days(1)), warehouse)
        compare = rewrite_module._differences

        def lose_a_row(connection: duckdb.DuckDBPyConnection, name: str, copy: str) -> str:
            connection.execute(
                f"update {copy}.optimizely_raw.conversions set revenue = 7 where _file_row = 0"
            )
            return compare(connection, name, copy)

        monkeypatch.setattr(rewrite_module, "_differences", lose_a_row)
        with pytest.raises(LoaderError, match="conversions would not be the same"):
            forget(warehouse, [VISITOR])
        monkeypatch.undo()

        assert staged(warehouse) == without(few_days(1), {VISITOR})
        assert beside(warehouse) == {"w.duckdb"}
        assert differences(warehouse) == [
            "1 visitors are not erased from the files: a forget did not end: "
            "run `loader forget` again"
        ]
        forget(warehouse, [VISITOR])
        assert differences(warehouse) == []

    def test_an_error_before_the_commit_changes_nothing(
        self, folder: Path, warehouse: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pull(write_state(folder, few_days(1)), warehouse)
        before = everything(warehouse)
        monkeypatch.setattr(forget_module, "delete", _fail)
        with pytest.raises(RuntimeError):
            forget(warehouse, [VISITOR])
        assert everything(warehouse) == before


def test_kills(tmp_path: Path) -> None:
    """Killed at any instant: all is as before or all rows are gone; a second call ends it."""
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    write_export(tmp_path / "export", days=4, visitors=200, events=4000)
    landed = tmp_path / "landed.duckdb"
    pull(tmp_path / "export", landed)
    visitors = [visitor for (visitor,) in query(landed, _VISITORS)]
    old = staged(landed)
    done = Path(shutil.copy(landed, tmp_path / "done.duckdb"))
    forget(done, visitors)
    new = staged(done)
    assert old != new

    warehouse = tmp_path / "killed" / "w.duckdb"
    seen = {"old": 0, "new": 0, "unfinished": 0}
    killed = 0
    longest = 0.6
    while killed < 8:
        shutil.rmtree(warehouse.parent, ignore_errors=True)
        warehouse.parent.mkdir()
        shutil.copy(landed, warehouse)
        spool, copy = (warehouse.with_name(f"w.duckdb.{name}") for name in ("spool", "new"))
        begun = rng.choice([spool, copy])
        process = _start(warehouse, visitors)
        while process.poll() is None and not begun.exists():
            time.sleep(0.0002)
        time.sleep(rng.uniform(0, longest if begun is spool else 0.2))
        process.kill()
        if process.wait() != -signal.SIGKILL:
            longest *= 0.9
            continue
        killed += 1
        seen["unfinished"] += copy.exists()
        found = staged(warehouse)
        assert found in (old, new)
        seen["old" if found == old else "new"] += 1
        if found == new and any(v.encode() in warehouse.read_bytes() for v in visitors):
            [message] = differences(warehouse)
            assert message.endswith("run `loader forget` again")
        else:
            assert all("forget" in message for message in differences(warehouse))

        forget(warehouse, visitors)

        assert staged(warehouse) == new
        assert differences(warehouse) == []
        assert beside(warehouse) == {"w.duckdb"}
        content = warehouse.read_bytes()
        assert not any(visitor.encode() in content for visitor in visitors)
    print(seen)
    assert seen["unfinished"] >= 2


_VISITORS = "select visitor_id from optimizely_raw.decisions group by 1 order by hash(1, 2) limit 3"


def test_builds_afterwards_equal_a_full_refresh(tmp_path: Path) -> None:
    """A visitor of a built project is gone from every model at once; then old days are pruned."""
    project = Project(tmp_path)
    states = history(5, visitors=40).states
    project.pull(write_state(tmp_path / "export", states[0]))
    project.build()
    project.pull(write_state(tmp_path / "export", states[1]))  # landed, not built yet
    [(visitor,)] = project.query(
        """
        select visitor_id from main.fct_attributed_conversions
        where length(visitor_id) > 3
            and visitor_id in (select visitor_id from main.int_event_observations)
        group by 1 order by count(*) desc, 1 limit 1
        """
    )
    contracts = project.query(
        "select table_name, column_name, data_type, is_nullable from duckdb_columns() order by all"
    )
    assert visitor.encode() in project.warehouse.read_bytes()

    receipt = forget(project.warehouse, [visitor])

    assert visitor.encode() not in project.warehouse.read_bytes()
    assert {table for table, count in receipt.rows_deleted.items() if count} >= {
        "main.fct_decisions",
        "main.fct_conversions",
        "main.fct_sessions",
        "main.fct_exposures",
        "main.fct_attributed_conversions",
        "main.int_events_sessionized",
        "main.int_event_observations",
        "optimizely_raw.conversions",
        "optimizely_raw.decisions",
    }
    assert contracts == project.query(
        "select table_name, column_name, data_type, is_nullable from duckdb_columns() order by all"
    )

    days = sorted({at for _, at in states[1]})
    first_kept = days[len(days) // 2]
    old = "select count(*) > 0 from main.fct_decisions where export_date < ?"
    assert project.query(old, first_kept) == [(True,)]
    prune(project.warehouse, first_kept)
    project.build()
    assert project.query(old, first_kept) == [(False,)]
    assert_equals_full_refresh(project, "after an erasure and a prune")
    for model in BUILT:
        columns = project.query(f"describe main.{model}")
        if "visitor_id" in [name for name, *_ in columns]:
            sql = f"select 1 from main.{model} where visitor_id = ?"
            assert project.query(sql, visitor) == []


def _start(warehouse: Path, visitors: list[str]) -> WarmProcess:
    named = [argument for visitor in visitors for argument in ("--visitor-id", visitor)]
    return WarmProcess("forget", "--warehouse", warehouse, *named)


def _fail(*_: object) -> int:
    raise RuntimeError
