"""Bad files: quarantined, looked at again at little cost, or skipped when that is asked for."""

import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from loader.errors import ExitCode, LoaderError
from loader.export.integrity import ATTEMPTS, CheckedDownloads
from loader.export.layout import Export, Unit
from loader.export.store import ExportFile
from loader.landing import fetch
from loader.plan import known_days
from tests.loader.command import Command
from tests.loader.exports import beside, day, expected, few_days, landed_units, pull, query, staged
from tests.models.histories import State, write_state

BAD: Unit = ("events", day(1))


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    return tmp_path / "w.duckdb"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_state(tmp_path / "export", few_days())


def first_file(root: Path) -> Path:
    return root / few_days()[BAD][0][0]


def no_parquet(path: Path) -> None:
    path.write_bytes(b"no Parquet at all")


def a_bad_page(path: Path) -> None:
    """The footer stays whole; no checksum tells, but the rows cannot be decoded."""
    content = bytearray(path.read_bytes())
    column = pq.ParquetFile(path).metadata.row_group(0).column(0)
    start = column.dictionary_page_offset or column.data_page_offset
    content[start : start + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    path.write_bytes(content)


def a_bad_checksum(path: Path) -> None:
    table = pq.read_table(path, partitioning=None)
    pq.write_table(table, path, write_page_checksum=True, compression="none")
    column = pq.ParquetFile(path).metadata.row_group(0).column(0)
    content = bytearray(path.read_bytes())
    content[column.data_page_offset + column.total_compressed_size - 1] ^= 1
    path.write_bytes(content)


DAMAGES = (no_parquet, a_bad_page, a_bad_checksum)


def without_first(state: State) -> State:
    return state | {BAD: state[BAD][1:]}


@pytest.mark.parametrize("damage", DAMAGES)
class TestEveryDamage:
    def test_keeps_its_day_out(self, root: Path, warehouse: Path, damage: object) -> None:
        damage(first_file(root))  # type: ignore[operator]
        result = pull(root, warehouse)
        assert result.exit_code == ExitCode.BAD_INPUT
        assert [found.unit for found, _ in result.quarantined] == [BAD]
        others = few_days()
        del others[BAD]
        assert staged(warehouse) == expected(others)

    def test_is_looked_at_before_the_others(
        self, root: Path, warehouse: Path, damage: object, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        damage(first_file(root))  # type: ignore[operator]
        pull(root, warehouse)
        asked_for = []
        download = Export.download

        def count(export: Export, file: ExportFile, path: Path) -> None:
            asked_for.append(file.key)
            download(export, file, path)

        monkeypatch.setattr(Export, "download", count)
        assert pull(root, warehouse).exit_code == ExitCode.BAD_INPUT
        assert asked_for == [few_days()[BAD][0][0]]

    def test_can_be_skipped(self, root: Path, warehouse: Path, damage: object) -> None:
        good = first_file(root).read_bytes()
        damage(first_file(root))  # type: ignore[operator]
        result = pull(root, warehouse, skip_bad_files=True)
        assert result.exit_code == ExitCode.BAD_INPUT
        assert len(landed_units(result)) == 6
        assert staged(warehouse) == expected(without_first(few_days()))
        assert not known_days(warehouse).landed[BAD].is_complete
        assert len(query(warehouse, "from optimizely_ledger.quarantined_files")) == 1

        assert landed_units(pull(root, warehouse, skip_bad_files=True)) == []
        first_file(root).write_bytes(good)
        assert landed_units(pull(root, warehouse)) == [BAD]
        assert staged(warehouse) == expected(few_days())
        assert known_days(warehouse).landed[BAD].is_complete
        assert query(warehouse, "from optimizely_ledger.quarantined_files") == []


def test_all_bad_is_landed_as_nothing_when_skipped(root: Path, warehouse: Path) -> None:
    pull(root, warehouse)
    for key, _ in few_days()[BAD]:
        no_parquet(root / key)
    assert pull(root, warehouse, skip_bad_files=True).exit_code == ExitCode.BAD_INPUT
    assert staged(warehouse) == expected(few_days() | {BAD: []})
    assert not known_days(warehouse).landed[BAD].is_complete


def test_a_bad_file_that_is_mended_at_once(root: Path, warehouse: Path) -> None:
    """The bytes differ, but neither size nor name nor time tells: the day is fetched whole."""
    path = first_file(root)
    good, found = path.read_bytes(), path.stat()
    path.write_bytes(b"x" * len(good))
    pull(root, warehouse)
    path.write_bytes(good)
    assert path.stat().st_size == found.st_size
    assert landed_units(pull(root, warehouse)) == [BAD]
    assert staged(warehouse) == expected(few_days())


def test_the_command_says_what_it_left_out(loader: Command, root: Path) -> None:
    no_parquet(first_file(root))
    done = loader("pull", "--source", root, "--on-bad-file", "skip")
    assert done.returncode == ExitCode.BAD_INPUT
    assert done.stdout.startswith("landed 6 days")
    assert f"landed in part: events of {day(1)} has 1 bad files" in done.stderr
    states = {(i["type"], i["date"]): i["state"] for i in loader.json("status")}
    assert states[("events", str(day(1)))] == "landed in part"
    done = loader("verify", "--source", root)
    assert done.returncode == ExitCode.DONE, done.stdout
    assert f"note: events of {day(1)} is landed in part" in done.stderr
    assert "on-bad-file" in loader.refused("pull", "--source", root, "--on-bad-file", "eat")


class Flipping:
    """A store whose first answers are wrong, each in its own way, or always the same way."""

    def __init__(self, wrong: int, is_same: bool = False):
        self.asked = 0
        self._wrong = wrong
        self._is_same = is_same

    def download(self, file: ExportFile, path: Path) -> None:
        self.asked += 1
        is_wrong = self.asked <= self._wrong
        path.write_bytes(
            b"wrong"
            if self._is_same and is_wrong
            else bytes([self.asked])
            if is_wrong
            else b"right"
        )


class TestMd5:
    FILE = ExportFile("type=events/x", 5, '"7c4f29407893c334a6cb7a87bf045c0d"')  # of `right`

    def download(self, store: Flipping, file: ExportFile, path: Path) -> CheckedDownloads:
        downloads = CheckedDownloads(store)  # type: ignore[arg-type]
        downloads.download(file, path)
        return downloads

    def test_right_at_once(self, tmp_path: Path) -> None:
        store = Flipping(wrong=0)
        self.download(store, self.FILE, tmp_path / "x")
        assert store.asked == 1

    def test_wrong_on_the_way_is_fetched_again(self, tmp_path: Path) -> None:
        store = Flipping(wrong=ATTEMPTS - 1)
        self.download(store, self.FILE, tmp_path / "x")
        assert (tmp_path / "x").read_bytes() == b"right"

    def test_wrong_each_time(self, tmp_path: Path) -> None:
        with pytest.raises(LoaderError, match="arrives damaged") as refused:
            self.download(Flipping(wrong=ATTEMPTS), self.FILE, tmp_path / "x")
        assert refused.value.exit_code == ExitCode.TRANSIENT
        assert not (tmp_path / "x").exists()

    def test_an_etag_that_is_no_md5_of_the_bytes(self, tmp_path: Path) -> None:
        """As with the vendor's keys: the same bytes come twice, so they are what is stored."""
        store = Flipping(wrong=99, is_same=True)
        downloads = self.download(store, self.FILE, tmp_path / "x")
        assert store.asked == 2
        downloads.download(self.FILE, tmp_path / "x")
        assert store.asked == 3

    @pytest.mark.parametrize("etag", [None, "1-2-3", '"7c4f29407893c334a6cb7a87bf045c0d-2"'])
    def test_an_etag_of_another_kind(self, tmp_path: Path, etag: str | None) -> None:
        store = Flipping(wrong=1)
        self.download(store, ExportFile("type=events/x", 1, etag), tmp_path / "x")
        assert store.asked == 1


class TestDiskSpace:
    def test_is_looked_at_before_anything_is_fetched(
        self, loader: Command, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        usage = shutil.disk_usage(root)
        monkeypatch.setattr("shutil.disk_usage", lambda _: usage._replace(free=1000))
        monkeypatch.setattr(Export, "download", None)
        done = loader("pull", "--source", root)
        assert done.returncode == ExitCode.NO_DISK_SPACE
        assert "needs about" in done.stderr
        assert done.stderr.endswith("free some space and run the pull again\n")
        assert beside(loader.folder / "warehouse.duckdb") == set()

    def test_days_ahead_give_way(
        self, root: Path, warehouse: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The disk has room for one day at a time: each is landed all the same."""
        usage = shutil.disk_usage(root)
        spool = warehouse.with_name("w.duckdb.spool")

        def free(_: Path) -> object:
            return usage._replace(free=0 if any(spool.rglob("*.parquet")) else 10**9)

        monkeypatch.setattr("shutil.disk_usage", free)
        assert len(landed_units(pull(root, warehouse))) == 6
        assert staged(warehouse) == expected(few_days())

    def test_the_spool_is_bounded(
        self, root: Path, warehouse: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        spool = warehouse.with_name("w.duckdb.spool")
        most = 0
        download = Export.download

        def watch(export: Export, file: ExportFile, path: Path) -> None:
            nonlocal most
            most = max(most, len(list(spool.iterdir())))
            download(export, file, path)

        monkeypatch.setattr(Export, "download", watch)
        monkeypatch.setattr(fetch, "SPOOL_BYTES", 1)
        pull(root, warehouse)
        assert most == 1
        assert staged(warehouse) == expected(few_days())
