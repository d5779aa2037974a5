"""`loader pull --wait`: pulls until every day is ready."""

import logging
import time
from collections.abc import Callable
from datetime import date

from loader.errors import ExitCode, LoaderError
from loader.plan import Plan
from loader.pull import PullResult

POLL_SECONDS = 60.0
"""Time between two looks at a source that is waited for."""

WAITED_OUT = {ExitCode.TRANSIENT, ExitCode.DATABASE_IN_USE}
"""Errors that may be over at the next look."""

log = logging.getLogger(__name__)


def wait_and_pull(pull: Callable[[], PullResult], wait_seconds: float) -> PullResult:
    """Pulls again and again until every day to the window's last is ready, or the time is over.

    Args:
        pull: One pull; it lands what is ready.
        wait_seconds: How long to wait in all.

    Raises:
        LoaderError: Of the last pull, or one that waiting cannot mend.
    """
    deadline = time.monotonic() + wait_seconds
    so_far: list[PullResult] = []
    while True:
        remaining = deadline - time.monotonic()
        try:
            so_far.append(pull())
        except LoaderError as error:
            if error.exit_code not in WAITED_OUT or remaining <= 0:
                raise
            log.info("%s; trying again in a while", error)
        else:
            result = _together(so_far)
            result.awaited = result.plan.absent
            has_ended = not (result.awaited or result.plan.not_ready or result.rewritten)
            if has_ended or result.is_interrupted or remaining <= 0:
                return result
            log.info("waiting for %s", _told(result))
        time.sleep(min(POLL_SECONDS, max(remaining, 0.0)))


def _together(results: list[PullResult]) -> PullResult:
    """Several pulls of one wait as one: all that was landed, and what still is as it was last."""
    first, last = results[0], results[-1]
    together = PullResult(
        Plan(
            to_land=[planned for result in results for planned in result.plan.to_land],
            to_adopt=first.plan.to_adopt,
            unchanged=first.plan.unchanged,
            expired=first.plan.expired,
            unknown_names=first.plan.unknown_names,
            not_ready=last.plan.not_ready,
            absent=last.plan.absent,
        ),
        quarantined=last.quarantined,
        rewritten=last.rewritten,
        is_interrupted=last.is_interrupted,
    )
    for result in results:
        together.landed += result.landed
        together.seconds += result.seconds
        for export_type, names in result.unknown_columns.items():
            together.unknown_columns.setdefault(export_type, set()).update(names)
    return together


def _told(result: PullResult) -> str:
    units: list[tuple[str, date]] = [
        *(day.unit for day in result.plan.not_ready),
        *result.awaited,
        *(day.unit for day, _ in result.rewritten),
    ]
    return ", ".join(f"{export_type} of {day}" for export_type, day in dict.fromkeys(units))
