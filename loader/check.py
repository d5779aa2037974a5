"""Whether a pull would work, looked at step by step; every failure says what to do."""

import http.client
import os
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from loader import api, ledger
from loader.credentials import vendor
from loader.errors import ExitCode, LoaderError, shown
from loader.export.access import Access
from loader.export.cloud import CloudStore
from loader.export.layout import Export, ExportDay, find_export
from loader.export.opening import is_folder, open_store, server_url
from loader.export.store import ObjectStore
from loader.lake.storage import read_lake
from loader.landing.footers import BadFile, read_footer
from loader.landing.warehouse import open_warehouse
from loader.spec import TABLES
from loader.timespan import today_utc

CLOCK_LIMIT_SECONDS = 300
"""Amazon refuses requests whose time is 15 minutes off; a clock that is 5 off goes on drifting."""

LATE_DAYS = 2
"""A day is there by 13:00 UTC of the next one: the newest is not older than this."""

NEWEST_DATES = 3
"""How many dates of a type are looked at for one that is ready."""

PROBE_SECONDS = 10.0

GRAVITY = [
    ExitCode.CREDENTIALS,
    ExitCode.USAGE,
    ExitCode.NO_DISK_SPACE,
    ExitCode.BAD_INPUT,
    ExitCode.DATABASE_IN_USE,
    ExitCode.TRANSIENT,
    ExitCode.NOT_READY,
]
"""The gravest first; what waiting may cure comes last."""


class Status(StrEnum):
    """How a check ended."""

    PASS = "pass"  # noqa: S105
    WARN = "warn"
    FAIL = "fail"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Check:
    """One check: what was looked at and found. A failure's message ends with the remedy."""

    name: str
    status: Status
    message: str
    exit_code: ExitCode = ExitCode.DONE


def run_checks(source: str, access: Access, warehouse: Path, lake: str | None) -> list[Check]:
    """Looks at everything that a pull needs and changes nothing.

    Args:
        source: As for `open_export`.
        access: How it is reached.
        warehouse: The DuckDB file; it need not exist.
        lake: Address of a lake, looked at in place of the warehouse; empty or None for none.
    """
    checker = _Checker(source, access, warehouse, lake)
    steps: list[tuple[str, Callable[[], _Finding], str | None]] = [
        ("token", checker.token, None),
        ("clock", checker.clock, None),
        ("credentials", checker.credentials, None),
        ("region", checker.region, "credentials"),
        ("source", checker.source, "region"),
        ("layout", checker.layout, "source"),
        ("readiness", checker.readiness, "layout"),
        ("reading", checker.reading, "layout"),
        ("warehouse", checker.warehouse, None),
    ]
    checks: list[Check] = []
    unknown: set[str | None] = set()
    for name, step, needed in steps:
        if needed in unknown:
            unknown.add(name)
            checks.append(Check(name, Status.SKIPPED, f"needs {needed}, which failed"))
            continue
        try:
            found = step()
        except LoaderError as error:
            unknown.add(name)
            checks.append(Check(name, Status.FAIL, str(error), error.exit_code))
        else:
            checks.append(Check(name, found.status, found.message))
    return checks


def gravest(checks: list[Check]) -> ExitCode:
    """The exit code of the gravest failure; DONE where nothing failed."""
    codes = {check.exit_code for check in checks if check.status is Status.FAIL}
    return next((code for code in GRAVITY if code in codes), ExitCode.DONE)


class _Finding(NamedTuple):
    """What a check that did not fail found."""

    message: str
    status: Status = Status.PASS


class _Probe(NamedTuple):
    """What a server says to anyone: its clock (seconds since 1970) and a bucket's region."""

    clock: float | None
    region: str | None


