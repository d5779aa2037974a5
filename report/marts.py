"""Reads the marts: what a page shows, as plain rows. Nothing is computed here, only looked up."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb

from loader.errors import ExitCode, LoaderError, shown
from loader.landing.warehouse import open_warehouse, quoted_name

ROLES = ("primary", "secondary", "guardrail", "outside", "automatic")
"""Roles of metrics, in the order in which they are shown."""

EVERYONE = "all"
"""Name and value of the segment that everyone is in."""

ALWAYS_VALID = "always_valid"
FIXED_HORIZON = "fixed_horizon"
METHODS = (ALWAYS_VALID, FIXED_HORIZON)
COUNTED_BY = ("day_of_exposure", "day_of_observation")


@dataclass(frozen=True)
class ExportState:
    """How far one type of the export is landed (`export_days`)."""

    export_type: str
    latest_complete_date: date | None
    missing_dates: list[date]


@dataclass(frozen=True)
class Variation:
    """One row of `dim_variations`."""

    variation_id: str
    variation_name: str | None
    weight: float | None
    visitor_count: int


@dataclass(frozen=True)
class Check:
    """One row of `experiment_health`."""

    check_name: str
    status: str
    observed: float | None
    message: str


@dataclass(frozen=True)
class Interval:
    """What one method says of a comparison: the interval of its lift, and its p-value."""

    lower: float | None
    upper: float | None
    p_value: float | None


@dataclass(frozen=True)
class Result:
    """One row of `experiment_results`, and what `dim_metrics` says of its metric."""

    metric_name: str
    variation_id: str
    segment_name: str
    segment_value: str
    role: str
    metric_type: str | None
    measure: str | None
    direction: str | None
    description: str | None
    non_inferiority_margin: float | None
    is_baseline: bool
    visitors: int
    unique_conversions: int
    total_conversions: int | None
    numerator: float
    mean: float | None
    lift: float | None
    is_non_inferior: bool | None
    verdict: str | None
    decided_by: str
    reason: str | None
    always_valid: Interval
    fixed_horizon: Interval

    @property
    def method(self) -> str:
        """The method among `METHODS` that the verdict was reached with."""
        return _method(self.decided_by)

    def by(self, method: str) -> Interval:
        """What a method says of it."""
        return self.fixed_horizon if method == FIXED_HORIZON else self.always_valid


@dataclass(frozen=True)
class Day:
    """One row of `experiment_results_daily` that has a lift."""

    metric_name: str
    variation_id: str
    counted_by: str
    day: date
    lift: float
    always_valid: tuple[float | None, float | None]
    fixed_horizon: tuple[float | None, float | None]

    def by(self, method: str) -> tuple[float | None, float | None]:
        """The interval that a method gives."""
        return self.fixed_horizon if method == FIXED_HORIZON else self.always_valid


@dataclass(frozen=True)
class FunnelStep:
    """One row of `funnel_report`."""

    metric_name: str
    variation_id: str
    step: int
    step_name: str
    visitors: int
    rate_of_exposed: float
    rate_of_previous: float | None
    lost_visitors: int | None
    median_seconds: float | None


@dataclass(frozen=True)
class Headline:
    """What the list of experiments shows of one (`dim_experiments`)."""

    experiment_id: str
    experiment_name: str | None
    experiment_key: str | None
    campaign_id: str | None
    status: str | None
    visitor_count: int
    first_seen_at: datetime
    last_seen_at: datetime
    checks: list[Check]
    variations: list[Variation]
    primary_results: list[Result]

    @property
    def days_running(self) -> int:
        """What the check of that name has observed."""
        found = [check.observed for check in self.checks if check.check_name == "days_running"]
        return int(found[0] or 0) if found else 0

    @property
    def is_split_wrong(self) -> bool:
        """Whether a test of the sample ratio fails: then no number can be trusted."""
        return any(
            check.status == "fail" and check.check_name.startswith("sample_ratio")
            for check in self.checks
        )


@dataclass(frozen=True)
class Experiment:
    """All that the page of an experiment shows, but its panels."""

    headline: Headline
    results: list[Result]
    days: list[Day]
    steps: list[FunnelStep]

    @property
    def decided_by(self) -> str:
        """How its verdicts were reached, all in the same way; empty where nothing is compared."""
        return next((result.decided_by for result in self.results if not result.is_baseline), "")

    @property
    def method(self) -> str:
        """The method among `METHODS` that its verdicts were reached with."""
        return _method(self.decided_by)

    def metrics(self, segment_name: str = EVERYONE) -> dict[str, list[Result]]:
        """The results of a kind of segment by metric, in the order in which they are shown."""
        by_metric: dict[str, list[Result]] = {}
        for result in self.results:
            if result.segment_name == segment_name:
                by_metric.setdefault(result.metric_name, []).append(result)
        return by_metric


def _method(decided_by: str) -> str:
    return FIXED_HORIZON if decided_by.startswith(FIXED_HORIZON) else ALWAYS_VALID


@dataclass(frozen=True)
class Marts:
    """A warehouse that is open for reading, all of it as of one moment."""

    connection: duckdb.DuckDBPyConnection
    warehouse: Path
    read_at: datetime

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """Runs a query of ours: each row by the names of its columns.

        Raises:
            LoaderError: A mart is not there, or of an older shape.
        """
        try:
            cursor = self.connection.execute(sql, parameters)
        except (duckdb.CatalogException, duckdb.BinderException, duckdb.ParserException) as error:
            raise not_built(self.warehouse) from error
        columns = cursor.description or ()
        ends = [_ENDS.get(str(kind)) for _, kind, *_ in columns]
        return [
            {
                name: _in_calendar(value, end)
                for (name, *_), value, end in zip(columns, row, ends, strict=True)
            }
            for row in cursor.fetchall()
        ]


_ENDS: dict[str, tuple[date, date]] = {
    "DATE": (date.min, date.max),
    "TIMESTAMP": (datetime.min, datetime.max),
}


def _in_calendar(value: Any, ends: tuple[date, date] | None) -> Any:
    """The value; a time that Python's calendar does not reach, which comes as text, its end."""
    if ends is None or not isinstance(value, str):
        return value
    first, last = ends
    return first if value.endswith("(BC)") else last


