"""`loader pull` from a folder: what differs is landed, whole days, and nothing else changes."""

import shutil
import time
from datetime import date, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from loader.demo import write_export
from loader.errors import ExitCode, LoaderError
from loader.export.layout import Unit, open_export
from loader.landing import warehouse as warehouse_module
from loader.landing.spool import open_spool, spool_folder
from loader.plan import Window, plan_pull
from loader.timespan import today_utc
from tests.loader.exports import (
    BOTH_TYPES,
    EVERYTHING,
    beside,
    conversion,
    conversions_of,
    day,
    decision,
    decisions_of,
    everything,
    expected,
    few_days,
    landed_units,
    plan,
    pull,
    query,
    run_plan,
    staged,
    while_downloading,
)
from tests.loader.holder import held_open
from tests.models.histories import State, history, landed_rows, write_state


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "export"


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    path = tmp_path / "warehouse" / "w.duckdb"
    path.parent.mkdir()
    return path


def write_and_pull(folder: Path, warehouse: Path, state: State) -> None:
    """Makes the folder hold this state, lands it, and compares the tables with it."""
    result = pull(write_state(folder, state), warehouse)
    assert result.exit_code == ExitCode.DONE
    assert staged(warehouse) == expected(state)


class TestFirstPull:
    def test_lands_every_row_of_adversarial_histories(self, folder: Path, warehouse: Path) -> None:
        write_and_pull(folder, warehouse, history(seed=7, visitors=20, loads=0).states[0])

    def test_equals_the_files_of_the_demo(self, folder: Path, warehouse: Path) -> None:
        write_export(folder, days=4, visitors=100, events=800)
        pull(folder, warehouse)

        for table, export_type in (("decisions", "decisions"), ("conversions", "events")):
            files = folder.glob(f"v1/*/type={export_type}/date=*/**/[!._]*")
            wanted = [
                (row["uuid"], row["visitor_id"], _milliseconds(row["timestamp"]))
                for path in files
                if path.is_file()
                for row in pq.ParquetFile(path).read().to_pylist()
            ]
            found = query(
                warehouse,
                f"select uuid, visitor_id, epoch_ms(timestamp) from optimizely_raw.{table}",
            )
            assert len(wanted) > 100
            assert sorted(found, key=repr) == sorted(wanted, key=repr)

    def test_duplicates_stay(self, folder: Path, warehouse: Path) -> None:
        twice = [decision("same"), decision("same")]
        write_and_pull(folder, warehouse, decisions_of(day(0), *twice))
        assert query(warehouse, "select count(*) from optimizely_raw.decisions") == [(2,)]

    def test_an_empty_day_is_landed(self, folder: Path, warehouse: Path) -> None:
        write_and_pull(folder, warehouse, decisions_of(day(0)))
        assert query(warehouse, "select row_count, file_count from optimizely_ledger.days") == [
            (0, 0)
        ]

    def test_counts_are_those_of_the_footers(self, folder: Path, warehouse: Path) -> None:
        root = write_state(folder, few_days())
        pull(root, warehouse)

        counts = query(warehouse, "select key, row_count, size from optimizely_ledger.files")

        assert len(counts) == 12
        for key, row_count, size in counts:
            assert pq.read_metadata(root / key).num_rows == row_count
            assert (root / key).stat().st_size == size
        assert query(
            warehouse,
            """
            select export_type, export_date, sum(row_count), count(*), sum(size)
            from optimizely_ledger.files group by all order by all
            """,
        ) == query(
            warehouse,
            """
            select export_type, export_date, row_count, file_count, byte_count
            from optimizely_ledger.days order by all
            """,
        )

    def test_the_spool_is_gone_afterwards(self, folder: Path, warehouse: Path) -> None:
        pull(write_state(folder, few_days()), warehouse)
        assert beside(warehouse) == {"w.duckdb"}

    def test_a_folder_for_the_warehouse_is_made(self, folder: Path, tmp_path: Path) -> None:
        pull(write_state(folder, few_days(1)), tmp_path / "new" / "folder" / "w.duckdb")
        assert (tmp_path / "new" / "folder" / "w.duckdb").is_file()

    def test_a_link_to_where_the_warehouse_will_be(self, folder: Path, tmp_path: Path) -> None:
        (tmp_path / "link.duckdb").symlink_to(tmp_path / "w.duckdb")
        pull(write_state(folder, few_days(1)), tmp_path / "link.duckdb")
        assert (tmp_path / "link.duckdb").is_symlink()
        assert staged(tmp_path / "w.duckdb") == expected(few_days(1))

    def test_load_ids_grow_by_one_with_each_day(self, folder: Path, warehouse: Path) -> None:
        result = pull(write_state(folder, few_days()), warehouse)

        assert [landed.load_id for landed in result.landed] == [1, 2, 3, 4, 5, 6]
        assert landed_units(result) == [
            (export_type, day(number)) for number in range(3) for export_type in BOTH_TYPES
        ]
        for landed in result.landed:
            table = "decisions" if landed.export_type == "decisions" else "conversions"
            assert query(
                warehouse,
                f"select distinct _load_id from optimizely_raw.{table} where _export_date = ?",
                landed.export_date,
            ) == [(landed.load_id,)]


