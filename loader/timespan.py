"""Days and durations as a user writes them: `2026-01-31`, `yesterday`, `7d`; `6h`."""

import re
from datetime import UTC, date, datetime, timedelta

from loader.errors import ExitCode, LoaderError, shown

_DURATION = re.compile(r"([0-9]{1,6})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_AGE = re.compile(r"([0-9]{1,4})d")


def today_utc() -> date:
    """Today's date in UTC, the export's time zone."""
    return datetime.now(UTC).date()


def now_utc() -> datetime:
    """The time in UTC, without time zone, as the ledger keeps times."""
    return datetime.now(UTC).replace(tzinfo=None)


def parse_day(text: str, option: str, today: date) -> date:
    """Returns the UTC date that `text` names.

    Args:
        text: `YYYY-MM-DD`, `yesterday`, or an age in days such as `7d`.
        option: The option it was given for, named in the error.
        today: The UTC date that ages count from.

    Raises:
        LoaderError: `text` is none of the three.
    """
    if text == "yesterday":
        return today - timedelta(days=1)
    if age := _AGE.fullmatch(text):
        return today - timedelta(days=int(age[1]))
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()
    except ValueError:
        raise LoaderError(
            f"{option} {text!r} is no day: give a date such as 2026-01-31, "
            "`yesterday`, or an age such as 7d",
            ExitCode.USAGE,
        ) from None


def parse_duration(text: str, option: str) -> float:
    """Returns the seconds that `text`, such as `90s`, `15m`, `6h` or `1d`, names.

    Args:
        text: A whole number and its unit.
        option: The option it was given for, named in the error.

    Raises:
        LoaderError: `text` is no duration.
    """
    found = _DURATION.fullmatch(text)
    if found is None:
        raise LoaderError(
            f"{option} {shown(text)!r} is no duration: give one such as 90s, 15m, 6h or 1d",
            ExitCode.USAGE,
        )
    return float(int(found[1]) * _SECONDS[found[2]])
