"""How values are written: units and digits, the same in every table and chart."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from markupsafe import Markup

from loader.errors import shown
from report.marts import Interval, Result

RATES = ("conversion", "funnel", "compound", "retention")
"""Types of metrics whose mean is a share of the visitors."""

NOTHING = "\N{EN DASH}"
"""Stands where a mart has NULL."""

SMALLEST_P_VALUE = 0.0001

LONGEST_NAME = 40
"""Characters of a name that are sure to be seen; a longer one can be cut at its end."""


def count(value: float | None) -> str:
    """A whole number: 12,345."""
    return NOTHING if value is None else f"{value:,.0f}"


def share(value: float | None, digits: int = 1) -> str:
    """A share: 12.3%."""
    return NOTHING if value is None else f"{value:.{digits}%}"


def change(value: float | None) -> str:
    """A relative difference, with its sign: +12.3%."""
    return NOTHING if value is None else f"{value:+.1%}"


def money(cents: float | None) -> str:
    """Cents as units of the currency: 1,234.50."""
    return NOTHING if cents is None else f"{cents / 100:,.2f}"


def p_value(value: float | None) -> str:
    """A p-value with four digits, and none that is written as 0."""
    if value is None:
        return NOTHING
    return f"<{SMALLEST_P_VALUE}" if value < SMALLEST_P_VALUE else f"{value:.4f}"


def seconds(value: float | None) -> str:
    """A length of time in the largest unit that gives at least 1."""
    if value is None:
        return NOTHING
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if value >= size:
            return f"{value / size:.1f} {unit}"
    return f"{value:.1f} s"


def mean(result: Result) -> str:
    """A rate in percent, revenue in units of the currency, anything else as it is."""
    if result.metric_type in RATES:
        return share(result.mean, 2)
    if result.measure == "revenue":
        return money(result.mean)
    return NOTHING if result.mean is None else f"{result.mean:,.3f}"


def numerator(result: Result) -> str:
    """What was added up over all visitors: visitors who converted, events, revenue or values."""
    if result.measure == "revenue":
        return money(result.numerator)
    if result.numerator.is_integer():
        return count(result.numerator)
    return f"{result.numerator:,.2f}"


def ends(interval: Interval) -> str:
    """From where to where an interval goes."""
    if interval.lower is None:
        return NOTHING
    return f"{change(interval.lower)} to {change(interval.upper)}"


def moment(value: datetime) -> str:
    """A time in UTC, to the minute."""
    return f"{value:%Y-%m-%d %H:%M} UTC"


def cell(value: Any, column: str) -> str:
    """A value of a panel, by its type and the unit that its column's name ends with."""
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float | Decimal):
        number = float(value)
        if column.endswith("_cents"):
            return money(number)
        if column.endswith(("_rate", "_share", "_lift")) or column in ("rate", "share", "lift"):
            return share(number)
        if column.endswith("_seconds") or column == "seconds":
            return seconds(number)
        return f"{number:,.0f}" if number.is_integer() else f"{number:,.4g}"
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, date):
        return value.isoformat()
    return shown(str(value))


def heading(column: str) -> str:
    """A column's name for people."""
    text = column.removesuffix("_cents").removesuffix("_seconds").replace("_", " ")
    return shown(text[:1].upper() + text[1:])


def name(text: str) -> Markup:
    """A name from outside: inert, in its own direction, whatever it holds."""
    printable = shown(text)
    if len(printable) > LONGEST_NAME:
        return Markup('<bdi class="name" title="{0}">{0}</bdi>').format(printable)
    return Markup('<bdi class="name">{}</bdi>').format(printable)


def named(id_: str, text: str | None) -> Markup:
    """A name with its id beside it; the id alone where there is no name."""
    if not text:
        return name(id_)
    return Markup('{} <span class="id">{}</span>').format(name(text), shown(id_))
