"""The tables, by Great Tables: its markup, and the page's own style sheet."""

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

import pyarrow as pa
from great_tables import GT
from markupsafe import Markup, escape

from loader.errors import shown
from report import bars, formatting
from report.marts import FunnelStep, Headline, Result, Variation
from report.sql_panels import Panel

Group = tuple[Markup, Sequence[Sequence[str]]]
"""Heading of some rows, and the rows."""

REASONS = {
    "no_baseline": "the baseline has no visitors",
    "no_denominator": "nothing to divide by",
    "too_few_visitors": "too few visitors",
    "too_few_conversions": "too few conversions",
    "no_variance": "everybody did the same",
}
"""Why nothing is inferred (`experiment_results.reason`), for people."""

VERDICTS = {
    "better": ("Better", "good"),
    "worse": ("Worse", "bad"),
    "inconclusive": ("Inconclusive", "unclear"),
    "not_enough_data": ("Not enough data", "unclear"),
}

RESULT_COLUMNS = (
    "Visitors",
    "Unique conversions",
    "Total conversions",
    "Total value",
    "Rate or mean",
    "Improvement",
    "Interval",
    "From … to",
    "p-value",
    "Verdict",
)
"""Columns of the results, beside that of the variations; `page.css` names them on a phone."""

FUNNEL_COLUMNS = ("Visitors", "% of exposed", "% of previous", "Drop-off", "Median time")


def results(
    groups: Sequence[tuple[Markup, Sequence[Result]]],
    variations: Sequence[Variation],
    method: str,
    end: float,
) -> Markup:
    """A row for each result, in groups.

    Args:
        groups: Heading of a group, and its rows.
        variations: For their names.
        method: Whose intervals and p-values.
        end: End of the scale of the bars.
    """
    names = {variation.variation_id: variation.variation_name for variation in variations}
    drawn: list[Group] = [
        (
            heading,
            [
                (
                    formatting.named(result.variation_id, names.get(result.variation_id)),
                    *_result(result, method, end),
                )
                for result in of_group
            ],
        )
        for heading, of_group in groups
    ]
    labels = dict(zip(RESULT_COLUMNS, RESULT_COLUMNS, strict=True))
    labels["Interval"] = bars.draw_axis(end)
    return _table("results", "Variation", RESULT_COLUMNS, drawn, labels=labels)


def verdict(result: Result) -> Markup:
    """Word, arrow and colour of a verdict, and why there is none."""
    if result.is_baseline or result.verdict is None:
        return Markup('<span class="baseline">Baseline</span>')
    word, colour = VERDICTS[result.verdict]
    arrow = "↔"
    if colour != "unclear":
        is_up = (result.verdict == "better") == (result.direction != "decrease")
        arrow = "↑" if is_up else "↓"
    sign = Markup('<span class="arrow" aria-hidden="true">{}</span>').format(arrow)
    lines = [
        Markup('<span class="verdict {}">{}{}</span>').format(
            colour, "" if result.verdict == "not_enough_data" else sign, word
        )
    ]
    note = REASONS.get(result.reason or "", "")
    if result.is_non_inferior is not None and result.non_inferiority_margin is not None:
        margin = formatting.share(result.non_inferiority_margin, 0)
        note = f"{margin} worse is " + ("ruled out" if result.is_non_inferior else "possible")
    if note:
        lines.append(Markup('<span class="note">{}</span>').format(note))
    return Markup("").join(lines)


def colour(result: Result) -> str:
    """Class of a verdict's colour."""
    return VERDICTS[result.verdict][1] if result.verdict else "unclear"


def funnel(steps: Sequence[FunnelStep], variations: Sequence[Variation]) -> Markup:
    """The steps of one funnel, a group for each, a row for each variation."""
    names = {variation.variation_id: variation.variation_name for variation in variations}
    groups: list[Group] = []
    for number, steps_of_number in groupby(steps, lambda step: step.step):
        of_step = list(steps_of_number)
        rows = [
            (
                formatting.named(step.variation_id, names.get(step.variation_id)),
                formatting.count(step.visitors),
                Markup('<span class="filled" style="--share:{:.4f}">{}</span>').format(
                    step.rate_of_exposed, formatting.share(step.rate_of_exposed)
                ),
                formatting.share(step.rate_of_previous),
                formatting.count(step.lost_visitors),
                formatting.seconds(step.median_seconds),
            )
            for step in of_step
        ]
        heading = Markup("{}. {}").format(number, formatting.name(of_step[0].step_name))
        groups.append((heading if number else Markup("Exposed"), rows))
    return _table("funnel", "Variation", FUNNEL_COLUMNS, groups)


