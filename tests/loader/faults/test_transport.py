"""Answers that do not come, come in part, or come spoiled."""

import pytest

from loader.errors import ExitCode
from tests.loader.exports import few_days
from tests.loader.faults.faulty import (
    ENDLESSLY,
    Change,
    cut,
    dropped,
    error,
    flipped,
    one_in,
    plain,
    shortened,
)
from tests.loader.faults.trial import Trial

ERRORS: dict[str, list[Change]] = {
    "503 SlowDown": [error(503, "SlowDown")] * 3,
    "500 InternalError": [error(500, "InternalError")],
    "502 of a load balancer": [plain(502, b"<html>Bad Gateway</html>")],
    "429": [error(429, "TooManyRequests")],
    "408": [error(408, "RequestTimeout")],
    "reset at once": [dropped],
}
CUTS: dict[str, list[Change]] = {
    "truncated": [cut(share, "close") for share in (0.0, 0.5, 1.0)],
    "reset": [cut(share, "reset") for share in (0.0, 0.5, 1.0)],
    "stalled": [cut(share, "stall") for share in (0.0, 0.5, 1.0)],
}
BROKEN = ERRORS | CUTS

pytestmark = pytest.mark.usefixtures("impatient")


@pytest.mark.parametrize("changes", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("kind", ["LIST", "GET"])
def test_now_and_then(trial: Trial, kind: str, changes: list[Change]) -> None:
    trial.publish(few_days(1))
    first = trial.rng.randrange(2)
    for change in changes:
        trial.proxy.spoil(kind, change, after=first)
    trial.survives()


@pytest.mark.parametrize("changes", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("kind", ["LIST", "GET"])
def test_for_ever(trial: Trial, kind: str, changes: list[Change]) -> None:
    trial.publish(few_days(1))
    change = trial.rng.choice(changes)
    trial.proxy.spoil(kind, change, times=ENDLESSLY, after=trial.rng.randrange(2))
    assert "try again" in trial.fails(ExitCode.TRANSIENT)
    trial.recovers()


@pytest.mark.parametrize("kind", ["LIST", "GET"])
def test_half_an_answer_that_looks_whole(trial: Trial, kind: str) -> None:
    trial.publish(few_days(1))
    trial.proxy.spoil(kind, shortened, times=ENDLESSLY, after=trial.rng.randrange(2))
    assert "again" in trial.fails(ExitCode.TRANSIENT)
    trial.recovers()


def test_a_storm(trial: Trial) -> None:
    trial.publish(few_days(3))
    every = [change for changes in BROKEN.values() for change in changes]
    for kind, changes in (("LIST", every), ("GET", [*every, flipped(trial.rng)])):
        trial.proxy.spoil(kind, one_in(4, changes, trial.rng), times=ENDLESSLY)
    for _ in range(3):
        assert trial.pull().returncode in (ExitCode.DONE, ExitCode.TRANSIENT)
        trial.check_days()
    trial.recovers()


def test_a_flipped_bit_of_a_file(trial: Trial) -> None:
    trial.publish(few_days(1))
    for _ in range(4):
        trial.proxy.spoil("GET", flipped(trial.rng), after=trial.rng.randrange(3))
    trial.survives()


def test_flipped_bits_of_a_file_without_end(trial: Trial) -> None:
    trial.publish(few_days(1))
    trial.proxy.spoil("GET", flipped(trial.rng), "part-1", times=ENDLESSLY)
    trial.fails(ExitCode.TRANSIENT)
    trial.recovers()
