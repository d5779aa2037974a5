"""Compares marts with a full refresh and with the twin."""

import math
from collections import Counter
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from tests.loader.exports import kept_open
from tests.models.project import Project
from tests.models.twin import Row, Twin

INCREMENTAL = (
    "int_events_sessionized",
    "fct_decisions",
    "fct_conversions",
    "fct_sessions",
    "fct_exposures",
    "fct_attributed_conversions",
    "int_event_observations",
    "int_declared_observations",
    "fct_funnel_steps",
    "duplicate_events",
)

BUILT = (
    *INCREMENTAL,
    "dim_experiments",
    "dim_variations",
    "dim_events",
    "dim_metrics",
    "fct_metric_observations",
    "metric_summary",
    "int_daily_summary",
    "int_novelty_summary",
    "funnel_report",
    "experiment_results",
    "export_days",
    "attribution_audit",
    "session_audit",
    "results_reconciliation",
    "int_sample_ratio_days",
    "experiment_health",
)

TWINS = {
    "fct_decisions": "decisions",
    "fct_conversions": "conversions",
    "fct_sessions": "sessions",
    "fct_exposures": "exposures",
    "fct_attributed_conversions": "attributed_conversions",
    "dim_experiments": "experiments",
    "dim_variations": "variations",
    "dim_events": "events",
    "dim_metrics": "metrics",
    "fct_funnel_steps": "funnel_steps",
    "funnel_report": "funnel_report",
    "fct_metric_observations": "observations",
    "metric_summary": "summary",
    "int_daily_summary": "daily_summary",
    "int_novelty_summary": "novelty_summary",
    "experiment_results": "results",
}
"""The mart, and the twin's name for it."""

PLAIN = {str, int, float, bool, date, datetime, type(None)}
"""Types of nearly all values, which read the same in every way."""

INEXACT = ("funnel_report", "int_daily_summary", "int_novelty_summary")
"""Tables whose last digits depend on how they are computed: percentiles between two values, and
sums that are made up of differences."""


def assert_equals_full_refresh(
    project: Project, where: str, *arguments: str, declared: bool = False
) -> None:
    """Builds everything anew in another schema, and expects every table to be the same.

    Args:
        project: The built project.
        where: Said when it fails.
        arguments: Those that the incremental build was given.
        declared: Metrics are those that were declared in both schemas, not those of the seeds.
    """
    project.build("--full-refresh", *arguments, target="rebuild", declared=declared)
    with kept_open(project.warehouse):
        for model in BUILT:
            differences = project.query(
                f"""
                (select 'incremental', * from (from main.{model} except all from rebuild.{model}))
                union all
                (select 'rebuild', * from (from rebuild.{model} except all from main.{model}))
                """
            )
            assert differences == [], f"{model} {where}"


def assert_equals_twin(project: Project, twin: Twin, where: str, *, exact: bool = True) -> None:
    """Expects every mart to hold the rows of the twin, in the twin's columns.

    Args:
        project: The built project.
        twin: The twin of what is landed.
        where: Said when it fails.
        exact: False where doubles are not sums of eighths: a sum then depends on the order of its
            rows, and is compared to nine digits.
    """
    with kept_open(project.warehouse):
        for model, name in TWINS.items():
            is_exact = exact and model not in INEXACT
            if twin.cuped_days and model == "experiment_results":
                is_exact = False
            assert_rows_equal(project, model, getattr(twin, name), where, exact=is_exact)


def assert_rows_equal(
    project: Project, model: str, expected: list[Row], where: str = "", *, exact: bool = True
) -> None:
    """Expects a mart to hold the twin's rows, in the twin's columns.

    Args:
        project: The built project.
        model: The mart.
        expected: The twin's rows.
        where: Said when it fails.
        exact: As for `assert_equals_twin`.
    """
    columns = list(expected[0]) if expected else ["1"]
    found = [
        tuple(map(_frozen, row))
        for row in project.query(f"select {', '.join(columns)} from main.{model}")
    ]
    wanted = [tuple(map(_frozen, row.values())) for row in expected]
    if exact:
        found_bag, wanted_bag = Counter(found), Counter(wanted)
        assert found_bag - wanted_bag == Counter(), f"{model} has too much {where}"
        assert wanted_bag - found_bag == Counter(), f"{model} has too little {where}"
        return
    found_rows, wanted_rows = sorted(map(_split, found)), sorted(map(_split, wanted))
    assert [exactly for exactly, _ in found_rows] == [exactly for exactly, _ in wanted_rows]
    for (exactly, doubles), (_, wanted_doubles) in zip(found_rows, wanted_rows, strict=True):
        pairs = zip(doubles, wanted_doubles, strict=True)
        assert all(math.isclose(*pair, rel_tol=1e-9, abs_tol=1e-9) for pair in pairs), (
            f"{model} {where}: {exactly} {doubles} is not {wanted_doubles}"
        )


def _frozen(value: Any) -> Any:
    """The value so that it can be counted, the same whichever way it was read."""
    if type(value) in PLAIN:
        return value
    if isinstance(value, dict):
        return tuple(sorted((name, _frozen(inner)) for name, inner in value.items()))
    if isinstance(value, list):
        if value and isinstance(value[0], tuple):
            # pyarrow gives a map as a list of pairs, DuckDB as a dict.
            return _frozen(dict(value))
        return tuple(map(_frozen, value))
    if isinstance(value, Decimal) and value == value.to_integral_value():
        return int(value)
    return value


def _split(row: tuple[Any, ...]) -> tuple[str, list[float]]:
    """What must be equal, as text that can be sorted, and the doubles."""
    doubles = [value for value in row if isinstance(value, float)]
    return repr([value for value in row if not isinstance(value, float)]), doubles
