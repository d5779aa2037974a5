"""`loader sample`: one file beside the specification, and its rows as landed."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from loader import spec
from loader.errors import ExitCode
from tests.loader.command import Command
from tests.loader.exports import (
    conversion,
    conversions_of,
    day,
    decision,
    decisions_of,
    few_days,
    query,
)
from tests.loader.files import columns, parquet, spoil_pages
from tests.loader.s3_server import S3Export
from tests.models.histories import write_state


def write_file(folder: Path, content: bytes) -> Path:
    """An export of one day of conversions in one file."""
    place = folder / f"export/type=events/date={day(0)}/event=e"
    place.mkdir(parents=True, exist_ok=True)
    (place / "part-0.parquet").write_bytes(content)
    (place.parent / "_SUCCESS").touch()
    return folder / "export"


def sampled(loader: Command, root: Path, code: ExitCode, *options: str) -> dict[str, Any]:
    done = loader("sample", "--source", root, *options, "--json")
    assert done.returncode == code, done.stderr
    [told] = json.loads(done.stdout)
    assert told["can_be_landed"] is (code == ExitCode.DONE)
    assert isinstance(told, dict)
    return told


class TestColumns:
    def test_each_status(self, loader: Command, tmp_path: Path) -> None:
        content = parquet(
            columns(uuid=None, revenue=pa.array(["a", "b"]))
            | {"new": pa.array([1, 2]), "quantity": pa.nulls(2)},
            compression="zstd",
            row_group_size=1,
        )
        told = sampled(loader, write_file(tmp_path, content), ExitCode.BAD_INPUT)
        found = {column["name"]: column for column in told["columns"]}
        assert list(found) == [column.name for column in spec.CONVERSIONS.columns] + ["new"]
        assert found["uuid"] == {
            "name": "uuid",
            "file_type": None,
            "landed_type": "VARCHAR",
            "is_required": True,
            "status": "missing",
        }
        assert found["revenue"]["status"] == "cannot be cast"
        assert found["revenue"]["file_type"] == "string"
        assert found["tags"]["status"] == "missing"
        assert not found["tags"]["is_required"]
        assert found["timestamp"]["file_type"] == "int64"
        assert found["timestamp"]["landed_type"] == "TIMESTAMP"
        assert found["timestamp"]["status"] == "ok"
        assert found["quantity"]["status"] == "ok"
        assert found["new"] == {
            "name": "new",
            "file_type": "int64",
            "landed_type": None,
            "is_required": False,
            "status": "unknown",
        }
        assert (told["row_count"], told["row_group_count"]) == (2, 2)
        assert told["compression"] == ["zstd"]
        assert told["rows"] == []
        assert told["reason"] == "required columns are missing: uuid"
        assert told["bytes"] == len(content)

    def test_page_checksums(self, loader: Command, tmp_path: Path) -> None:
        content = parquet(columns(), write_page_checksum=True)
        told = sampled(loader, write_file(tmp_path, content), ExitCode.DONE)
        assert told["checked_page_count"] >= len(columns())
        told = sampled(loader, write_file(tmp_path, parquet(columns())), ExitCode.DONE)
        assert told["checked_page_count"] == 0
        told = sampled(loader, write_file(tmp_path, spoil_pages(content)), ExitCode.BAD_INPUT)
        assert told["checked_page_count"] is None
        assert "its checksum or its header is wrong" in told["reason"]

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (b"", "not a readable Parquet file"),
            (b"no Parquet", "not a readable Parquet file"),
            (parquet(columns())[:-9], "not a readable Parquet file"),
            (spoil_pages(parquet(columns())), ""),
        ],
    )
    def test_a_file_that_nobody_can_read(
        self, loader: Command, tmp_path: Path, content: bytes, reason: str
    ) -> None:
        root = write_file(tmp_path, content)
        told = sampled(loader, root, ExitCode.BAD_INPUT)
        assert told["reason"].startswith(reason)
        assert told["rows"] == []
        done = loader("sample", "--source", root, "--type", "events")
        assert done.returncode == ExitCode.BAD_INPUT
        assert done.stdout.splitlines()[-1] == f"cannot be landed: {told['reason']}"
        assert done.stderr == ""


class TestRows:
    def test_are_what_a_pull_lands(
        self, loader: Command, export: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TZ", "America/New_York")
        told = sampled(loader, export, ExitCode.DONE, "--type", "events", "--rows", "2")
        loader("pull", "--source", export)
        names = [column.name for column in spec.CONVERSIONS.columns]
        landed = query(
            loader.folder / "warehouse.duckdb",
            f"""
            select {", ".join(f'"{name}"' for name in names)} from optimizely_raw.conversions
            inner join optimizely_ledger.files on _file_id = file_id
            where '{told["address"]}' like '%' || key order by _file_row limit 2
            """,
        )
        assert told["rows"] == [
            {
                name: value.isoformat() if isinstance(value, datetime) else value
                for name, value in zip(names, row, strict=True)
            }
            for row in landed
        ]
        assert len(told["rows"]) == 2

    def test_as_many_as_asked_for(self, loader: Command, tmp_path: Path) -> None:
        rows = [decision(f"d{number}") for number in range(9)]
        root = write_state(tmp_path / "export", decisions_of(day(0), *rows))
        for options, count in ((("--rows", "0"), 0), ((), 5), (("--rows", "99"), 9)):
            told = sampled(loader, root, ExitCode.DONE, *options)
            assert [row["uuid"] for row in told["rows"]] == [f"d{n}" for n in range(count)]
            assert told["row_count"] == 9
        assert "row 1" not in loader("sample", "--source", root, "--rows", "0").stdout

    def test_more_than_there_can_be(self, loader: Command, export: Path) -> None:
        line = loader.refused("sample", "--source", export, "--rows", str(2**63))
        assert "less than or equal to 1000000000" in line

    def test_are_printed_safely(self, loader: Command, tmp_path: Path) -> None:
        row = conversion("a", event_name="[red]x\n\x1b[31m", value=float("nan"), referer=None)
        name = "event=[bold]\x1b[31m"
        root = write_state(
            tmp_path / "export",
            {("events", day(0)): [(f"type=events/date={day(0)}/{name}/part-0.parquet", [row])]},
        )
        done = loader("sample", "--source", root)
        lines = done.stdout.splitlines()
        assert "\x1b" not in done.stdout
        assert lines[0].endswith("/event=[bold]\\x1b[31m/part-0.parquet")
        assert "  event_name        [red]x\\n\\x1b[31m" in lines
        assert "  referer           NULL" in lines
        assert any(line.startswith('  tags              {"a": "b", ') for line in lines)
        assert lines[-1] == "can be landed"
        assert sampled(loader, root, ExitCode.DONE)["rows"][0]["value"] == "nan"

    def test_a_type_is_no_markup(self, loader: Command, tmp_path: Path) -> None:
        content = parquet(
            columns(timestamp=pa.array([datetime(2024, 1, 1)] * 2, pa.timestamp("ms", tz="UTC")))
            | {"[red]": pa.array([1, 2])}
        )
        done = loader("sample", "--source", write_file(tmp_path, content))
        assert "timestamp[ms, tz=UTC]" in done.stdout
        assert "[red]" in done.stdout


class TestWhichFile:
    def test_the_middle_one_of_the_newest_ready_day(self, loader: Command, tmp_path: Path) -> None:
        state = few_days(3)
        state["decisions", day(1)] = [
            (
                f"type=decisions/date={day(1)}/experiment=1/part-{count}.parquet",
                [decision(f"d{count}-{n}", user_agent=f"{n}" * 100) for n in range(count)],
            )
            for count in (50, 0, 20)
        ]
        root = write_state(tmp_path / "export", state)
        (root / f"type=decisions/date={day(2)}/_SUCCESS").unlink()
        told = sampled(loader, root, ExitCode.DONE, "--type", "decisions")
        assert told["address"].endswith(f"date={day(1)}/experiment=1/part-20.parquet")
        assert (told["type"], told["date"]) == ("decisions", str(day(1)))

    def test_one_of_each_type(self, loader: Command, export: Path) -> None:
        told = loader.json("sample", "--source", export)
        assert [item["type"] for item in told] == ["decisions", "events"]

    def test_of_one_event(self, loader: Command, tmp_path: Path) -> None:
        state = few_days(3)
        key = f"type=events/date={day(0)}/event=a%2Fb/part-0.parquet"
        state["events", day(0)].append((key, [conversion("x")]))
        root = write_state(tmp_path / "export", state)
        told = sampled(loader, root, ExitCode.DONE, "--event", "a/b")
        assert told["address"] == str(root / key)

    def test_none(self, loader: Command, export: Path) -> None:
        done = loader("sample", "--source", export, "--event", "other")
        assert done.returncode == ExitCode.NOT_READY
        assert done.stdout == ""
        assert done.stderr == (
            "note: no ready day of events holds a file that was asked for\n"
            "error: there is nothing to show: see with `loader ls` what is at the source\n"
        )

    def test_the_other_type_may_be_absent(self, loader: Command, tmp_path: Path) -> None:
        root = write_state(tmp_path / "export", decisions_of(day(0), decision("a")))
        done = loader("sample", "--source", root, "--json")
        assert [item["type"] for item in json.loads(done.stdout)] == ["decisions"]
        assert done.stderr == "note: no ready day of events holds a file that was asked for\n"

    def test_leaves_nothing_and_needs_no_warehouse(
        self,
        loader: Command,
        tmp_path: Path,
        s3_export: S3Export,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        for name, value in s3_export.environment.items():
            monkeypatch.setenv(name, value)
        temporary = tmp_path / "temporary"
        temporary.mkdir()
        monkeypatch.setattr("tempfile.tempdir", str(temporary))
        state = conversions_of(day(0), conversion("a"))
        s3_export.upload(write_state(tmp_path / "export", state))
        [told] = loader.json("sample", "--source", s3_export.source)
        assert told["address"].startswith(s3_export.source)
        assert s3_export.requests["GET"] == 1
        assert list(temporary.iterdir()) == []
        assert list(loader.folder.iterdir()) == []