def variations(headline: Headline, baseline_id: str | None) -> Markup:
    """Who was in the experiment."""
    rows = [
        (
            formatting.named(variation.variation_id, variation.variation_name),
            "Baseline" if variation.variation_id == baseline_id else "",
            formatting.share(variation.weight),
            formatting.count(variation.visitor_count),
        )
        for variation in sorted(
            headline.variations, key=lambda variation: variation.variation_id != baseline_id
        )
    ]
    return _table(
        "variations", "Variation", ("Role", "Planned share", "Visitors"), [(Markup(""), rows)]
    )


def checks(headline: Headline) -> Markup:
    """Every check of the experiment's health."""
    rows = [
        (
            escape(check.check_name.replace("_", " ").capitalize()),
            status(check.status),
            shown(check.message),
        )
        for check in headline.checks
    ]
    return _table("checks", "Check", ("Status", "What was found"), [(Markup(""), rows)])


def status(name: str) -> Markup:
    """Word, sign and colour of a check's status."""
    sign = {"pass": "✓", "warn": "!", "fail": "✕"}[name]
    return Markup(
        '<span class="status {0}"><span class="sign" aria-hidden="true">{1}</span>{0}</span>'
    ).format(name, sign)


def panel(of: Panel) -> Markup:
    """What a query of an analyst gave."""
    headings = [formatting.heading(column) for column in of.columns]
    rows = [
        (*(formatting.cell(value, column) for value, column in zip(row, of.columns, strict=True)),)
        for row in of.rows
    ]
    numeric = [
        heading for heading, is_numeric in zip(headings, of.is_numeric, strict=True) if is_numeric
    ]
    return _table("panel", headings[0], headings[1:], [(Markup(""), rows)], numeric=numeric)


def experiments(headlines: Sequence[Headline], pages: Mapping[str, str]) -> Markup:
    """The list of experiments.

    Args:
        headlines: What is shown of each.
        pages: Address of each experiment's page, by id.
    """
    columns = ("Status", "Started", "Days", "Visitors", "Variations", "Primary metric", "Health")
    rows = []
    for headline in headlines:
        worst = headline.checks[0].status if headline.checks else "pass"
        wrong = sum(check.status != "pass" for check in headline.checks)
        rows.append(
            (
                Markup('<a href="{}">{}</a> <span class="id">{}</span>').format(
                    pages[headline.experiment_id],
                    formatting.name(headline.experiment_name or headline.experiment_id),
                    shown(headline.experiment_id if headline.experiment_name else ""),
                ),
                shown(headline.status or formatting.NOTHING),
                headline.first_seen_at.date().isoformat(),
                formatting.count(headline.days_running),
                formatting.count(headline.visitor_count),
                formatting.count(len(headline.variations)),
                _primary(headline),
                Markup('<span data-sort="{}">{}</span>').format(wrong, status(worst)),
            )
        )
    return _table("experiments", "Experiment", columns, [(Markup(""), rows)])


def _primary(headline: Headline) -> Markup:
    """The primary metric and its first verdicts."""
    compared = [result for result in headline.primary_results if not result.is_baseline]
    if not compared:
        return escape(formatting.NOTHING)
    chips = [
        Markup('<span class="chip {}">{} {}</span>').format(
            colour(result), formatting.change(result.lift), VERDICTS[result.verdict][0].lower()
        )
        for result in compared[:3]
        if result.verdict
    ]
    if len(compared) > len(chips):
        chips.append(
            Markup('<span class="id">and {} more</span>').format(len(compared) - len(chips))
        )
    return Markup('{}<span class="chips">{}</span>').format(
        formatting.name(compared[0].metric_name), Markup("").join(chips)
    )


