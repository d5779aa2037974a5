"""`loader pull` from S3: the same tables as from a folder, few requests, no secret anywhere."""

import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from loader.errors import ExitCode
from loader.pull import PullResult
from loader.timespan import today_utc
from tests.loader.exports import (
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
    pull,
    query,
    staged,
)
from tests.loader.s3_server import S3Export
from tests.models.histories import State, history, parquet_bytes, write_state

SESSION_TOKEN = "FwoGZXIvYXdzEXAMPLETOKEN0123456789abcdef"


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    path = tmp_path / "warehouse" / "w.duckdb"
    path.parent.mkdir()
    return path


def pull_s3(export: S3Export, warehouse: Path) -> PullResult:
    return pull(export.source, warehouse, endpoint_url=export.endpoint_url)


def upload(export: S3Export, folder: Path, state: State) -> Path:
    """Puts a state into the bucket, and returns the folder with the same files."""
    root = write_state(folder, state)
    export.upload(root)
    return root


def replace_day(export: S3Export, state: State) -> None:
    """Puts the files of a rewritten day; those of the same name are replaced."""
    for files in state.values():
        for key, rows in files:
            export.put(key, parquet_bytes(key, rows))


def run(
    export: S3Export, *arguments: str | Path, **env: str
) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [sys.executable, "-m", "loader", *map(str, arguments)],
        env=export.environment | env,
        capture_output=True,
        timeout=120,
    )


def test_lands_what_a_folder_of_the_same_files_gives(
    s3_export: S3Export, tmp_path: Path, warehouse: Path
) -> None:
    state = history(seed=3, visitors=15, loads=0).states[0]
    root = upload(s3_export, tmp_path / "export", state)
    pull(root, tmp_path / "folder.duckdb")

    assert pull_s3(s3_export, warehouse).exit_code == ExitCode.DONE

    assert staged(warehouse) == staged(tmp_path / "folder.duckdb") == expected(state)
    assert s3_export.requests["GET"] == sum(len(files) for files in state.values())
    assert beside(warehouse) == {"w.duckdb"}


def test_again_no_file_is_asked_for(s3_export: S3Export, tmp_path: Path, warehouse: Path) -> None:
    upload(s3_export, tmp_path / "export", few_days())
    pull_s3(s3_export, warehouse)
    before = everything(warehouse)
    s3_export.requests.clear()

    result = pull_s3(s3_export, warehouse)

    assert len(result.plan.unchanged) == 6
    assert set(s3_export.requests) == {"LIST"}
    assert everything(warehouse) == before


def test_only_a_rewritten_day_is_asked_for(
    s3_export: S3Export, tmp_path: Path, warehouse: Path
) -> None:
    upload(s3_export, tmp_path / "export", few_days())
    pull_s3(s3_export, warehouse)
    state = few_days()
    state[("events", day(1))][0][1][0]["revision"] = "71"  # the size stays: the ETag tells
    replace_day(s3_export, {("events", day(1)): state[("events", day(1))]})
    s3_export.requests.clear()

    assert landed_units(pull_s3(s3_export, warehouse)) == [("events", day(1))]
    assert s3_export.requests["GET"] == 2
    assert staged(warehouse) == expected(state)


@pytest.mark.parametrize(("age", "stays"), [(400, True), (300, False)])
def test_files_that_the_vendor_deletes_after_a_year_stay_landed(
    s3_export: S3Export, tmp_path: Path, warehouse: Path, age: int, stays: bool
) -> None:
    at = today_utc() - timedelta(days=age)
    first = conversions_of(at, conversion("first", at))
    second = conversions_of(at, conversion("second", at), part="part-1")
    [unit] = first
    upload(s3_export, tmp_path / "export", {unit: first[unit] + second[unit]})
    pull_s3(s3_export, warehouse)
    whole = staged(warehouse)

    s3_export.delete(first[unit][0][0])
    result = pull_s3(s3_export, warehouse)

    assert [day.unit for day in result.plan.expired] == ([unit] if stays else [])
    assert staged(warehouse) == (whole if stays else expected(second))
    if stays:  # and where another came, the day was written again
        upload(s3_export, tmp_path / "again", conversions_of(at, conversion("third", at), part="3"))
        assert landed_units(pull_s3(s3_export, warehouse)) == [unit]


