"""The export's layout: where it is found, which days it has, which files are data."""

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.errors import ExitCode, LoaderError
from loader.export import layout
from loader.export.access import Access
from loader.export.layout import (
    ExportDay,
    ExportFile,
    contents_fingerprint,
    open_export,
)
from tests.loader.folders import copies, write
from tests.loader.s3_server import S3Export

DAY = date(2026, 1, 2)
FOLDER = f"type=events/date={DAY}/"


def refusal(source: str) -> str:
    with pytest.raises(LoaderError) as raised:
        open_export(source)
    assert raised.value.exit_code == ExitCode.USAGE
    assert str(raised.value).isprintable()
    return str(raised.value)


class TestDays:
    def test_only_data_files_are_files(self, tmp_path: Path, s3_export: S3Export) -> None:
        write(
            tmp_path,
            f"{FOLDER}_SUCCESS",
            f"{FOLDER}._SUCCESS.crc",
            f"{FOLDER}.part-0.crc",
            f"{FOLDER}_temporary/0/part-0.snappy.parquet",
            f"{FOLDER}event=e/_temporary/part-0.snappy.parquet",
            f"{FOLDER}event=e/.part-0.snappy.parquet.crc",
            f"{FOLDER}event=e/_metadata",
            f"{FOLDER}event=_e/part-2.snappy.parquet",
            f"{FOLDER}event=e/part-1.snappy.parquet",
            f"{FOLDER}event=e/part-0.snappy.parquet",
            f"{FOLDER}part-3.snappy.parquet",
        )
        for export in copies(tmp_path, s3_export):
            day = export.day("events", DAY)
            assert day.is_ready
            assert [file.key.removeprefix(FOLDER) for file in day.files] == [
                "event=_e/part-2.snappy.parquet",
                "event=e/part-0.snappy.parquet",
                "event=e/part-1.snappy.parquet",
                "part-3.snappy.parquet",
            ]
            assert all(file.size == len(file.key.encode()) and file.etag for file in day.files)

    def test_success_counts_at_the_date_only(self, tmp_path: Path, s3_export: S3Export) -> None:
        write(
            tmp_path,
            f"{FOLDER}event=e/_SUCCESS",
            f"{FOLDER}event=e/part-0",
            f"{FOLDER}_SUCCESS.crc",
            "type=events/_SUCCESS",
            "type=decisions/date=2026-01-02/_SUCCESS",
        )
        for export in copies(tmp_path, s3_export):
            assert not export.day("events", DAY).is_ready
            assert export.day("decisions", DAY).is_ready

    def test_an_empty_day_is_not_a_missing_day(self, tmp_path: Path, s3_export: S3Export) -> None:
        write(tmp_path, f"{FOLDER}_SUCCESS")
        for export in copies(tmp_path, s3_export):
            assert export.day("events", DAY) == ExportDay("events", DAY, True, ())
            missing = date(2026, 1, 3)
            assert export.day("events", missing) == ExportDay("events", missing, False, ())

    def test_a_day_holds_nothing_of_its_neighbours(
        self, tmp_path: Path, s3_export: S3Export
    ) -> None:
        write(tmp_path, f"{FOLDER}part-0", f"type=events/date={DAY}-old/part-1")
        for export in copies(tmp_path, s3_export):
            assert [file.key for file in export.day("events", DAY).files] == [f"{FOLDER}part-0"]

    def test_dates(self, tmp_path: Path, s3_export: S3Export) -> None:
        names = [
            "date=2026-01-10",
            "date=2025-12-31",
            "date=2024-02-29",
            "date=2025-02-29",
            "date=2026-1-1",
            "date=20260101",
            "date=2026-01-01 ",
            "date=2026-W01-1",
            "date=__HIVE_DEFAULT_PARTITION__",
            "day=2026-01-01",
            "_temporary",
        ]
        write(tmp_path, *(f"type=events/{name}/part-0" for name in names))
        write(tmp_path, "type=events/date=2026-01-05")  # a file
        for export in copies(tmp_path, s3_export):
            assert export.dates("events") == [
                date(2024, 2, 29),
                date(2025, 12, 31),
                date(2026, 1, 10),
            ]
            assert export.dates("decisions") == []


class TestFingerprint:
    def test_pinned(self) -> None:
        """It is stored in ledgers: another one would have every day fetched again."""
        files = (ExportFile("a", 1, "x"), ExportFile("é", 2, None))
        day = ExportDay("events", DAY, True, files)
        assert day.fingerprint == (
            "60c2bc389798a02b6178b0e28cca099ca87c8de2f22eab5fa3761e9b1d4cf86a"
        )

    def test_contents_and_byte_count(self) -> None:
        files = (ExportFile("a", 1, "x"), ExportFile("b", 2, "y"))
        day = ExportDay("events", DAY, True, files)
        assert day.listed().contents == contents_fingerprint([("b", 2), ("a", 1)])
        assert day.listed().contents != contents_fingerprint([("b", 2), ("a", 2)])
        assert (day.byte_count, day.listed().byte_count, day.listed().file_count) == (3, 3, 2)

    @given(
        st.lists(
            st.builds(ExportFile, st.text(max_size=3), st.integers(0, 3), st.text(max_size=2)),
            max_size=4,
        ),
        st.randoms(),
    )
    def test_says_which_files_and_nothing_else(
        self, files: list[ExportFile], random: object
    ) -> None:
        shuffled = list(files)
        random.shuffle(shuffled)  # type: ignore[attr-defined]
        days = [
            ExportDay("events", DAY, False, tuple(files)),
            ExportDay("decisions", date(2026, 1, 1), True, tuple(shuffled)),
        ]
        assert days[0].fingerprint == days[1].fingerprint
        for number, file in enumerate(files):
            for other in (
                ExportFile(file.key + "x", file.size, file.etag),
                ExportFile(file.key, file.size + 1, file.etag),
                ExportFile(file.key, file.size, f"{file.etag}x"),
            ):
                changed = (*files[:number], other, *files[number + 1 :])
                assert ExportDay("events", DAY, False, changed).fingerprint != days[0].fingerprint


