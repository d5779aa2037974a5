"""Puts the page of an experiment, and the list of experiments, together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from loader.errors import shown
from report import bars, charts, formatting, tables
from report.marts import ROLES, Check, Day, Experiment, ExportState, Headline, Result
from report.sql_panels import Panel
from report.view import View

CHARTED_METRICS = 12
"""Metrics whose days are read for the charts of a page."""

MOST_CHARTS = 16
MOST_ROWS = 900
MOST_SEGMENT_ROWS = 240
"""What a page draws of a large experiment: it stays below 1.5 MB, and its sentences say what is
left out."""

SECTIONS = {
    "primary": "Primary metric",
    "secondary": "Secondary metrics",
    "guardrail": "Guardrails",
    "outside": "Metrics from outside the export",
    "automatic": "Every event by itself",
}

METHODS = {"always_valid": "always valid", "fixed_horizon": "fixed horizon"}

COUNTED_BY = {
    "day_of_exposure": "visitors exposed until each day, with all that is known of them today",
    "day_of_observation": "what was known at the end of each day",
}


@dataclass(frozen=True)
class Table:
    """A table and what stands beside it."""

    anchor: str
    title: Markup
    body: Markup
    is_open: bool = True
    note: str = ""


@dataclass(frozen=True)
class Chart:
    """How one variation's lift grew."""

    title: Markup
    body: Markup
    summary: str


def draw_experiment(
    experiment: Experiment,
    states: Sequence[ExportState],
    panels: Sequence[Panel],
    view: View,
    read_at: str,
    *,
    list_address: str | None = None,
) -> Markup:
    """The page of an experiment, as a fragment: the same in a file and in the live app.

    Args:
        experiment: What the marts say of it.
        states: How far the export is landed.
        panels: Those of analysts.
        view: What the reader has chosen.
        read_at: When the marts were read, as text.
        list_address: Where the list of experiments is, if the page shall lead there.
    """
    headline = experiment.headline
    in_view = [
        result
        for result in experiment.results
        if (result.segment_name, result.segment_value) == (view.segment_name, view.segment_value)
        and (view.metric is None or result.metric_name == view.metric)
    ]
    method = view.method or experiment.method
    end = bars.scale((result for result in in_view if result.role != "automatic"), method)
    baseline = next((r.variation_id for r in experiment.results if r.is_baseline), None)
    sections, left_out = _results(experiment, in_view, view, method, end)
    first_charts, other_charts, charts_left_out = _charts(experiment, view, method)
    segments, segment_rows_left_out = _segments(experiment, view, method, end)
    return _render(
        "experiment.html",
        headline=headline,
        list_address=list_address,
        title=title_of(headline),
        states=states,
        alarms=[check for check in headline.checks if check.status != "pass"],
        segment=(
            None if view.segment_name == "all" else f"{view.segment_name}: {view.segment_value}"
        ),
        variations=tables.variations(headline, baseline),
        sections=sections,
        left_out=left_out,
        has_results=bool(experiment.results),
        first_charts=first_charts,
        other_charts=other_charts,
        charts_left_out=charts_left_out,
        counted_by=COUNTED_BY[view.counted_by],
        funnels=_funnels(experiment, view),
        segments=segments,
        segment_rows_left_out=segment_rows_left_out,
        panels=[(panel, tables.panel(panel)) for panel in panels],
        checks=tables.checks(headline),
        method=METHODS[method],
        decided_by=experiment.decided_by.replace("_", " "),
        read_at=read_at,
    )


def draw_list(
    headlines: Sequence[Headline],
    pages: Mapping[str, str],
    states: Sequence[ExportState],
    read_at: str,
    *,
    is_searchable: bool = False,
) -> Markup:
    """The list of experiments, as a fragment.

    Args:
        headlines: What is shown of each.
        pages: Address of each experiment's page, by id.
        states: How far the export is landed.
        read_at: When the marts were read, as text.
        is_searchable: Whether `list.js` is there, which searches and sorts.
    """
    return _render(
        "list.html",
        is_searchable=is_searchable,
        headlines=headlines,
        table=tables.experiments(headlines, pages),
        states=states,
        read_at=read_at,
    )


def title_of(headline: Headline) -> str:
    """What an experiment is called."""
    return headline.experiment_name or f"Experiment {headline.experiment_id}"


def document(title: str, body: Markup, scripts: Sequence[str]) -> str:
    """A whole file around a fragment: style and scripts are in it, nothing is fetched."""
    return _render(
        "document.html",
        title=title,
        body=body,
        style=Markup(style()),
        scripts=[Markup(_template(name)) for name in scripts],
    )


@cache
def style() -> str:
    """The style sheet of a fragment."""
    return _template("page.css")


def _results(
    experiment: Experiment, in_view: Sequence[Result], view: View, method: str, end: float
) -> tuple[list[Table], int]:
    """The results by role, and how many metrics there was no room for."""
    roles: dict[str, dict[str, list[Result]]] = {}
    rows = 0
    drawn: set[str] = set()
    for result in in_view:
        rows += 1
        if rows > MOST_ROWS and result.metric_name not in drawn:
            continue
        drawn.add(result.metric_name)
        by_metric = roles.setdefault(result.role, {})
        by_metric.setdefault(result.metric_name, []).append(result)
    is_answered = any(role in roles for role in ("primary", "secondary", "outside"))
    sections = [
        Table(
            anchor=role,
            title=escape(SECTIONS[role]),
            body=tables.results(
                [(_metric(of_metric[0]), of_metric) for of_metric in roles[role].values()],
                experiment.headline.variations,
                method,
                end if role != "automatic" else bars.scale(_flat(roles[role]), method),
            ),
            is_open=role != "automatic" or not is_answered or view.metric is not None,
            note=str(len(roles[role])),
        )
        for role in ROLES
        if role in roles
    ]
    return sections, len({result.metric_name for result in in_view} - drawn)


