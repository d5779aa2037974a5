"""`pull --wait`: lands what is ready, and asks again until the rest is, or the time is over."""

import json
import threading
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

import loader.waiting
from loader.errors import ExitCode, LoaderError
from loader.export.layout import open_export
from loader.plan import Plan, plan_pull
from loader.privacy import settle
from loader.timespan import parse_duration, today_utc
from tests.loader.command import Command
from tests.loader.exports import (
    conversion,
    conversions_of,
    decision,
    decisions_of,
    expected,
    staged,
)
from tests.models.histories import State, write_state

TODAY = today_utc()
YESTERDAY = TODAY - timedelta(days=1)
BEFORE = TODAY - timedelta(days=2)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader.waiting, "POLL_SECONDS", 0.05)


def day_of_both(at: date) -> State:
    return decisions_of(at, decision(f"d{at}", at)) | conversions_of(at, conversion(f"c{at}", at))


def later(seconds: float, act: Callable[[], object]) -> threading.Timer:
    timer = threading.Timer(seconds, act)
    timer.start()
    return timer


def test_lands_a_day_once_it_is_ready(loader: Command, tmp_path: Path) -> None:
    state = day_of_both(BEFORE) | day_of_both(YESTERDAY)
    root = write_state(tmp_path / "export", state)
    mark = root / f"type=events/date={YESTERDAY}/_SUCCESS"
    mark.unlink()
    timer = later(0.6, mark.touch)
    done = loader("pull", "--source", root, "--wait", "1m", "--json")
    timer.join()

    assert done.returncode == ExitCode.DONE
    answer = json.loads(done.stdout)
    assert (answer["days"], answer["rows"], len(answer["to_land"])) == (4, 4, 4)
    assert (answer["not_ready"], answer["absent"]) == ([], [])
    assert f"waiting for events of {YESTERDAY}" in done.stderr
    assert staged(loader.folder / "warehouse.duckdb") == expected(state)


def test_waits_for_a_folder_that_is_not_there_yet(loader: Command, tmp_path: Path) -> None:
    root = write_state(tmp_path / "export", day_of_both(BEFORE))
    state = day_of_both(BEFORE) | day_of_both(YESTERDAY)
    timer = later(0.6, lambda: write_state(tmp_path / "export", state))
    done = loader("pull", "--source", root, "--wait", "1m")
    timer.join()
    # The folder is there some time before its files are: an unfinished day has no mark.
    assert done.returncode == ExitCode.DONE, done.stderr
    assert done.stdout.startswith("landed 4 days")
    assert staged(loader.folder / "warehouse.duckdb") == expected(state)


def test_in_vain(loader: Command, tmp_path: Path) -> None:
    state = day_of_both(BEFORE)
    root = write_state(tmp_path / "export", state)
    done = loader("pull", "--source", root, "--wait", "1s", "--json")
    assert done.returncode == ExitCode.NOT_READY
    answer = json.loads(done.stdout)
    assert answer["days"] == 2
    assert answer["absent"] == [
        {"type": name, "date": str(YESTERDAY)} for name in ("decisions", "events")
    ]
    assert f"not ready: decisions of {YESTERDAY} is not at the source yet" in done.stderr
    assert staged(loader.folder / "warehouse.duckdb") == expected(state)


def test_only_to_the_last_day_asked_for(loader: Command, tmp_path: Path) -> None:
    root = write_state(tmp_path / "export", day_of_both(BEFORE))
    done = loader("pull", "--source", root, "--wait", "1m", "--until", str(BEFORE))
    assert (done.returncode, done.stderr) == (ExitCode.DONE, "")


def test_only_for_the_type_asked_for(loader: Command, tmp_path: Path) -> None:
    root = write_state(tmp_path / "export", decisions_of(YESTERDAY, decision("d", YESTERDAY)))
    done = loader("pull", "--source", root, "--wait", "1m", "--type", "decisions")
    assert (done.returncode, done.stderr) == (ExitCode.DONE, "")


def test_without_it_nothing_is_waited_for(loader: Command, tmp_path: Path) -> None:
    root = write_state(tmp_path / "export", day_of_both(BEFORE))
    done = loader("pull", "--source", root)
    assert (done.returncode, done.stderr) == (ExitCode.DONE, "")


def test_a_dry_run_does_not_wait(loader: Command, tmp_path: Path) -> None:
    root = write_state(tmp_path / "export", day_of_both(BEFORE))
    line = loader.refused("pull", "--source", root, "--wait", "1m", "--dry-run")
    assert line == "error: --dry-run does not wait: leave out --wait"


def test_trouble_that_passes_is_waited_out(
    loader: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_state(tmp_path / "export", day_of_both(YESTERDAY))
    troubles = [
        LoaderError("the network is away: try again", ExitCode.TRANSIENT),
        LoaderError("the warehouse is in use: close it", ExitCode.DATABASE_IN_USE),
    ]

    def troubled(*arguments: Any, **options: Any) -> Plan:
        if troubles:
            raise troubles.pop()
        return plan_pull(*arguments, **options)

    monkeypatch.setattr("loader.pull.plan_pull", troubled)
    done = loader("pull", "--source", root, "--wait", "1m")
    assert done.returncode == ExitCode.DONE
    assert done.stdout.startswith("landed 2 days")
    assert "the network is away: try again; trying again in a while" in done.stderr


def test_trouble_at_the_start_is_waited_out(
    loader: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_state(tmp_path / "export", day_of_both(YESTERDAY))
    (root / "type=odd").mkdir()
    troubles = {
        "open_export": LoaderError("the network is away: try again", ExitCode.TRANSIENT),
        "settle": LoaderError("the warehouse is in use: close it", ExitCode.DATABASE_IN_USE),
    }

    def troubled(name: str, act: Callable[..., Any]) -> Callable[..., Any]:
        def tried(*arguments: Any) -> Any:
            if trouble := troubles.pop(name, None):
                raise trouble
            return act(*arguments)

        return tried

    monkeypatch.setattr("loader.cli.options.open_export", troubled("open_export", open_export))
    monkeypatch.setattr("loader.privacy.settle", troubled("settle", settle))
    done = loader("pull", "--source", root, "--wait", "1m")
    assert done.returncode == ExitCode.DONE, done.stderr
    assert done.stdout.startswith("landed 2 days")
    assert done.stderr == (
        "the network is away: try again; trying again in a while\n"
        "note: type=odd is not in the specification and is not landed\n"
        "the warehouse is in use: close it; trying again in a while\n"
    )


@pytest.mark.parametrize("code", [ExitCode.TRANSIENT, ExitCode.CREDENTIALS])
def test_trouble_that_stays(
    loader: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: ExitCode
) -> None:
    root = write_state(tmp_path / "export", day_of_both(YESTERDAY))

    def trouble(*_: object, **__: object) -> None:
        raise LoaderError("no: do something", code)

    monkeypatch.setattr("loader.pull.plan_pull", trouble)
    done = loader("pull", "--source", root, "--wait", "1s")
    assert done.returncode == code
    assert done.stderr.endswith("error: no: do something\n")


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("15m", 900), ("6h", 21_600), ("1d", 86_400), ("0s", 0)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text, "--wait") == seconds


@pytest.mark.parametrize("text", ["", "6", "h", "-1h", "1.5h", "6 h", "1w", "٣h", "6h\n"])
def test_what_is_no_duration(loader: Command, text: str) -> None:
    line = loader.refused("pull", "--source", ".", "--wait", text)
    assert line.endswith("is no duration: give one such as 90s, 15m, 6h or 1d")