class _Checker:
    """The checks; each leaves behind what later ones need, and raises LoaderError if it fails."""

    def __init__(self, source: str, access: Access, warehouse: Path, lake: str | None):
        self._source = source
        self._access = access
        self._warehouse = warehouse
        self._lake = lake
        self._store: ObjectStore | None = None
        self._export: Export | None = None
        self._days: list[ExportDay] = []

    def token(self) -> _Finding:
        if not api.has_token():
            return _Finding(f"{api.TOKEN_VARIABLE} is not set", Status.SKIPPED)
        try:
            grant_base = vendor.gcs_lease().grant().base
        except api.ApiRefusal:
            grant_base = vendor.s3_lease().grant().base
        return _Finding(f"accepted; it opens {shown(grant_base or '')}")

    def clock(self) -> _Finding:
        if is_folder(self._source):
            return _Finding("does not matter to a folder", Status.SKIPPED)
        url = server_url(self._source, self._access)
        there = _probe(url).clock
        if there is None:
            return _Finding(f"{shown(url)} does not say the time", Status.WARN)
        ahead = round(time.time() - there)
        if abs(ahead) > CLOCK_LIMIT_SECONDS:
            raise LoaderError(
                f"this machine's clock is {abs(ahead):,} s {'ahead' if ahead > 0 else 'behind'}:"
                " set it, for example with `timedatectl set-ntp true`",
                ExitCode.CREDENTIALS,
            )
        return _Finding(f"within {CLOCK_LIMIT_SECONDS} s of the store's")

    def credentials(self) -> _Finding:
        if is_folder(self._source):
            return _Finding("a folder needs none", Status.SKIPPED)
        self._store = open_store(self._source, self._access)
        assert isinstance(self._store, CloudStore)
        return _Finding(f"from {self._store.bucket.origin}")

    def region(self) -> _Finding:
        if not isinstance(self._store, CloudStore) or self._store.bucket.region is None:
            return _Finding("does not matter to this store", Status.SKIPPED)
        bucket = self._store.bucket
        server = bucket.endpoint_url or f"https://s3.{bucket.region}.amazonaws.com"
        there = _probe(f"{server}/{bucket.url.removeprefix('s3://').rstrip('/')}").region
        if there is None:
            return _Finding(f"{bucket.region}; the store does not say the bucket's")
        if there != bucket.region:
            raise LoaderError(
                f"{shown(bucket.url)} is in another region than {shown(bucket.region or '')}:"
                f" give it with --region {shown(there)}",
                ExitCode.USAGE,
            )
        return _Finding(there)

    def source(self) -> _Finding:
        self._store = self._store or open_store(self._source, self._access)
        self._store.folders("")
        return _Finding(f"{shown(self._store.identity)} can be listed")

    def layout(self) -> _Finding:
        assert self._store is not None
        self._export = find_export(self._store, self._source)
        unknown, missing = self._export.unknown_types, self._export.missing_types
        message = f"{shown(self._export.identity)} holds {', '.join(self._export.known_types)}"
        if unknown:
            message += f"; type={shown(', '.join(unknown))} is not in the specification"
        if missing:
            message += f"; type={', '.join(missing)} is not there"
        return _Finding(message, Status.WARN if unknown or missing else Status.PASS)

    def readiness(self) -> _Finding:
        assert self._export is not None
        texts = []
        status = Status.PASS
        for export_type in self._export.known_types:
            newest = self._export.dates(export_type)[-NEWEST_DATES:]
            days = [self._export.day(export_type, found) for found in reversed(newest)]
            self._days += days
            ready = next((day for day in days if day.is_ready), None)
            if ready is None:
                raise LoaderError(
                    f"no day of {export_type} is ready: the newest dates have no _SUCCESS;"
                    " wait for the vendor to finish them, or copy the export with its _SUCCESS"
                    " files",
                    ExitCode.NOT_READY,
                )
            age = (today_utc() - ready.export_date).days
            text = f"{export_type} is ready up to {ready.export_date}"
            if age > LATE_DAYS:
                status = Status.WARN
                text += f", {age:,} days ago: if it should be newer, ask the vendor"
            texts.append(text)
        return _Finding("; ".join(texts), status)

    def reading(self) -> _Finding:
        """Proves the right to read and to decrypt, which the right to list does not hold."""
        assert self._export is not None
        files = [(file.size, file, day) for day in self._days for file in day.files]
        if not files:
            return _Finding("the newest dates hold no file to read", Status.WARN)
        _, file, day = min(files, key=lambda found: (found[0], found[1].key))
        with tempfile.TemporaryDirectory(prefix="optimizely-e3-") as folder:
            copy = Path(folder) / "file.parquet"
            self._export.download(file, copy)
            try:
                footer = read_footer(copy, TABLES[day.export_type])
            except BadFile as bad:
                raise LoaderError(
                    f"{shown(file.key)}: {shown(str(bad))}: ask the vendor to write the day again",
                    ExitCode.BAD_INPUT,
                ) from bad
        return _Finding(f"{shown(file.key)}: {file.size:,} bytes, {footer.row_count:,} rows")

    def warehouse(self) -> _Finding:
        if self._lake:
            with read_lake(self._lake) as lake:
                where = shown(lake.store.address)
                if not lake.database.exists():
                    return _Finding(f"the lake {where} will be made by the first pull")
                return _Finding(f"the lake {where} can be read")
        where = shown(str(self._warehouse))
        if not self._warehouse.exists():
            folder = self._warehouse.parent
            while not folder.exists():  # a pull makes it
                folder = folder.parent
            if not folder.is_dir() or not os.access(folder, os.W_OK):
                raise LoaderError(
                    f"no warehouse can be made at {where}: make its folder, with the right to"
                    " write there, or give another with --warehouse",
                    ExitCode.USAGE,
                )
            return _Finding(f"{where} will be made by the first pull")
        with open_warehouse(self._warehouse, waits=False) as connection:
            ledger.landed_days(connection)  # a damaged file may open, and not be read
            return _Finding(f"{where} can be written")


def _probe(url: str) -> _Probe:
    """What the server says to an unsigned HEAD, refused or not; the first answer has the region."""
    request = urllib.request.Request(url, method="HEAD")  # noqa: S310 - from server_url
    try:
        with api.OPENER.open(request, timeout=PROBE_SECONDS) as answer:
            headers = answer.headers
    except urllib.error.HTTPError as error:
        with error:
            headers = error.headers
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise LoaderError(
            f"{shown(url)} cannot be reached ({type(error).__name__}): check the network and the"
            " endpoint, then try again",
            ExitCode.TRANSIENT,
        ) from error
    return _Probe(api.clock(headers["Date"]), headers["x-amz-bucket-region"])