class TestNothingNew:
    def test_nothing_is_fetched_and_no_row_changes(
        self, folder: Path, warehouse: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        root = write_state(folder, few_days())
        pull(root, warehouse)
        before, bytes_before = everything(warehouse), warehouse.read_bytes()
        monkeypatch.setattr("loader.export.folder.FolderStore.download", _must_not_happen)

        result = pull(root, warehouse)

        assert len(result.plan.unchanged) == 6
        assert result.exit_code == ExitCode.DONE
        assert everything(warehouse) == before
        assert warehouse.read_bytes() == bytes_before

    def test_force_lands_it_again(self, folder: Path, warehouse: Path) -> None:
        root = write_state(folder, few_days(1))
        pull(root, warehouse)

        result = pull(root, warehouse, force=True)

        assert landed_units(result) == [("decisions", day(0)), ("events", day(0))]
        assert staged(warehouse) == expected(few_days(1))
        assert query(
            warehouse, "select load_id, reason from optimizely_ledger.loads order by all"
        ) == [(1, "new"), (2, "new"), (3, "forced"), (4, "forced")]

    def test_force_forces_a_moved_day_too(self, tmp_path: Path, warehouse: Path) -> None:
        first = write_state(tmp_path / "first", few_days(1))
        pull(first, warehouse)
        second = Path(shutil.copytree(first, tmp_path / "second"))

        assert len(pull(second, warehouse, force=True).landed) == 2
        assert pull(second, warehouse).plan.to_land == []


class TestRewrittenDay:
    """Each case: one day of few_days() is written again."""

    @pytest.fixture(autouse=True)
    def _landed(self, folder: Path, warehouse: Path) -> None:
        write_and_pull(folder, warehouse, few_days())

    @pytest.mark.parametrize(
        "rewritten",
        [
            decisions_of(day(1), decision("d1-0", day(1)), part="part-new"),
            decisions_of(day(1), decision("d1-0", day(1), variation_id="another")),
            decisions_of(day(1), decision("d1-0", day(1)), decision("more", day(1))),
            decisions_of(day(1)),
        ],
        ids=["new part names", "another value", "one row more", "emptied"],
    )
    def test_it_alone_is_replaced(self, folder: Path, warehouse: Path, rewritten: State) -> None:
        state = few_days() | rewritten
        result = pull(write_state(folder, state), warehouse)

        assert landed_units(result) == [("decisions", day(1))]
        assert result.plan.to_land[0].reason == "changed"
        assert staged(warehouse) == expected(state)

    def test_same_name_and_same_size(self, folder: Path, warehouse: Path) -> None:
        state = few_days()
        state[("decisions", day(1))][1][1][0]["revision"] = "71"  # was 17
        root = write_state(folder, state)
        sizes = query(warehouse, "select key, size from optimizely_ledger.files")
        assert all((root / key).stat().st_size == size for key, size in sizes)

        pull(root, warehouse)

        assert staged(warehouse) == expected(state)

    def test_a_row_is_removed(self, folder: Path, warehouse: Path) -> None:
        state = few_days()
        key, rows = state[("events", day(2))][0]
        state[("events", day(2))][0] = (key, rows[1:])
        write_and_pull(folder, warehouse, state)

    def test_emptied_then_filled_again(self, folder: Path, warehouse: Path) -> None:
        write_and_pull(folder, warehouse, few_days() | conversions_of(day(1)))
        write_and_pull(folder, warehouse, few_days())

    def test_changed_visitors_are_those_whose_rows_went(
        self, folder: Path, warehouse: Path
    ) -> None:
        assert query(warehouse, "from optimizely_ledger.changed_visitors") == []
        state = few_days() | conversions_of(
            day(1),
            conversion("c1-0", day(1)),
            conversion("other", day(1), visitor_id="only in the new rows"),
        )
        result = pull(write_state(folder, state), warehouse)

        [landed] = result.landed
        old = {row["visitor_id"] for row in landed_rows(conversions_only(day(1)))[1]}
        assert sorted(query(warehouse, "from optimizely_ledger.changed_visitors")) == sorted(
            (landed.load_id, visitor) for visitor in old
        )

    def test_the_ledger_knows_the_new_files_only(self, folder: Path, warehouse: Path) -> None:
        state = few_days() | decisions_of(day(1), decision("x", day(1)), part="part-new")
        write_and_pull(folder, warehouse, state)

        assert {key for (key,) in query(warehouse, "select key from optimizely_ledger.files")} == {
            key for files in state.values() for key, _ in files
        }


class TestNewDays:
    def test_a_new_day_alone_is_landed(self, folder: Path, warehouse: Path) -> None:
        write_and_pull(folder, warehouse, few_days(2))
        result = pull(write_state(folder, few_days(3)), warehouse)

        assert landed_units(result) == [("decisions", day(2)), ("events", day(2))]
        assert min(landed.load_id for landed in result.landed) == 5
        assert staged(warehouse) == expected(few_days(3))

    def test_a_day_that_is_not_ready_waits(self, folder: Path, warehouse: Path) -> None:
        root = write_state(folder, few_days())
        mark = root / f"type=events/date={day(1)}/_SUCCESS"
        mark.unlink()

        result = pull(root, warehouse)

        assert result.exit_code == ExitCode.NOT_READY
        assert [found.unit for found in result.plan.not_ready] == [("events", day(1))]
        ready = few_days()
        del ready[("events", day(1))]
        assert staged(warehouse) == expected(ready)

        mark.touch()
        assert landed_units(pull(root, warehouse)) == [("events", day(1))]
        assert staged(warehouse) == expected(few_days())

    def test_a_landed_day_that_is_being_written_again_stays(
        self, folder: Path, warehouse: Path
    ) -> None:
        write_and_pull(folder, warehouse, few_days(1))
        root = write_state(folder, few_days(1) | decisions_of(day(0), decision("x")))
        (root / f"type=decisions/date={day(0)}/_SUCCESS").unlink()

        assert pull(root, warehouse).exit_code == ExitCode.NOT_READY
        assert staged(warehouse) == expected(few_days(1))

    def test_a_missing_day_is_not_an_empty_one(self, folder: Path, warehouse: Path) -> None:
        state = {unit: files for unit, files in few_days().items() if unit[1] != day(1)}
        write_and_pull(folder, warehouse, state)
        assert query(
            warehouse, "select distinct export_date from optimizely_ledger.days order by all"
        ) == [(day(0),), (day(2),)]

    def test_a_day_that_the_vendor_deleted_stays_landed(
        self, folder: Path, warehouse: Path
    ) -> None:
        write_and_pull(folder, warehouse, few_days())
        left = {unit: files for unit, files in few_days().items() if unit[1] != day(0)}

        assert pull(write_state(folder, left), warehouse).exit_code == ExitCode.DONE
        assert staged(warehouse) == expected(few_days())


class TestWindow:
    @pytest.mark.parametrize(
        ("window", "wanted"),
        [
            (Window(), [0, 1, 2, 3, 4, 5]),
            (Window(since=day(2)), [2, 3, 4, 5]),
            (Window(until=day(2)), [0, 1, 2]),
            (Window(since=day(2), until=day(3)), [2, 3]),
            (Window(since=day(2), until=day(2)), [2]),
            (Window(since=day(9)), []),
        ],
    )
    def test_both_ends_are_included(
        self, folder: Path, warehouse: Path, window: Window, wanted: list[int]
    ) -> None:
        root = write_state(folder, few_days(6))
        planned = plan(root, warehouse, types=("events",), window=window)
        assert [item.day.export_date for item in planned.to_land] == [day(n) for n in wanted]

    def test_by_default_from_three_days_before_the_newest_of_each_type(
        self, folder: Path, warehouse: Path
    ) -> None:
        root = write_state(folder, few_days(9))
        pull(root, warehouse, types=("decisions",), window=Window(until=day(5)))
        pull(root, warehouse, types=("events",), window=Window(until=day(7)))

        looked_at = plan(root, warehouse, window=Window(), force=True).to_land

        assert {item.day.unit for item in looked_at} == {
            *(("decisions", day(n)) for n in range(2, 9)),
            *(("events", day(n)) for n in range(4, 9)),
        }

    def test_by_default_a_day_of_the_future_hides_none(self, folder: Path, warehouse: Path) -> None:
        ahead, today = date(2999, 1, 1), today_utc()
        write_and_pull(folder, warehouse, conversions_of(ahead))
        root = write_state(folder, conversions_of(today) | conversions_of(ahead))
        [looked_at] = plan(root, warehouse, window=Window()).to_land
        assert looked_at.day.export_date == today

    def test_by_default_until_still_holds(self, folder: Path, warehouse: Path) -> None:
        root = write_state(folder, few_days(6))
        pull(root, warehouse, types=("events",), window=Window(until=day(3)))
        looked_at = plan(root, warehouse, types=("events",), window=Window(until=day(4)))
        assert [item.day.export_date for item in looked_at.to_land] == [day(4)]

    def test_a_first_type_does_not_limit_a_second(self, folder: Path, warehouse: Path) -> None:
        root = write_state(folder, few_days(6))
        pull(root, warehouse, types=("events",))
        assert len(plan(root, warehouse, window=Window()).to_land) == 6

    def test_only_the_types_asked_for(self, folder: Path, warehouse: Path) -> None:
        result = pull(write_state(folder, few_days(1)), warehouse, types=("events",))
        assert landed_units(result) == [("events", day(0))]


class TestUnknownThings:
    def test_an_unknown_type_is_told_and_not_landed(self, folder: Path, warehouse: Path) -> None:
        root = write_state(folder, few_days(1))
        shutil.copytree(root / "type=decisions", root / "type=decisions-rerun")

        assert open_export(str(root)).unknown_types == ("decisions-rerun",)
        assert pull(root, warehouse).exit_code == ExitCode.DONE
        assert staged(warehouse) == expected(few_days(1))

    def test_an_unknown_column_is_told_and_not_landed(self, folder: Path, warehouse: Path) -> None:
        root = write_state(folder, few_days(1))
        [path, _] = sorted(root.glob(f"type=events/date={day(0)}/*/*.parquet"))
        table = pq.ParquetFile(path).read()
        table = table.append_column('new "column"', table["uuid"])
        table = table.append_column("_load_id", table["uuid"])
        pq.write_table(table, path)

        result = pull(root, warehouse)

        assert result.unknown_columns == {"events": {'new "column"', "_load_id"}}
        assert result.exit_code == ExitCode.DONE
        assert staged(warehouse) == expected(few_days(1))


class TestMovedStore:
    def test_a_copy_is_adopted(
        self, tmp_path: Path, warehouse: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = write_state(tmp_path / "first", few_days())
        pull(first, warehouse)
        rows, loads = staged(warehouse), query(warehouse, "from optimizely_ledger.loads")
        second = Path(shutil.copytree(first, tmp_path / "second"))

        with monkeypatch.context() as patch:
            patch.setattr("loader.export.folder.FolderStore.download", _must_not_happen)
            result = pull(second, warehouse)

        assert len(result.plan.to_adopt) == 6
        assert result.plan.to_land == []
        assert staged(warehouse) == rows
        assert query(warehouse, "from optimizely_ledger.loads") == loads
        assert query(warehouse, "select distinct source from optimizely_ledger.days") == [
            (open_export(str(second)).identity,)
        ]
        assert len(pull(second, warehouse).plan.unchanged) == 6

    def test_a_later_rewrite_there_is_seen(self, tmp_path: Path, warehouse: Path) -> None:
        pull(write_state(tmp_path / "first", few_days()), warehouse)
        pull(write_state(tmp_path / "second", few_days()), warehouse)
        state = few_days()
        state[("decisions", day(1))][0][1][0]["revision"] = "71"  # the size stays

        result = pull(write_state(tmp_path / "second", state), warehouse)

        assert landed_units(result) == [("decisions", day(1))]
        assert staged(warehouse) == expected(state)

    def test_a_copy_that_differs_is_landed(self, tmp_path: Path, warehouse: Path) -> None:
        pull(write_state(tmp_path / "first", few_days()), warehouse)
        state = few_days() | decisions_of(day(1), decision("x", day(1)))

        result = pull(write_state(tmp_path / "second", state), warehouse)

        assert landed_units(result) == [("decisions", day(1))]
        assert len(result.plan.to_adopt) == 5
        assert staged(warehouse) == expected(state)


class TestDryRun:
    def test_plans_create_nothing(self, folder: Path, warehouse: Path) -> None:
        assert len(plan(write_state(folder, few_days()), warehouse).to_land) == 6
        assert list(warehouse.parent.iterdir()) == []

    def test_plans_change_nothing(self, folder: Path, warehouse: Path) -> None:
        write_and_pull(folder, warehouse, few_days(1))
        before = warehouse.read_bytes()
        assert len(plan(write_state(folder, few_days(2)), warehouse, force=True).to_land) == 4
        assert warehouse.read_bytes() == before


class TestSourceChangesMeanwhile:
    def land_after(
        self,
        folder: Path,
        warehouse: Path,
        after: State,
        unit: Unit,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Lands a few days; while one of them is downloaded, the source becomes another one."""
        before = few_days()
        root = write_state(folder, before)
        with monkeypatch.context() as patch:
            while_downloading(patch, unit, lambda: write_state(folder, after))
            result = pull(root, warehouse)

        assert result.exit_code == ExitCode.TRANSIENT
        assert [found.unit for found, _ in result.rewritten] == [unit]
        assert all(str(why).endswith("run the pull again") for _, why in result.rewritten)
        del before[unit]
        assert staged(warehouse) == expected(before)
        write_and_pull(folder, warehouse, after)

    def test_a_file_is_replaced(
        self, folder: Path, warehouse: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        after = few_days() | decisions_of(day(1), decision("x", day(1)))
        self.land_after(folder, warehouse, after, ("decisions", day(1)), monkeypatch)

    def test_a_file_is_added(
        self, folder: Path, warehouse: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Every listed file is still there: only the second listing shows it.
        after = few_days()
        after[("events", day(0))] = [
            *after[("events", day(0))],
            *conversions_of(day(0), conversion("x"), part="part-2")[("events", day(0))],
        ]
        self.land_after(folder, warehouse, after, ("events", day(0)), monkeypatch)

    def test_a_file_is_gone(
        self, folder: Path, warehouse: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        after = few_days()
        after[("events", day(2))] = after[("events", day(2))][:1]
        self.land_after(folder, warehouse, after, ("events", day(2)), monkeypatch)

    def test_the_mark_is_gone(
        self, folder: Path, warehouse: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        root = write_state(folder, few_days(1))
        mark = root / f"type=events/date={day(0)}/_SUCCESS"
        while_downloading(monkeypatch, ("events", day(0)), mark.unlink)
        assert pull(root, warehouse, types=("events",)).exit_code == ExitCode.TRANSIENT
        assert not warehouse.exists()

    def test_the_mark_is_gone_after_the_plan(self, folder: Path, warehouse: Path) -> None:
        root = write_state(folder, few_days(1))
        export = open_export(str(root))
        planned = plan_pull(export, warehouse, ["events"], EVERYTHING)
        (root / f"type=events/date={day(0)}/_SUCCESS").unlink()

        assert run_plan(planned, export, warehouse).exit_code == ExitCode.TRANSIENT
        assert not warehouse.exists()

    def test_a_day_changed_after_the_plan_is_landed_as_it_is_now(
        self, folder: Path, warehouse: Path
    ) -> None:
        export = open_export(str(write_state(folder, few_days())))
        planned = plan_pull(export, warehouse, list(BOTH_TYPES), EVERYTHING)
        after = few_days() | decisions_of(day(1), decision("x", day(1)))
        write_state(folder, after)
        assert run_plan(planned, export, warehouse).exit_code == ExitCode.DONE
        assert staged(warehouse) == expected(after)


class TestOneAtATime:
    def test_a_second_pull_is_refused(self, folder: Path, warehouse: Path) -> None:
        root = write_state(folder, few_days(1))
        with open_spool(warehouse), pytest.raises(LoaderError) as refused:
            pull(root, warehouse)

        assert refused.value.exit_code == ExitCode.DATABASE_IN_USE
        assert "another command works on" in str(refused.value)
        assert not warehouse.exists()

    def test_a_link_leads_to_the_same_lock_and_spool(
        self, folder: Path, warehouse: Path, tmp_path: Path
    ) -> None:
        write_and_pull(folder, warehouse, few_days(1))
        link = tmp_path / "link.duckdb"
        link.symlink_to(warehouse)
        assert spool_folder(link) == spool_folder(warehouse)
        with open_spool(warehouse), pytest.raises(LoaderError, match="another command works on"):
            pull(folder, link)

    def test_the_spool_of_a_killed_pull_is_removed(self, folder: Path, warehouse: Path) -> None:
        left = warehouse.with_name("w.duckdb.spool") / f"events-{day(0)}"
        left.mkdir(parents=True)
        (left / "1.parquet").write_bytes(b"half a file")

        write_and_pull(folder, warehouse, few_days(1))

        assert beside(warehouse) == {"w.duckdb"}

    def test_a_database_that_a_killed_pull_left_unfinished_is_made_again(
        self, folder: Path, warehouse: Path
    ) -> None:
        warehouse.with_name("w.duckdb.new").write_bytes(b"half a header")
        write_and_pull(folder, warehouse, few_days(1))
        assert beside(warehouse) == {"w.duckdb"}

    def test_an_open_database_is_waited_for_then_told(
        self, folder: Path, warehouse: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write_and_pull(folder, warehouse, few_days(1))
        root = write_state(folder, few_days(2))
        planned = plan(root, warehouse)
        monkeypatch.setattr(warehouse_module, "LOCK_WAIT_SECONDS", 0.5)
        with held_open(warehouse) as holder, pytest.raises(LoaderError) as refused:
            started = time.monotonic()
            try:
                run_plan(planned, open_export(str(root)), warehouse)
            finally:
                waited = time.monotonic() - started
                assert holder.poll() is None

        assert refused.value.exit_code == ExitCode.DATABASE_IN_USE
        assert str(refused.value).isprintable()  # so it is one line
        assert "close it" in str(refused.value)
        assert 0.5 <= waited < 5
        assert staged(warehouse) == expected(few_days(1))
        assert beside(warehouse) == {"w.duckdb"}

    def test_a_database_that_is_closed_in_time_is_landed_in(
        self, folder: Path, warehouse: Path
    ) -> None:
        write_and_pull(folder, warehouse, few_days(1))
        root = write_state(folder, few_days(2))
        with held_open(warehouse, seconds=0.7):
            pull(root, warehouse)
        assert staged(warehouse) == expected(few_days(2))


def conversions_only(at: date) -> State:
    return {("events", at): few_days()[("events", at)]}


def _must_not_happen(*_: object) -> None:
    raise AssertionError("a file was fetched")


def _milliseconds(found: datetime | int | None) -> int | None:
    if not isinstance(found, datetime):
        return found
    return (found.replace(tzinfo=None) - datetime(1970, 1, 1)) // timedelta(milliseconds=1)
