"""Files of every kind, and files that are none."""

import gzip
from collections.abc import Callable

import pytest

from loader.errors import ExitCode
from tests.loader.exports import (
    conversion,
    conversions_of,
    day,
    decision,
    decisions_of,
    few_days,
    query,
)
from tests.loader.faults.faulty import flip_bit
from tests.loader.faults.physical import TYPES, written_as
from tests.loader.faults.trial import Trial
from tests.models.histories import State, parquet_bytes

FLIPS = 100


def split_footer(content: bytes) -> tuple[bytes, bytes]:
    """A Parquet file's pages, and its footer with what follows."""
    length = int.from_bytes(content[-8:-4], "little") + 8
    return content[:-length], content[-length:]


def of_every_type() -> tuple[State, dict[str, bytes]]:
    """A day of both types, with one file of each physical type; and the files."""
    state: State = {("decisions", day(0)): [], ("events", day(0)): []}
    bodies: dict[str, bytes] = {}
    for name in TYPES:
        for one, row in ((decisions_of, decision), (conversions_of, conversion)):
            rows = [row(f"{name} {number}") for number in range(3)]
            for unit, files in one(day(0), *rows, part=name).items():
                state[unit] += files
                bodies |= {key: written_as(name, key, rows) for key, rows in files}
    return state, bodies


def test_every_physical_type_in_one_day(trial: Trial) -> None:
    state, bodies = of_every_type()
    trial.publish(state)
    trial.put_all(bodies)
    trial.recovers()


def test_files_without_rows(trial: Trial) -> None:
    empty: State = {
        unit: [(f"{key}.empty", []) for key, _ in few_days(1)[unit]] for unit in few_days(1)
    }
    for state in (empty, {unit: files + empty[unit] for unit, files in few_days(1).items()}):
        trial.publish(state)
        trial.recovers()


NO_PARQUET: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "magic only": lambda content: b"PAR1PAR1",
    "an error of the store": lambda content: b"<Error><Code>AccessDenied</Code></Error>",
    "compressed": gzip.compress,
    "cut by a byte": lambda content: content[:-1],
    "half": lambda content: content[: len(content) // 2],
    "encrypted": lambda content: b"PARE" + content[4:-4] + b"PARE",
    "JSON": lambda content: b'{"uuid": "1"}\n',
}


@pytest.mark.parametrize("is_landed", [False, True], ids=["new", "landed"])
def test_files_that_are_not_parquet(trial: Trial, is_landed: bool) -> None:
    old = few_days(1) | conversions_of(day(0), conversion("old"))
    if is_landed:
        trial.publish(old)
        trial.pull()
    [(key, rows)] = conversions_of(day(0), conversion("new"))["events", day(0)]
    good = parquet_bytes(key, rows)
    files = [(f"{key}.{number}", rows) for number in range(len(NO_PARQUET) + 1)]
    trial.publish(few_days(1) | {("events", day(0)): files})
    bad = [spoil(good) for spoil in NO_PARQUET.values()]
    trial.put_all({f"{key}.{number}": content for number, content in enumerate(bad)})
    for _ in range(2):
        said = trial.pull()
        assert said.returncode == ExitCode.BAD_INPUT
        assert f"has {len(NO_PARQUET)} bad files" in said.stderr
        trial.check_days(old)
    trial.put_all({f"{key}.{number}": good for number in range(len(bad))})
    trial.recovers()


@pytest.mark.parametrize("counted", [199, 201])
def test_a_footer_that_counts_other_rows(s3_trial: Trial, counted: int) -> None:
    rows = [conversion(str(number)) for number in range(200)]
    [(key, _)] = conversions_of(day(0), *rows)["events", day(0)]
    whole = written_as("no compression", key, rows)
    s3_trial.publish(few_days(1) | {("events", day(0)): [(key, rows)]})
    pages, footer = split_footer(whole)
    s3_trial.bucket.put(key, pages + footer.replace(_count(200), _count(counted), 1))
    assert "rows" in s3_trial.fails(ExitCode.BAD_INPUT)
    s3_trial.bucket.put(key, whole)
    s3_trial.recovers()


def _count(rows: int) -> bytes:
    """A count of rows in Thrift's compact protocol; the first in a footer is the whole file's."""
    zigzag = rows * 2
    return bytes([0x16, zigzag & 0x7F | 0x80, zigzag >> 7])


@pytest.mark.parametrize("kind", ["checksums", "checksums of plain pages"])
def test_bits_flipped_at_rest(gcs_trial: Trial, kind: str) -> None:
    """The store gives damaged bytes and the ETag of those: only the file itself can tell.

    With checksums of its pages every flip in their bytes is found; what stays unfound is in
    headers and the footer, and must not matter.
    """
    rows = [conversion(f"uuid {number}", visitor_id=str(number)) for number in range(200)]
    [(key, _)] = conversions_of(day(0), *rows)["events", day(0)]
    whole = written_as(kind, key, rows)
    pages, footer = split_footer(whole)
    keys = [f"{key}.{number}" for number in range(FLIPS)]
    gcs_trial.publish({("events", day(0)): []})
    gcs_trial.put_all({name: flip_bit(pages, gcs_trial.rng) + footer for name in keys})

    found: set[str] = set()
    # Twice: files whose checksums hold are read only when no other file is bad.
    for _ in range(2):
        if gcs_trial.pull().returncode == ExitCode.BAD_INPUT:
            sql = "select key from optimizely_ledger.quarantined_files"
            for (name,) in query(gcs_trial.warehouse, sql):
                gcs_trial.bucket.delete(name)
                found.add(name)
    assert len(found) > FLIPS // 2
    gcs_trial.state = {("events", day(0)): [(name, rows) for name in keys if name not in found]}
    gcs_trial.recovers()