def not_built(
    warehouse: Path, schema: str | None = None, others: Sequence[str] = ()
) -> LoaderError:
    """The error for a warehouse without our marts in a schema; `others` have some."""
    place = shown(str(warehouse))
    if others:
        return LoaderError(
            f"{place} holds no results in the schema {shown(schema or '')}: "
            f"give --schema {shown(' or '.join(others))}",
            ExitCode.USAGE,
        )
    return LoaderError(
        f"{place} holds no results: run `loader pull`, then `dbt build`", ExitCode.USAGE
    )


@contextmanager
def open_marts(warehouse: Path, schema: str, *, waits: bool = True) -> Iterator[Marts]:
    """Opens the warehouse for reading, and closes it.

    Args:
        warehouse: The DuckDB file that dbt built.
        schema: Schema of the marts.
        waits: Whether to wait for a build that holds the file.

    Raises:
        LoaderError: There is no such file, nothing was built in it, or it is in use.
    """
    if not warehouse.exists():
        raise not_built(warehouse)
    with open_warehouse(warehouse, read_only=True, waits=waits) as connection:
        schemas = _schemas(connection)
        try:
            connection.execute("set schema = ?", [quoted_name(schema)])
        except (duckdb.CatalogException, duckdb.ParserException) as error:
            raise not_built(warehouse, schema, schemas) from error
        if schemas and schema.lower() not in map(str.lower, schemas):
            raise not_built(warehouse, schema, schemas)
        yield Marts(connection, warehouse, datetime.now(UTC))


