"""The experiment results as tables for a terminal."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from rich.table import Table
from rich.text import Text

from loader.errors import shown
from report import formatting
from report.marts import Headline, Result


def draw_results(headline: Headline, results: Sequence[Result]) -> Table:
    """A row for each metric and variation of one experiment.

    Args:
        headline: The experiment; what is wrong with it stands above the numbers.
        results: Those of everyone; those of each metric together.
    """
    warnings = [
        f"{check.status}: {shown(check.message)}"
        for check in headline.checks
        if check.status != "pass"
    ]
    title = f"Experiment {_named(headline.experiment_id, headline.experiment_name)}"
    table = Table(
        title=Text("\n".join([title, *warnings])),
        title_justify="left",
        box=None,
        padding=(0, 1, 0, 0),
    )
    table.add_column("metric", overflow="fold")
    table.add_column("variation")
    for heading in ("visitors", "total", "mean", "lift", "interval"):
        table.add_column(heading, justify="right")
    table.add_column("verdict")
    names = {variation.variation_id: variation.variation_name for variation in headline.variations}
    for metric_name, of_metric in groupby(results, lambda result: result.metric_name):
        for number, result in enumerate(of_metric):
            table.add_row(
                Text("" if number else shown(metric_name)),
                Text(_named(result.variation_id, names.get(result.variation_id))),
                *("" if cell == formatting.NOTHING else cell for cell in _cells(result)),
            )
    return table


def _cells(result: Result) -> Iterator[str]:
    interval = result.by(result.method)
    yield formatting.count(result.visitors)
    yield formatting.numerator(result)
    yield formatting.mean(result)
    yield "baseline" if result.is_baseline else formatting.change(result.lift)
    yield formatting.ends(interval)
    yield (result.verdict or "").replace("_", " ")


def _named(id_: str, name: str | None) -> str:
    """An id and the name beside it, both from outside."""
    if not name:
        return shown(id_)
    printable = shown(name)
    if len(printable) > formatting.LONGEST_NAME:  # it would push the numbers out of sight
        printable = printable[: formatting.LONGEST_NAME - 1] + "…"
    return f"{shown(id_)} {printable}"
