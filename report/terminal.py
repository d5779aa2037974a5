"""The experiment results as tables for a terminal."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import duckdb
from rich.table import Table
from rich.text import Text

from loader.errors import ExitCode, LoaderError, shown
from loader.landing.warehouse import open_warehouse


@dataclass(frozen=True)
class Result:
    """One row of `experiment_results`, for everyone (segment `all`)."""

    experiment_id: str
    metric_name: str
    metric_type: str | None
    variation_id: str
    baseline_variation_id: str
    visitors: int
    numerator: float
    mean: float | None
    lift: float | None
    lift_lower: float | None
    lift_upper: float | None
    verdict: str | None
    experiment_name: str | None
    variation_name: str | None


ROLES = ("primary", "secondary", "guardrail")
"""Metrics with these roles come first, in this order."""

RATES = ("conversion", "funnel", "compound", "retention")
"""Types whose mean is a share of the visitors."""

LONGEST_NAME = 40
"""Characters of a name that are shown: a longer one would push the numbers out of sight."""


def read_results(
    warehouse: Path, schema: str, experiment: str | None = None, metrics: Sequence[str] = ()
) -> list[Result]:
    """Reads the results, and closes the warehouse.

    Args:
        warehouse: The DuckDB file that dbt built.
        schema: Schema of the marts.
        experiment: Only this experiment.
        metrics: Only metrics whose name contains one of these; all, where there are none.

    Raises:
        LoaderError: There is no such file, or nothing was built in it.
    """
    rows = _read(
        warehouse,
        schema,
        """
        select results.experiment_id, metric_name, metric_type, results.variation_id,
            results.baseline_variation_id, visitors, numerator, mean, lift,
            case when decided_by like 'always_valid%' then lift_cs_lower else lift_ci_lower end,
            case when decided_by like 'always_valid%' then lift_cs_upper else lift_ci_upper end,
            verdict, experiment_name, variation_name
        from {schema}.experiment_results as results
        left join {schema}.dim_metrics using (metric_name)
        left join {schema}.dim_experiments using (experiment_id)
        left join {schema}.dim_variations using (experiment_id, variation_id)
        where segment_name = 'all'
            and ($1 is null or results.experiment_id = $1)
            and (
                len($2::varchar[]) = 0
                or len(list_filter(
                    $2::varchar[], lambda name: contains(lower(metric_name), lower(name))
                )) > 0
            )
        order by results.experiment_id,
            coalesce(list_position($3::varchar[], results.role), 9), metric_name,
            length(results.variation_id), results.variation_id
        """,
        [experiment, list(metrics), list(ROLES)],
    )
    return [Result(*row) for row in rows]


def read_warnings(warehouse: Path, schema: str) -> dict[str, list[str]]:
    """Reads what is wrong with the experiments, by id, the worst first; closes the warehouse.

    Args:
        warehouse: The DuckDB file that dbt built.
        schema: Schema of the marts.

    Raises:
        LoaderError: There is no such file, or nothing was built in it.
    """
    rows = _read(
        warehouse,
        schema,
        """
        select experiment_id, status, message
        from {schema}.experiment_health
        where status <> 'pass'
        order by experiment_id, status, check_name
        """,
        [],
    )
    warnings: dict[str, list[str]] = {}
    for experiment_id, status, message in rows:
        warnings.setdefault(experiment_id, []).append(f"{status}: {shown(message)}")
    return warnings


def _read(
    warehouse: Path, schema: str, sql: str, parameters: Sequence[Any]
) -> list[tuple[Any, ...]]:
    not_built = LoaderError(
        f"{shown(str(warehouse))} holds no results: run `loader pull`, then `dbt build`",
        ExitCode.USAGE,
    )
    if not warehouse.exists():
        raise not_built
    quoted = '"' + schema.replace('"', '""') + '"'
    with open_warehouse(warehouse, read_only=True) as connection:
        try:
            return connection.execute(sql.replace("{schema}", quoted), parameters).fetchall()
        except (duckdb.CatalogException, duckdb.BinderException, duckdb.ParserException) as error:
            raise not_built from error


def draw_results(results: list[Result], warnings: dict[str, list[str]]) -> Iterator[Table]:
    """One table for each experiment: a row for each metric and variation.

    Args:
        results: Those of each experiment together.
        warnings: What is wrong with an experiment, by id; it stands above the numbers.
    """
    for (experiment_id, name), of_experiment in groupby(
        results, lambda result: (result.experiment_id, result.experiment_name)
    ):
        table = Table(
            title=Text(
                "\n".join(
                    [f"Experiment {_named(experiment_id, name)}", *warnings.get(experiment_id, [])]
                )
            ),
            title_justify="left",
            box=None,
            padding=(0, 1, 0, 0),
        )
        table.add_column("metric", overflow="fold")
        table.add_column("variation")
        for heading in ("visitors", "total", "mean", "lift", "interval"):
            table.add_column(heading, justify="right")
        table.add_column("verdict")
        for metric_name, of_metric in groupby(of_experiment, lambda result: result.metric_name):
            for number, result in enumerate(of_metric):
                table.add_row(Text("" if number else shown(metric_name)), *_cells(result))
        yield table


def _cells(result: Result) -> list[str | Text]:
    if result.variation_id == result.baseline_variation_id:
        lift = "baseline"
    else:
        lift = "" if result.lift is None else f"{result.lift:+.1%}"
    if result.mean is None:
        mean = ""
    else:
        mean = f"{result.mean:.2%}" if result.metric_type in RATES else f"{result.mean:,.3f}"
    interval = ""
    if result.lift_lower is not None:
        interval = f"{result.lift_lower:+.1%} to {result.lift_upper:+.1%}"
    return [
        Text(_named(result.variation_id, result.variation_name)),
        f"{result.visitors:,}",
        f"{result.numerator:,.0f}" if result.numerator.is_integer() else f"{result.numerator:,.2f}",
        mean,
        lift,
        interval,
        (result.verdict or "").replace("_", " "),
    ]


def _named(id_: str, name: str | None) -> str:
    """An id and the name beside it, both from outside."""
    if not name:
        return shown(id_)
    printable = shown(name)
    if len(printable) > LONGEST_NAME:
        printable = printable[: LONGEST_NAME - 1] + "…"
    return f"{shown(id_)} {printable}"