def _schemas(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Schemas of this warehouse that hold results."""
    rows = connection.execute(
        "select distinct schema_name from duckdb_columns() "
        "where table_name = 'experiment_results' and database_name = current_database() "
        "order by all"
    ).fetchall()
    return [name for (name,) in rows]


def read_export_states(marts: Marts) -> list[ExportState]:
    """How far each type of the export is landed."""
    rows = marts.rows(
        """
        select
            export_type,
            max(export_date) filter (where is_latest_complete) as latest_complete_date,
            coalesce(list(export_date order by export_date) filter (where is_missing), [])
                as missing_dates
        from export_days
        group by export_type
        order by export_type
        """
    )
    return [ExportState(**row) for row in rows]


def read_headlines(marts: Marts, experiment_id: str | None = None) -> list[Headline]:
    """Reads what the list of experiments shows, the newest first.

    Args:
        marts: The open warehouse.
        experiment_id: Only this experiment; all, where it is None.
    """
    checks: dict[str, list[Check]] = {}
    for check in marts.rows(
        """
        select experiment_id, check_name, status, observed, message
        from experiment_health
        where $1 is null or experiment_id = $1
        order by experiment_id, array_position(['fail', 'warn', 'pass'], status), check_name
        """,
        [experiment_id],
    ):
        checks.setdefault(check.pop("experiment_id"), []).append(Check(**check))
    variations: dict[str, list[Variation]] = {}
    for variation in marts.rows(
        """
        select experiment_id, variation_id, variation_name, weight, visitor_count
        from dim_variations
        where $1 is null or experiment_id = $1
        order by experiment_id, length(variation_id), variation_id
        """,
        [experiment_id],
    ):
        id_ = variation.pop("experiment_id")
        variations.setdefault(id_, []).append(Variation(**variation))
    primary: dict[str, list[Result]] = {}
    for id_, result in read_results(marts, experiment_id, roles=ROLES[:1], only_everyone=True):
        primary.setdefault(id_, []).append(result)
    rows = marts.rows(
        """
        select
            experiment_id, experiment_name, experiment_key, campaign_id, status,
            counted_visitor_count as visitor_count, first_seen_at, last_seen_at
        from dim_experiments
        where $1 is null or experiment_id = $1
        order by first_seen_at desc, experiment_id
        """,
        [experiment_id],
    )
    return [
        Headline(
            **row,
            checks=checks.get(row["experiment_id"], []),
            variations=variations.get(row["experiment_id"], []),
            primary_results=primary.get(row["experiment_id"], []),
        )
        for row in rows
    ]


def read_experiment(marts: Marts, headline: Headline, daily_metrics: int) -> Experiment:
    """Reads what the page of an experiment shows.

    Args:
        marts: The open warehouse.
        headline: What the list shows of it.
        daily_metrics: Of so many metrics the days are read: the first, as they are shown.
    """
    results = [result for _, result in read_results(marts, headline.experiment_id)]
    names = list(dict.fromkeys(result.metric_name for result in results))
    return Experiment(
        headline,
        results,
        read_days(marts, headline.experiment_id, names[:daily_metrics]),
        _steps(marts, headline.experiment_id),
    )


def read_results(
    marts: Marts,
    experiment_id: str | None,
    *,
    roles: Sequence[str] = ROLES,
    only_everyone: bool = False,
) -> list[tuple[str, Result]]:
    """Reads results in the order in which they are shown, each with its experiment's id.

    Args:
        marts: The open warehouse.
        experiment_id: Only of this experiment; of all, where it is None.
        roles: Only of metrics with these roles.
        only_everyone: Leave segments out.
    """
    rows = marts.rows(
        """
        select
            experiment_id, metric_name, variation_id, segment_name, segment_value,
            results.role as role, metric_type, measure, direction, description,
            non_inferiority_margin,
            variation_id = baseline_variation_id as is_baseline, visitors, unique_conversions,
            total_conversions,
            numerator, mean, lift, is_non_inferior, verdict, decided_by, reason,
            {
                'lower': lift_cs_lower, 'upper': lift_cs_upper, 'p_value': p_value_always_valid
            } as always_valid,
            {'lower': lift_ci_lower, 'upper': lift_ci_upper, 'p_value': p_value} as fixed_horizon
        from experiment_results as results
        left join dim_metrics using (metric_name)
        where ($1 is null or experiment_id = $1)
            and (not $2 or segment_name = 'all')
            and list_contains($4::varchar[], results.role)
        order by
            experiment_id, array_position($3::varchar[], results.role), metric_name,
            segment_name <> 'all', segment_name, segment_value,
            variation_id <> baseline_variation_id, length(variation_id), variation_id
        """,
        [experiment_id, only_everyone, list(ROLES), list(roles)],
    )
    return [
        (
            row.pop("experiment_id"),
            Result(
                always_valid=Interval(**row.pop("always_valid")),
                fixed_horizon=Interval(**row.pop("fixed_horizon")),
                **row,
            ),
        )
        for row in rows
    ]


def read_days(marts: Marts, experiment_id: str, metrics: Sequence[str]) -> list[Day]:
    """Reads how the lifts of some metrics grew."""
    rows = marts.rows(
        """
        select
            metric_name, variation_id, counted_by, day, lift,
            (lift_cs_lower, lift_cs_upper) as always_valid,
            (lift_ci_lower, lift_ci_upper) as fixed_horizon
        from experiment_results_daily
        where experiment_id = $1 and list_contains($2::varchar[], metric_name)
            and lift is not null and variation_id <> baseline_variation_id
            -- A clock that is off by thousands of years is no day of a chart.
            and day between date '0001-01-01' and date '9999-12-31'
        order by metric_name, length(variation_id), variation_id, counted_by, day
        """,
        [experiment_id, list(metrics)],
    )
    return [Day(**row) for row in rows]


def _steps(marts: Marts, experiment_id: str) -> list[FunnelStep]:
    rows = marts.rows(
        """
        select
            metric_name, variation_id, step, step_name, visitors, rate_of_exposed,
            rate_of_previous, lost_visitors, median_seconds
        from funnel_report
        where experiment_id = $1
        order by metric_name, step, length(variation_id), variation_id
        """,
        [experiment_id],
    )
    return [FunnelStep(**row) for row in rows]
