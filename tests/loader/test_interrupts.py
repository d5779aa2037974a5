"""Ctrl-C while days are landed: the first finishes what is being landed, a second stops at once."""

import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from loader.errors import INTERRUPTED_TEXT, ExitCode
from loader.interrupts import finishing_first
from tests.loader.exports import beside, expected, few_days, pull, query, staged
from tests.models.histories import write_state

SLOWLY = textwrap.dedent(
    """
    import sys, time
    import loader.landing.fetch
    import loader.pull
    from loader.__main__ import main

    land_days = loader.pull.land_days

    def slowly(*arguments):
        print("landing", file=sys.stderr, flush=True)
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:  # a signal just before a long sleep would not end it
            time.sleep(0.01)
        return land_days(*arguments)

    loader.landing.fetch.BATCH_ROWS = 1  # each day by itself
    loader.pull.land_days = slowly
    main()
    """
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_state(tmp_path / "export", few_days(2))


@contextmanager
def slow_pull(root: Path, warehouse: Path, seconds: float) -> "Iterator[subprocess.Popen[str]]":
    """A pull that takes so long for each day; its first day has begun to be landed."""
    code = SLOWLY.replace("SECONDS", str(seconds))
    arguments = ("pull", "--source", str(root), "--warehouse", str(warehouse))
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A process in the background, as a test may be, has it ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "landing\n"
        yield process


def test_the_first_finishes_the_day(root: Path, tmp_path: Path) -> None:
    warehouse = tmp_path / "w.duckdb"
    with slow_pull(root, warehouse, 0.5) as process:
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=30)

    assert process.returncode == ExitCode.INTERRUPTED
    assert stdout.startswith("landed 1 days")
    assert stderr.splitlines() == [
        "finishing what is being landed; Ctrl-C again stops at once",
        INTERRUPTED_TEXT,
    ]
    assert len(query(warehouse, "from optimizely_ledger.days")) == 1
    assert beside(warehouse) == {"export", "w.duckdb"}
    pull(root, warehouse)
    assert staged(warehouse) == expected(few_days(2))


def test_a_second_stops_at_once(root: Path, tmp_path: Path) -> None:
    warehouse = tmp_path / "w.duckdb"
    with slow_pull(root, warehouse, 60) as process:
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert process.stderr.readline().startswith("finishing what is being landed")
        process.send_signal(signal.SIGINT)
        started = time.monotonic()
        stdout, stderr = process.communicate(timeout=30)

    assert time.monotonic() - started < 10
    assert (process.returncode, stdout) == (ExitCode.INTERRUPTED, "")
    assert stderr == f"{INTERRUPTED_TEXT}\n"
    assert not warehouse.exists()
    pull(root, warehouse)
    assert staged(warehouse) == expected(few_days(2))
    assert beside(warehouse) == {"export", "w.duckdb"}


def test_with_the_last_day_all_is_done(tmp_path: Path) -> None:
    root = write_state(
        tmp_path / "export",
        {("decisions", day): few_days(1)[("decisions", day)] for _, day in few_days(1)},
    )
    warehouse = tmp_path / "w.duckdb"
    with slow_pull(root, warehouse, 0.5) as process:
        process.send_signal(signal.SIGINT)
        stdout, _ = process.communicate(timeout=30)
    assert process.returncode == ExitCode.DONE
    assert stdout.startswith("landed 1 days")


def test_the_old_answer_to_a_signal_comes_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with finishing_first() as has_come:
        assert signal.getsignal(signal.SIGINT) != before
        signal.raise_signal(signal.SIGINT)
        assert has_come()
    assert signal.getsignal(signal.SIGINT) == before


def test_outside_of_the_main_thread_nothing_is_held_back() -> None:
    found = []

    def run() -> None:
        with finishing_first() as has_come:
            found.append(has_come())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [False]