def _result(result: Result, method: str, end: float) -> Iterable[str]:
    interval = result.by(method)
    is_compared = not result.is_baseline
    bar = Markup("")
    if is_compared and result.lift is not None:
        bar = bars.draw(result.lift, interval, end, colour(result))
    yield formatting.count(result.visitors)
    yield formatting.count(result.unique_conversions)
    yield formatting.count(result.total_conversions)
    # Of a rate that would be the unique conversions once more.
    is_rate = result.metric_type in formatting.RATES
    yield formatting.NOTHING if is_rate else formatting.numerator(result)
    yield formatting.mean(result)
    yield formatting.change(result.lift) if is_compared else formatting.NOTHING
    yield bar
    yield formatting.ends(interval)
    yield formatting.p_value(interval.p_value)
    yield verdict(result)


WORDS = {
    "Variation",
    "Check",
    "Experiment",
    "Status",
    "What was found",
    "Verdict",
    "Role",
    "Primary metric",
    "Health",
    "Started",
}
"""Columns of words, which stand at the left; numbers stand at the right."""


def _table(
    class_name: str,
    stub: str,
    columns: Sequence[str],
    groups: Sequence[Group],
    labels: Mapping[str, str] | None = None,
    numeric: Sequence[str] | None = None,
) -> Markup:
    """Draws a table.

    Args:
        class_name: Class of the table in the style sheet.
        stub: Heading of the first column, whose cells name their rows.
        columns: Headings of the others.
        groups: Heading of each group and its rows, each the stub and its cells; a single group
            without a heading is a plain table. What is not `Markup` is escaped.
        labels: Markup of headings that are more than their text.
        numeric: Columns of numbers; None is all but `WORDS`.
    """
    cells: list[str] = []

    def token(content: str) -> str:
        """Stands for a cell in Great Tables, which never sees what comes from outside."""
        cells.append(escape(content))
        return f"cell:{len(cells) - 1}:"

    keys = [f"column_{number}" for number in range(len(columns))]
    tokens: dict[str, list[str]] = {key: [] for key in ("group", "stub", *keys)}
    for heading, rows in groups:
        group = token(heading)
        for stub_cell, *values in rows:
            tokens["group"].append(group)
            tokens["stub"].append(token(stub_cell))
            for key, value in zip(keys, values, strict=True):
                tokens[key].append(token(value))
    is_grouped = any(heading for heading, _ in groups)
    if not is_grouped:
        del tokens["group"]
    numbers = [
        key
        for key, column in zip(keys, columns, strict=True)
        if (column in numeric if numeric is not None else column not in WORDS)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # Arrow is new to Great Tables.
        table = (
            GT(
                pa.table(tokens),
                rowname_col="stub",
                groupname_col="group" if is_grouped else None,
            )
            .cols_label(
                {
                    key: token((labels or {}).get(column, column))
                    for key, column in zip(keys, columns, strict=True)
                }
            )
            .tab_stubhead(token(stub))
            .cols_align("left", [key for key in keys if key not in numbers])
            .cols_align("right", numbers)
        )
        markup = table.as_raw_html()
    bare = _bare(markup, class_name)
    return Markup(re.sub(r"cell:(\d+):", lambda found: cells[int(found[1])], bare))


def _bare(markup: str, class_name: str) -> str:
    """The table alone: without the style of each, and the ids that would stand in a page twice."""
    start, end = markup.index("<table"), markup.rindex("</table>") + len("</table>")
    table = re.sub(r' (?:id|headers)="[^"]*"| (?:row|col)span="1"', "", markup[start:end])
    for theirs, ours in SHORTER:
        table = table.replace(theirs, ours)
    return re.sub(r"<table[^>]*>", f'<table class="{class_name}">', table, count=1)


SHORTER = (
    ("gt_row gt_left gt_stub", "stub"),
    ("gt_row gt_right", "number"),
    ("gt_row gt_left", "word"),
    ("gt_col_heading gt_columns_bottom_border gt_right", "number"),
    ("gt_col_heading gt_columns_bottom_border gt_left", "word"),
    ('scope="colgroup"', 'scope="rowgroup"'),
    ("\n    ", ""),
    ("\n  ", ""),
)
"""Great Tables' classes as the style sheet calls them: a page has thousands of cells."""