class TestFindingTheRoot:
    @pytest.mark.parametrize(
        "above", ["", "v1/account_id=1/", "a/b/c/d/e/f/g/h/i/j/v1/account_id=1/"]
    )
    def test_at_or_below(self, tmp_path: Path, above: str) -> None:
        write(tmp_path, f"{above}{FOLDER}part-0")
        export = open_export(str(tmp_path))
        assert export.identity == f"file://{tmp_path.resolve()}/{above}"
        [file] = export.day("events", DAY).files
        assert file.key == f"{FOLDER}part-0"

    def test_below_an_s3_prefix(self, s3_export: S3Export, tmp_path: Path) -> None:
        write(tmp_path / "export", f"copy/v1/account_id=1/{FOLDER}part-0")
        s3_export.upload(tmp_path / "export")
        export = open_export(s3_export.source, Access(endpoint_url=s3_export.endpoint_url))
        assert export.identity.startswith(f"{s3_export.source}copy/v1/account_id=1/")
        [file] = export.day("events", DAY).files
        assert file.key == f"{FOLDER}part-0"
        export.download(file, tmp_path / "copy")
        assert s3_export.rules.denied_listings == []

    def test_two_roots_are_named(self, tmp_path: Path) -> None:
        write(tmp_path, f"v1/account_id=1/{FOLDER}p", f"v1/account_id=2/{FOLDER}p")
        assert refusal(str(tmp_path)) == (
            "more than one export found: give one of"
            f" {tmp_path}/v1/account_id=1/, {tmp_path}/v1/account_id=2/"
        )

    def test_two_roots_on_s3_are_named_as_they_are_given(
        self, s3_export: S3Export, tmp_path: Path
    ) -> None:
        write(tmp_path, f"one/{FOLDER}p", f"two/{FOLDER}p")
        s3_export.upload(tmp_path)
        with pytest.raises(LoaderError) as raised:
            open_export(s3_export.source, Access(endpoint_url=s3_export.endpoint_url))
        assert str(raised.value) == (
            "more than one export found: give one of"
            f" {s3_export.source}one/, {s3_export.source}two/"
        )

    def test_no_root(self, tmp_path: Path) -> None:
        write(tmp_path, "a/b/c", "type=other/date=2026-01-01/part-0")
        assert refusal(str(tmp_path)).startswith("no type=decisions or type=events found")

    def test_a_link_back_up_is_no_second_root(self, tmp_path: Path) -> None:
        write(tmp_path, f"a/b/{FOLDER}p")
        (tmp_path / "a" / "up").symlink_to(tmp_path)
        (tmp_path / "again").symlink_to(tmp_path / "a" / "b")
        assert open_export(str(tmp_path)).dates("events") == [DAY]

    @pytest.mark.parametrize("limit", [5, 6])
    def test_the_search_ends_at_a_number_of_folders(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
    ) -> None:
        monkeypatch.setattr(layout, "SEARCH_FOLDERS", limit)
        write(tmp_path, f"1/2/3/4/5/{FOLDER}p")
        if limit == 6:
            assert open_export(str(tmp_path)).dates("events") == [DAY]
        else:
            assert refusal(str(tmp_path)).startswith("too many folders below")

    def test_too_many_folders(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(layout, "SEARCH_FOLDERS", 5)
        write(tmp_path, *(f"{number}/" for number in range(10)))
        assert refusal(str(tmp_path)).startswith("too many folders below")

    def test_inside_a_type_is_no_export(self, tmp_path: Path) -> None:
        write(tmp_path, f"{FOLDER}p")
        assert "give the folder that holds them" in refusal(str(tmp_path / "type=events"))

    def test_hidden_folders_are_not_searched(self, tmp_path: Path) -> None:
        write(tmp_path, f".old/{FOLDER}p", f"_old/{FOLDER}p", f"new/{FOLDER}p")
        assert open_export(str(tmp_path)).identity.endswith("/new/")

    def test_unknown_types_are_reported(self, tmp_path: Path, s3_export: S3Export) -> None:
        write(
            tmp_path,
            f"{FOLDER}p",
            "type=decisions-rerun/date=2026-01-02/p",
            "type=a/date=2026-01-02/p",
            "other/p",
        )
        for export in copies(tmp_path, s3_export):
            assert export.unknown_types == ("a", "decisions-rerun")

    def test_a_known_export_has_no_unknown_types(self, tmp_path: Path) -> None:
        write(tmp_path, f"{FOLDER}p", "type=decisions/")
        assert open_export(str(tmp_path)).unknown_types == ()


@pytest.mark.parametrize(
    "source", ["", "https://me:hunter2@host/", "ftp://x", "file://host/folder"]
)
def test_unknown_sources(source: str) -> None:
    message = refusal(source)
    assert message.startswith("unknown source")
    assert message.endswith("a folder, or file:///<folder>")
    assert "hunter2" not in message
