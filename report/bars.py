"""An interval as a bar, on a scale that all bars of a page share."""

from collections.abc import Iterable
from math import ceil, log10

from markupsafe import Markup

from report.marts import Interval, Result

WIDTH = 152
HEIGHT = 20
EDGE = 8
"""Pixels at each end, where the arrow stands of a bar that goes on."""


def scale(results: Iterable[Result], method: str) -> float:
    """The lift at the right end of the scale, and less 0 at its left end.

    The smallest round number that holds all intervals, but at most 1: a few wide ones must not
    make points of all others.
    """
    bounds = [
        abs(bound)
        for result in results
        for bound in (result.by(method).lower, result.by(method).upper)
        if bound is not None
    ]
    widest = max(bounds, default=1.0)
    if widest >= 1.0:
        return 1.0
    if widest <= 0.001:
        return 0.001
    unit = 10.0 ** ceil(log10(widest))
    return next(unit * step for step in (0.1, 0.2, 0.25, 0.5, 1.0) if unit * step >= widest)


def draw(lift: float, interval: Interval, end: float, colour: str) -> Markup:
    """The bar of an interval, the lift a dot on it, beside a line at zero.

    Args:
        lift: The point.
        interval: The bar; where it goes beyond the scale, an arrow says so.
        end: Right end of the scale, from `scale`.
        colour: Class of its verdict: `good`, `bad` or `unclear`.
    """
    middle = HEIGHT // 2
    parts = [f'<path class="zero" d="M{_x(0, end)} 0v{HEIGHT}"/>']
    if interval.lower is not None and interval.upper is not None:
        left, right = _x(interval.lower, end), _x(interval.upper, end)
        parts.append(f'<path class="range" d="M{left} {middle}H{right}"/>')
        if interval.lower < -end:
            parts.append(f'<path class="tip" d="M{EDGE} {middle - 5}l-7 5 7 5z"/>')
        if interval.upper > end:
            parts.append(f'<path class="tip" d="M{WIDTH - EDGE} {middle - 5}l7 5 -7 5z"/>')
    if -end <= lift <= end:
        parts.append(f'<circle cx="{_x(lift, end)}" cy="{middle}" r="4"/>')
    return Markup(
        f'<svg class="bar {colour}" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}"'
        f' height="{HEIGHT}" aria-hidden="true" focusable="false">{"".join(parts)}</svg>'
    )


def draw_axis(end: float) -> Markup:
    """The scale's ends and its zero, as the heading of the column."""
    return Markup(
        '<span class="axis"><span>&minus;{0}%</span><span>0</span><span>+{0}%</span></span>'
    ).format(f"{100 * end:.4g}")


def _x(lift: float, end: float) -> str:
    place = min(max(lift / end, -1.0), 1.0)
    return f"{EDGE + (WIDTH - 2 * EDGE) * (place + 1) / 2:.1f}"
