"""Some experiments and events of an export: matched by name, listed at little cost."""

from datetime import date
from pathlib import Path

import pytest

from loader.export.layout import Export
from loader.export.selection import EVERYTHING, Selection, unescape
from tests.loader.folders import copies, write
from tests.loader.s3_server import S3Export

DAY = date(2026, 1, 2)
DECISIONS = f"type=decisions/date={DAY}/"
EVENTS = f"type=events/date={DAY}/"


def selection(*, experiments: tuple[str, ...] = (), events: tuple[str, ...] = ()) -> Selection:
    return Selection(frozenset(experiments), frozenset(events))


def keys(export: Export, export_type: str, asked: Selection = EVERYTHING) -> list[str]:
    return [file.key for file in export.day(export_type, DAY, asked).files]


class TestNames:
    @pytest.mark.parametrize(
        ("folder", "name"),
        [
            ("event=add to cart%3A 50%25%2F2 🛒", "add to cart: 50%/2 🛒"),
            ("event=a%3Db", "a=b"),
            ("event=a=b", "a=b"),
            ("event=%7Bx%5D%5e%07", "{x]^\a"),
            ("event=100%", "100%"),
            ("event=%zz", "%zz"),
            ("event=a%2", "a%2"),
            ("event=a%2525b", "a%25b"),
            ("event=p+lus & ; (é)", "p+lus & ; (é)"),
            ("event=%C3%A9", "Ã©"),
            ("event=NULL", "NULL"),
            ("event=__HIVE_DEFAULT_PARTITION__", "__HIVE_DEFAULT_PARTITION__"),
        ],
    )
    def test_a_folder_is_matched_by_its_name_as_spark_wrote_it(
        self, folder: str, name: str
    ) -> None:
        assert unescape(folder.removeprefix("event=")) == name
        asked = selection(events=(name, "another"))
        assert asked.includes_folder("events", folder)
        assert asked.includes("events", f"{EVENTS}{folder}/part-0.parquet")
        assert not selection(events=("another",)).includes_folder("events", folder)

    @pytest.mark.parametrize("folder", ["EVENT=e", "experiment=e", "e", "event=E", "event=e ", ""])
    def test_other_folders_are_not(self, folder: str) -> None:
        assert not selection(events=("e",)).includes_folder("events", folder)

    def test_each_option_narrows_its_own_type(self) -> None:
        asked = selection(experiments=("1",))
        assert not asked.is_everything("decisions")
        assert asked.includes_folder("decisions", "experiment=1")
        assert not asked.includes_folder("decisions", "experiment=11")
        assert not asked.includes_folder("decisions", "event=1")
        assert asked.is_everything("events")
        assert asked.includes_folder("events", "event=2")
        assert asked.names("decisions") == {"1"}
        assert asked.names("events") == set()

    def test_everything_includes_everything(self) -> None:
        assert EVERYTHING.is_everything("decisions")
        assert EVERYTHING.is_everything("events")
        assert EVERYTHING.includes("events", f"{EVENTS}part-0.parquet")

    def test_a_file_in_no_folder_is_of_the_whole_type_only(self) -> None:
        asked = selection(events=("e",))
        assert not asked.includes("events", f"{EVENTS}part-0.parquet")
        assert not asked.includes("events", f"{EVENTS}event=e")
        assert asked.includes("events", f"{EVENTS}event=e/below/part-0.parquet")


class TestDays:
    def test_any_name_can_be_asked_for(self, tmp_path: Path, s3_export: S3Export) -> None:
        names = ["a b", "p+lus & ;", "é 🛒", "add to cart%3A 50%25", "%", "%zz", "=", "~.-_!()"]
        write(tmp_path, *(f"{EVENTS}event={name}/part-0.parquet" for name in names))
        for export in copies(tmp_path, s3_export):
            for name in names:
                asked = selection(events=(unescape(name),))
                assert keys(export, "events", asked) == [f"{EVENTS}event={name}/part-0.parquet"]

    def test_holds_what_was_asked_for(self, tmp_path: Path, s3_export: S3Export) -> None:
        wanted = [
            f"{EVENTS}event=a%2Fb/part-0.parquet",
            f"{EVENTS}event=a%2Fb/part-1.parquet",
            f"{EVENTS}event=c/part-0.parquet",
        ]
        whole = [f"{DECISIONS}experiment=1/part-0.parquet"]
        write(
            tmp_path,
            f"{EVENTS}_SUCCESS",
            f"{EVENTS}part-0.parquet",
            f"{EVENTS}event=a/part-0.parquet",
            f"{EVENTS}event=a%2Fb/_SUCCESS",
            f"{EVENTS}event=a%2Fb/.part-0.parquet.crc",
            f"{EVENTS}event=a%2Fb/_temporary/part-0.parquet",
            *wanted,
            *whole,
        )
        asked = selection(events=("a/b", "c", "d"))
        for export in copies(tmp_path, s3_export):
            day = export.day("events", DAY, asked)
            assert [file.key for file in day.files] == wanted
            assert day.is_ready
            assert all(file in export.day("events", DAY).files for file in day.files)
            assert keys(export, "decisions", asked) == whole

    def test_readiness_is_the_dates(self, tmp_path: Path, s3_export: S3Export) -> None:
        write(tmp_path, f"{EVENTS}event=e/_SUCCESS", f"{EVENTS}event=e/part-0.parquet")
        asked = selection(events=("e",))
        for export in copies(tmp_path, s3_export):
            assert not export.day("events", DAY, asked).is_ready
            assert len(keys(export, "events", asked)) == 1

    def test_a_ready_day_without_the_event(self, tmp_path: Path, s3_export: S3Export) -> None:
        write(tmp_path, f"{EVENTS}_SUCCESS", f"{EVENTS}event=e/part-0.parquet")
        for export in copies(tmp_path, s3_export):
            day = export.day("events", DAY, selection(events=("f",)))
            assert (day.is_ready, day.files) == (True, ())

    def test_a_date_that_is_not_there(self, tmp_path: Path, s3_export: S3Export) -> None:
        write(tmp_path, f"{EVENTS}_SUCCESS")
        for export in copies(tmp_path, s3_export):
            day = export.day("events", date(2020, 1, 1), selection(events=("f",)))
            assert (day.is_ready, day.files) == (False, ())

    def test_a_folder_that_the_event_is_no_part_of_is_not_listed(
        self, tmp_path: Path, s3_export: S3Export
    ) -> None:
        names = [f"{EVENTS}event={number}/part-0.parquet" for number in range(20)]
        write(tmp_path, f"{EVENTS}_SUCCESS", *names)
        [_, export] = copies(tmp_path, s3_export)
        s3_export.requests.clear()
        assert len(keys(export, "events", selection(events=("3", "4")))) == 2
        assert s3_export.requests == {"LIST": 3}
