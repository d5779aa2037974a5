"""`loader ls` and `loader paths`: what is at the source, and what of it is landed."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from loader.errors import ExitCode
from tests.loader.command import Command
from tests.loader.exports import conversion, conversions_of, day, decision, decisions_of, few_days
from tests.loader.s3_server import S3Export
from tests.models.histories import State, write_state

EVENT = "add to cart: 50%/2 🛒"
EXPERIMENT = "18156943409"


def states(told: list[dict[str, Any]]) -> dict[tuple[str, str], str]:
    return {(item["type"], item["date"]): item["state"] for item in told}


def other_event(number: int, *rows: str) -> State:
    """A day's conversions of an event named `other`, beside those of `few_days`."""
    at = day(number)
    key = f"type=events/date={at}/event=other/part-9.parquet"
    files = few_days(number + 1)["events", at]
    return {("events", at): [*files, (key, [conversion(row, at) for row in rows])]}


class TestLs:
    def test_every_state(self, loader: Command, tmp_path: Path) -> None:
        state = few_days(4)
        root = write_state(tmp_path / "export", state)
        loader("pull", "--source", root, "--until", day(1).isoformat())
        state |= decisions_of(day(1), decision("rewritten", day(1)))
        write_state(tmp_path / "export", state)
        (root / f"type=events/date={day(3)}/_SUCCESS").unlink()
        [bad, *_] = sorted((root / f"type=decisions/date={day(3)}").rglob("*.parquet"))
        bad.write_bytes(b"no Parquet")
        loader("pull", "--source", root, "--type", "decisions", "--since", day(3).isoformat())

        done = loader("ls", "--source", root)
        told = loader.json("ls", "--source", root)

        wanted = {
            ("decisions", str(day(0))): "landed",
            ("decisions", str(day(1))): "changed at the source",
            ("decisions", str(day(2))): "to land",
            ("decisions", str(day(3))): "quarantined",
            ("events", str(day(0))): "landed",
            ("events", str(day(1))): "landed",
            ("events", str(day(2))): "to land",
            ("events", str(day(3))): "not ready",
        }
        assert states(told) == wanted
        assert [item["is_ready"] for item in told] == [True] * 7 + [False]
        assert [item["files"] for item in told] == [2, 1, 2, 2, 2, 2, 2, 2]
        size = sum(path.stat().st_size for path in root.rglob("*.parquet"))
        assert sum(item["bytes"] for item in told) == size
        assert done.returncode == ExitCode.DONE
        for (name, at), word in wanted.items():
            ready = "no" if word == "not ready" else "yes"
            assert re.search(rf"^{name} +{at} +{ready} +{word} +\d", done.stdout, re.MULTILINE)
        assert done.stdout.splitlines()[-1] == (
            f"8 days, 15 files, {size:,} bytes; 3 landed; 2 to land; 1 changed at the source; "
            "1 quarantined; 1 not ready"
        )

    def test_without_a_warehouse_nothing_is_landed(self, loader: Command, export: Path) -> None:
        told = loader.json("ls", "--source", export, "--type", "events", "--until", str(day(1)))
        assert states(told) == {
            ("events", str(day(0))): "to land",
            ("events", str(day(1))): "to land",
        }
        assert list(loader.folder.iterdir()) == []

    def test_a_landed_day_that_is_being_written_again(self, loader: Command, export: Path) -> None:
        loader("pull", "--source", export)
        (export / f"type=events/date={day(1)}/_SUCCESS").unlink()
        told = {
            (item["type"], item["date"]): item for item in loader.json("ls", "--source", export)
        }
        again = told["events", str(day(1))]
        assert (again["is_ready"], again["state"]) == (False, "landed")

    def test_of_nothing(self, loader: Command, export: Path) -> None:
        done = loader("ls", "--source", export, "--since", "2030-01-01")
        assert (done.returncode, done.stdout) == (0, "0 days, 0 files, 0 bytes\n")

    def test_an_unknown_type_is_told(self, loader: Command, export: Path) -> None:
        (export / "type=[red]").mkdir()
        done = loader("ls", "--source", export)
        assert done.stderr == "note: type=[red] is not in the specification and is not listed\n"

    def test_a_copy_of_what_was_landed(
        self, loader: Command, export: Path, s3_export: S3Export, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        loader("pull", "--source", export)
        s3_export.upload(export)
        for name, value in s3_export.environment.items():
            monkeypatch.setenv(name, value)
        assert set(states(loader.json("ls", "--source", s3_export.source)).values()) == {"landed"}
        options = ("ls", "--source", s3_export.source, "--event", EVENT, "--type", "events")
        assert set(states(loader.json(*options)).values()) == {"landed"}
        s3_export.put(f"type=events/date={day(0)}/event=other/part-0.parquet", b"x")
        changed = states(loader.json("ls", "--source", s3_export.source))
        assert changed["events", str(day(0))] == "changed at the source"


class TestSomeOfIt:
    def test_only_the_days_and_files_of_one_event(self, loader: Command, tmp_path: Path) -> None:
        root = write_state(tmp_path / "export", few_days() | other_event(1, "x"))
        told = loader.json("ls", "--source", root, "--event", "other")
        assert [
            (item["type"], item["date"], item["files"]) for item in told if item["type"] == "events"
        ] == [("events", str(day(1)), 1)]
        assert len([item for item in told if item["type"] == "decisions"]) == 3

        both = ("--event", "other", "--event", EVENT, "--type", "events")
        told = loader.json("ls", "--source", root, *both)
        assert [item["files"] for item in told] == [2, 3, 2]
        told = loader.json("ls", "--source", root, "--experiment", "1", "--type", "decisions")
        assert told == []
        told = loader.json(
            "ls", "--source", root, "--experiment", EXPERIMENT, "--type", "decisions"
        )
        assert [item["files"] for item in told] == [2, 2, 2]

    def test_landed_is_said_of_these_files(self, loader: Command, tmp_path: Path) -> None:
        root = write_state(tmp_path / "export", few_days() | other_event(1, "x"))
        loader("pull", "--source", root)
        write_state(tmp_path / "export", few_days() | other_event(1, "x", "y"))

        def state(event: str) -> str:
            options = ("--type", "events", "--since", str(day(1)), "--until", str(day(1)))
            [told] = loader.json("ls", "--source", root, "--event", event, *options)
            return str(told["state"])

        assert state("other") == "changed at the source"
        assert state(EVENT) == "landed"

    def test_a_day_landed_in_part(self, loader: Command, tmp_path: Path) -> None:
        root = write_state(tmp_path / "export", other_event(1, "x"))
        loader("pull", "--source", root, "--event", "other")

        def state(*events: str) -> str:
            options = [option for event in events for option in ("--event", event)]
            [told] = loader.json("ls", "--source", root, "--type", "events", *options)
            return str(told["state"])

        assert state() == "landed in part"
        assert state("other") == "landed"
        assert state(EVENT) == "landed in part"
        assert state("other", EVENT) == "landed in part"
        write_state(tmp_path / "export", other_event(1, "y"))
        assert state("other") == "changed at the source"

    def test_a_day_landed_without_its_bad_files(self, loader: Command, tmp_path: Path) -> None:
        root = write_state(tmp_path / "export", other_event(1, "x"))
        [bad] = root.rglob("event=other/*.parquet")
        bad.write_bytes(b"no Parquet")
        loader("pull", "--source", root, "--on-bad-file", "skip")

        def state(*options: str) -> str:
            [told] = loader.json("ls", "--source", root, "--type", "events", *options)
            return str(told["state"])

        assert state() == "landed in part"
        assert state("--event", EVENT) == "landed"
        assert state("--event", "other") == "quarantined"

    def test_a_day_that_is_not_ready_may_yet_hold_it(self, loader: Command, export: Path) -> None:
        (export / f"type=events/date={day(2)}/_SUCCESS").unlink()
        options = ("--event", "other", "--type", "events")
        [told] = loader.json("ls", "--source", export, *options)
        assert (told["date"], told["state"], told["files"]) == (str(day(2)), "not ready", 0)

    @pytest.mark.parametrize("command", ["ls", "paths"])
    @pytest.mark.parametrize("option", ["--experiment", "--event"])
    def test_an_empty_name_is_refused(
        self, loader: Command, export: Path, command: str, option: str
    ) -> None:
        line = loader.refused(command, "--source", export, option, "")
        assert line.startswith(f"error: {option} '' is no name: give one")


class TestPaths:
    def test_every_file_of_the_ready_days(self, loader: Command, export: Path) -> None:
        (export / f"type=events/date={day(1)}/_SUCCESS").unlink()
        done = loader("paths", "--source", export)
        wanted = [
            path
            for path in sorted(export.rglob("*.parquet"))
            if f"type=events/date={day(1)}" not in str(path)
        ]
        assert done.stdout.splitlines() == [str(path) for path in wanted]
        assert all(path.is_absolute() for path in wanted)
        assert done.stderr == f"not ready: events of {day(1)} has no _SUCCESS yet\n"
        assert done.returncode == ExitCode.DONE

        told = json.loads(loader("paths", "--source", export, "--json").stdout)
        assert [item["address"] for item in told] == [str(path) for path in wanted]
        assert [item["bytes"] for item in told] == [path.stat().st_size for path in wanted]
        assert {item["type"] for item in told} == {"decisions", "events"}
        assert {item["date"] for item in told} == {str(day(n)) for n in range(3)}
        assert all(item["etag"] for item in told)

    def test_of_one_event(self, loader: Command, tmp_path: Path) -> None:
        root = write_state(tmp_path / "export", few_days() | other_event(1, "x"))
        done = loader("paths", "--source", root, "--type", "events", "--event", "other")
        assert done.stdout == f"{root}/type=events/date={day(1)}/event=other/part-9.parquet\n"

    def test_from_a_relative_source(self, loader: Command) -> None:
        write_state(loader.folder / "shop", few_days(1))
        done = loader("paths", "--source", "shop")
        assert len(done.stdout.splitlines()) == 4
        assert all(Path(line).is_file() for line in done.stdout.splitlines())

    def test_in_a_bucket(
        self, loader: Command, s3_export: S3Export, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        key = f"type=events/date={day(0)}/event=a%2Fb c/part-0.parquet"
        s3_export.put(key, b"x")
        s3_export.put(f"type=events/date={day(0)}/_SUCCESS")
        for name, value in s3_export.environment.items():
            monkeypatch.setenv(name, value)
        done = loader("paths", "--source", s3_export.source, "--event", "a/b c")
        assert done.stdout == f"s3://{s3_export.bucket}/{s3_export.prefix}{key}\n"
        assert s3_export.requests["GET"] == 0

    def test_a_name_cannot_make_two_lines(self, loader: Command, tmp_path: Path) -> None:
        state = conversions_of(day(0), conversion("a"), part="part\n-0\x1b[31m")
        root = write_state(tmp_path / "export", state)
        [line] = loader("paths", "--source", root).stdout.splitlines()
        assert line.endswith("part\\n-0\\x1b[31m.snappy.parquet")
        [told] = loader.json("paths", "--source", root)
        assert Path(told["address"]).is_file()