def _flat(by_metric: Mapping[str, Sequence[Result]]) -> list[Result]:
    return [result for of_metric in by_metric.values() for result in of_metric]


def _metric(result: Result) -> Markup:
    """A metric's name, what is good for it, and what it says of itself."""
    good = "lower is better" if result.direction == "decrease" else "higher is better"
    return Markup('{} <span class="note">{}{}</span>').format(
        formatting.name(result.metric_name),
        good,
        f" · {shown(result.description)}" if result.description else "",
    )


def _charts(
    experiment: Experiment, view: View, method: str
) -> tuple[list[Chart], list[Chart], int]:
    """How the lifts grew: of the first metric, of the others, and how many found no room."""
    days: dict[str, dict[str, list[Day]]] = {}
    for day in experiment.days:
        if day.counted_by == view.counted_by and view.metric in (None, day.metric_name):
            days.setdefault(day.metric_name, {}).setdefault(day.variation_id, []).append(day)
    metrics = experiment.metrics()
    declared = [name for name, of in metrics.items() if of[0].role != "automatic"]
    order = [name for name in (declared or metrics) if name in days]
    if view.metric in days:
        order = [view.metric]
    names = {v.variation_id: v.variation_name for v in experiment.headline.variations}
    wanted = [
        (metric, variation_id, of_variation)
        for metric in order
        for variation_id, of_variation in days[metric].items()
    ]
    domains = {
        metric: charts.lift_domain([day for of in days[metric].values() for day in of], method)
        for metric in order
    }
    first: list[Chart] = []
    others: list[Chart] = []
    for metric, variation_id, of_variation in wanted[:MOST_CHARTS]:
        variation = formatting.named(variation_id, names.get(variation_id))
        chart = charts.lift_by_day(of_variation, method, domains[metric])
        (first if metric == order[0] else others).append(
            Chart(
                Markup("{} · {}").format(formatting.name(metric), variation),
                charts.to_svg(chart),
                _summary(of_variation[-1], method),
            )
        )
    return first, others, len(wanted) - MOST_CHARTS


def _summary(last: Day, method: str) -> str:
    lower, upper = last.by(method)
    text = f"{last.day}: {formatting.change(last.lift)}"
    if lower is None:
        return text
    return f"{text}, {formatting.change(lower)} to {formatting.change(upper)}"


def _funnels(experiment: Experiment, view: View) -> list[Table]:
    names = dict.fromkeys(step.metric_name for step in experiment.steps)
    asked = [name for name in names if view.metric in (None, name)] or list(names)
    return [
        Table(
            anchor=f"funnel-{number}",
            title=formatting.name(name),
            body=tables.funnel(
                [step for step in experiment.steps if step.metric_name == name],
                experiment.headline.variations,
            ),
            is_open=number == 0,
        )
        for number, name in enumerate(asked)
    ]


def _segments(
    experiment: Experiment, view: View, method: str, end: float
) -> tuple[list[Table], int]:
    """The results by the values of each kind of segment, and how many rows found no room."""
    drawn: list[Table] = []
    room, left_out = MOST_SEGMENT_ROWS, 0
    kinds = dict.fromkeys(result.segment_name for result in experiment.results)
    for kind in kinds:
        if kind == "all":
            continue
        metrics = experiment.metrics(kind)
        first = view.metric if view.metric in metrics else next(iter(metrics))
        for metric, of_metric in metrics.items():
            if metric != first and (view.metric or of_metric[0].role == "automatic"):
                continue
            fitting = of_metric[:room]
            room -= len(fitting)
            left_out += len(of_metric) - len(fitting)
            if not fitting:
                continue
            groups = [
                (formatting.name(value), list(of_value))
                for value, of_value in groupby(fitting, lambda result: result.segment_value)
            ]
            drawn.append(
                Table(
                    anchor=f"segment-{len(drawn)}",
                    title=Markup("{}: {}").format(formatting.name(kind), formatting.name(metric)),
                    body=tables.results(groups, experiment.headline.variations, method, end),
                    is_open=metric == first,
                )
            )
    return drawn, left_out


def missing(state: ExportState) -> str:
    """The missing days of a type, as many as fit in a line."""
    dates = [date.isoformat() for date in state.missing_dates]
    return ", ".join(dates[:5]) + (f" and {len(dates) - 5} more" if len(dates) > 5 else "")


def alarm(check: Check) -> Markup:
    """What is wrong, as a line."""
    return Markup("{} {}").format(tables.status(check.status), shown(check.message))


def _render(name: str, **values: Any) -> Markup:
    return Markup(_environment().get_template(name).render(values))


def _template(name: str) -> str:
    return (Path(__file__).parent / "templates" / name).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "alarm": alarm,
        "count": formatting.count,
        "missing": missing,
        "moment": formatting.moment,
        "name": formatting.name,
    }
    return environment
