"""The charts, by Altair, as SVG without a script in it.

Colours are written as the light page has them; the style sheet gives those of the dark page for
the same marks (`page.css`, "charts").
"""

from collections.abc import Sequence

import altair as alt
import vl_convert
from markupsafe import Markup

from report.marts import Day

INK = "#1b2530"
MUTED = "#56626e"
GRID = "#e1e6eb"
ACCENT = "#0b5cad"

WIDTH = 300
HEIGHT = 150

LARGEST_LIFT = 2.0
"""Charts and bars end here, at three times the baseline: what is wider is cut at the edge."""


CONFIG = {
    "background": "transparent",
    "font": "system-ui, sans-serif",
    "padding": 4,
    "view": {"stroke": None},
    "axis": {
        "gridColor": GRID,
        "domain": False,
        "ticks": False,
        "labelColor": MUTED,
        "labelFontSize": 11,
        "labelPadding": 6,
    },
}
"""How every chart looks, as Vega-Lite's `config`."""


def lift_by_day(days: Sequence[Day], method: str, domain: tuple[float, float]) -> alt.TopLevelMixin:
    """The lift of one variation as it grew, with the interval of a method as a band.

    Args:
        days: Those of one metric, variation and way of counting.
        method: Whose interval.
        domain: Ends of the vertical axis; what lies beyond is drawn at the edge.
    """
    rows = [
        {
            "day": day.day.isoformat(),
            "lift": day.lift,
            "lower": lower,
            "upper": upper,
            "is_last": day is days[-1],
        }
        for day in days
        for lower, upper in [day.by(method)]
    ]
    scale = alt.Scale(domain=list(domain), clamp=True, nice=False)
    axis = alt.Axis(tickCount=5, labelExpr="datum.value === 0 ? '0%' : format(datum.value, '+.0%')")
    day = alt.X("day:T", title=None, axis=alt.Axis(format="%b %-d", tickCount=4, grid=False))
    lift = alt.Y("lift:Q", title=None, scale=scale, axis=axis)
    band = (
        alt.Chart()
        .transform_filter("isValid(datum.lower)")
        .mark_area(color=ACCENT, opacity=0.18)
        .encode(x=day, y=alt.Y("lower:Q", title=None, scale=scale, axis=axis), y2="upper:Q")
    )
    zero = alt.Chart().mark_rule(color=INK, strokeWidth=1).encode(y=alt.datum(0))
    line = alt.Chart().mark_line(color=ACCENT, strokeWidth=2).encode(x=day, y=lift)
    last = (
        alt.Chart()
        .transform_filter("datum.is_last")
        .mark_point(color=ACCENT, filled=True, size=45, opacity=1)
        .encode(x=day, y=lift)
    )
    return alt.layer(band, zero, line, last, data=alt.InlineData(values=rows)).properties(
        width=WIDTH, height=HEIGHT
    )


def lift_domain(days: Sequence[Day], method: str) -> tuple[float, float]:
    """Ends of an axis that shows 0, every lift, and the intervals of the later half of the days.

    The first intervals are wide, and would press all that follows into a line.
    """
    dates = sorted({day.day for day in days})
    middle = dates[len(dates) // 2]
    bounds = [0.0, *(day.lift for day in days if day.day >= middle)]
    for day in days:
        if day.day >= middle:
            bounds += [bound for bound in day.by(method) if bound is not None]
    lower, upper = max(min(bounds), -1.0), min(max(bounds), LARGEST_LIFT)
    margin = 0.08 * (upper - lower) or 0.01
    return lower - margin, upper + margin


def to_svg(chart: alt.TopLevelMixin) -> Markup:
    """A chart as SVG; what it shows must stand in words beside it."""
    # Validation takes longer than drawing, and what is wrong fails there too.
    spec = {**chart.to_dict(validate=False), "config": CONFIG}
    svg = vl_convert.vegalite_to_svg(spec)
    return Markup(svg.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1))