def test_the_command_needs_no_final_slash(
    s3_export: S3Export, tmp_path: Path, warehouse: Path
) -> None:
    upload(s3_export, tmp_path / "export", few_days())
    pull_s3(s3_export, warehouse)
    source = s3_export.source.rstrip("/")

    done = run(s3_export, "pull", "--source", source, "--warehouse", warehouse)

    assert (done.returncode, done.stderr) == (ExitCode.DONE, b"")
    assert done.stdout.startswith(b"landed 0 days")
    assert s3_export.rules.denied_listings == []


def test_another_accounts_prefix_is_denied(s3_export: S3Export, warehouse: Path) -> None:
    source = f"s3://{s3_export.bucket}/v1/account_id=99999/"
    done = run(s3_export, "pull", "--source", source, "--warehouse", warehouse)

    assert done.returncode == ExitCode.CREDENTIALS
    assert done.stdout == b""
    assert done.stderr.decode() == (
        f"error: {source}: S3 says AccessDenied: allow listing and reading "
        "(for a lake also writing and deleting) to these credentials\n"
    )
    assert list(warehouse.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("AWS_SECRET_ACCESS_KEY", "wrong/secret/wrong/secret", "AWS_SECRET_ACCESS_KEY"),
        ("AWS_ACCESS_KEY_ID", "AKIAWRONGWRONGWRONG0", "AWS_ACCESS_KEY_ID"),
    ],
)
def test_a_wrong_key(
    s3_export: S3Export, warehouse: Path, variable: str, value: str, told: str
) -> None:
    done = run(
        s3_export,
        "pull",
        "--source",
        s3_export.source,
        "--warehouse",
        warehouse,
        **{variable: value},
    )

    assert done.returncode == ExitCode.CREDENTIALS
    assert f"check {told} or AWS_PROFILE" in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1
    assert value.encode() not in done.stdout + done.stderr
    assert list(warehouse.parent.iterdir()) == []


def test_no_keys_at_all(s3_export: S3Export, warehouse: Path) -> None:
    env = dict.fromkeys(s3_export.credentials, "")
    done = run(s3_export, "pull", "--source", s3_export.source, "--warehouse", warehouse, **env)
    assert done.returncode == ExitCode.CREDENTIALS
    assert b"no AWS credentials found: set AWS_ACCESS_KEY_ID" in done.stderr


def test_no_secret_is_printed_or_stored(
    s3_export: S3Export, tmp_path: Path, warehouse: Path
) -> None:
    upload(s3_export, tmp_path / "export", few_days(1))
    options = ("--source", s3_export.source, "--warehouse", warehouse)
    said = b""
    for arguments, env in (
        (("pull", *options), {"AWS_SESSION_TOKEN": SESSION_TOKEN}),
        (("pull", *options, "--force", "--json"), {}),
        (("pull", *options, "--source", f"s3://{s3_export.bucket}/other/"), {}),
        (("status", *options), {}),
    ):
        done = run(s3_export, *arguments, **env)
        said += done.stdout + done.stderr

    stored = b"".join(path.read_bytes() for path in warehouse.parent.iterdir())
    assert len(query(warehouse, "from optimizely_ledger.loads")) >= 2
    assert s3_export.bucket.encode() in said  # something was said
    assert s3_export.bucket.encode() in stored
    for secret in (*s3_export.credentials.values(), SESSION_TOKEN):
        assert secret.encode() not in said
        assert secret.encode() not in stored


def test_moving_to_a_folder_adopts_and_sees_rewrites(
    s3_export: S3Export, tmp_path: Path, warehouse: Path
) -> None:
    root = upload(s3_export, tmp_path / "export", few_days())
    pull_s3(s3_export, warehouse)
    rows = staged(warehouse)

    result = pull(root, warehouse)
    assert (len(result.plan.to_adopt), result.landed) == (6, [])
    assert staged(warehouse) == rows

    state = few_days() | conversions_of(day(2), conversion("x", day(2)))
    assert landed_units(pull(write_state(tmp_path / "export", state), warehouse)) == [
        ("events", day(2))
    ]
    assert staged(warehouse) == expected(state)


def test_moving_to_a_bucket_fetches_what_differs(
    s3_export: S3Export, tmp_path: Path, warehouse: Path
) -> None:
    root = write_state(tmp_path / "export", few_days())
    pull(root, warehouse)
    shutil.rmtree(root)
    state = few_days() | decisions_of(day(0), decision("x"))
    upload(s3_export, tmp_path / "other", state)

    result = pull_s3(s3_export, warehouse)

    assert landed_units(result) == [("decisions", day(0))]
    assert s3_export.requests["GET"] == 1
    assert staged(warehouse) == expected(state)
