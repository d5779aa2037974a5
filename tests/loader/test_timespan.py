"""Days as a user writes them."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.errors import ExitCode, LoaderError
from loader.timespan import parse_day

TODAY = date(2024, 3, 1)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2024-02-29", date(2024, 2, 29)),
        ("yesterday", date(2024, 2, 29)),
        ("0d", TODAY),
        ("1d", date(2024, 2, 29)),
        ("7d", date(2024, 2, 23)),
        ("366d", date(2023, 3, 1)),
    ],
)
def test_means(text: str, meant: date) -> None:
    assert parse_day(text, "--since", TODAY) == meant


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "today", "Yesterday", "7", "d", "-7d", "7 d", "7D", "1.5d", "99999d", "7d\n"),
        *("2023-02-29", "2024-13-01", "2024-02-30", "20240229", "29.2.2024", "2024-02-29T00:00"),
        *("2024-02-29 ", " 2024-02-29", "0000-01-01", "10000-01-01", "last week"),
    ],
)
def test_is_no_day(text: str) -> None:
    with pytest.raises(LoaderError) as refused:
        parse_day(text, "--until", TODAY)
    assert refused.value.exit_code == ExitCode.USAGE
    assert str(refused.value).startswith(f"--until {text!r} is no day: give a date such as ")
    assert str(refused.value).isprintable()


@given(st.dates())
def test_every_date_is_itself(day: date) -> None:
    assert parse_day(day.isoformat(), "--since", TODAY) == day


@given(st.integers(min_value=0, max_value=9999))
def test_every_age_counts_from_today(days: int) -> None:
    assert parse_day(f"{days}d", "--since", TODAY) == TODAY - timedelta(days=days)


@given(st.text())
def test_any_text_is_a_day_or_refused(text: str) -> None:
    try:
        parse_day(text, "--since", TODAY)
    except LoaderError as refused:
        assert refused.exit_code == ExitCode.USAGE
