"""Compares the marts with what `by_hand.sql` computed: the numbers of both must be the same."""

from dataclasses import dataclass
from pathlib import Path

import duckdb

from benchmarks.measure import BrokenBenchmark

PRECISION = 1e-9
"""Doubles may differ by so much of themselves: a sum depends on the order of its rows."""


@dataclass(frozen=True)
class Pair:
    """A mart, the table by hand that holds the same, and what must be equal in them."""

    mart: str
    by_hand: str
    keys: tuple[str, ...]
    exact: tuple[str, ...] = ()
    doubles: tuple[str, ...] = ()


ARM = ("experiment_id", "variation_id", "metric_name")
SUMS = (
    "value_sum",
    "value_sum_squares",
    "denominator_sum",
    "denominator_sum_squares",
    "cross_product_sum",
)
RESULTS = ("mean", "baseline_mean", "difference", "lift")

PAIRS = (
    Pair(
        "fct_sessions",
        "sessions",
        ("session_key",),
        (
            "visitor_id",
            "started_at",
            "ended_at",
            "decision_count",
            "conversion_count",
            "revenue_cents",
            "is_bot",
        ),
    ),
    Pair(
        "fct_exposures",
        "exposures",
        ("experiment_id", "visitor_id"),
        (
            "variation_id",
            "exposed_at",
            "exposure_source",
            "exposure_status",
            "decision_count",
            "is_holdback",
            "is_bot",
        ),
    ),
    Pair(
        "(from duplicate_events select *, table_name = 'decisions' as is_decision)",
        "duplicate_events",
        ("is_decision", "visitor_id", "event_id"),
        ("copy_count",),
    ),
    Pair(
        "session_audit",
        "session_audit",
        ("session_date", "agreement"),
        ("session_count", "event_count"),
    ),
    Pair(
        "attribution_audit",
        "attribution_audit",
        ("experiment_id", "agreement"),
        ("conversion_count", "visitor_count"),
    ),
    Pair(
        "dim_events",
        "event_counts",
        ("entity_id", "event_name"),
        ("conversion_count", "visitor_count", "revenue_cents"),
        ("value",),
    ),
    Pair(
        "dim_variations",
        "experiment_counts",
        ("experiment_id", "variation_id"),
        ("decision_count", "first_seen_at", "last_seen_at"),
    ),
    Pair(
        "(from export_days where row_count > 0)",
        "export_days",
        ("export_type", "export_date"),
        ("late_row_count", "last_processed_at"),
    ),
    Pair(
        "funnel_report",
        "funnel_report",
        (*ARM, "step"),
        ("visitors",),
        ("rate_of_exposed", "rate_of_previous", "median_seconds", "p90_seconds"),
    ),
    Pair(
        "metric_summary",
        "metric_summary",
        ARM,
        ("visitors", "mature_visitors", "unique_conversions", "total_conversions"),
        SUMS,
    ),
    Pair(
        "experiment_results",
        "(from by_hand.results where counted_by = 'now')",
        ARM,
        ("visitors",),
        RESULTS,
    ),
    Pair(
        "experiment_results_daily",
        "(from by_hand.results where counted_by <> 'now')",
        (*ARM, "counted_by", "day"),
        ("visitors",),
        RESULTS,
    ),
)


def check_by_hand(warehouse: Path, by_hand: Path) -> None:
    """Compares the marts of a warehouse with the tables of the script in another file.

    Raises:
        BrokenBenchmark: They differ.
    """
    with duckdb.connect(warehouse, read_only=True) as connection:
        connection.execute(f"attach '{by_hand}' as hand (read_only)")
        for pair in PAIRS:
            [(rows, different)] = connection.execute(_comparison(pair)).fetchall()
            if different or not rows:
                raise BrokenBenchmark(
                    f"of {rows:,} rows of {pair.mart}, {different:,} are not those by hand"
                )


def _comparison(pair: Pair) -> str:
    by_hand = pair.by_hand.replace("by_hand.", "hand.by_hand.")
    if by_hand == pair.by_hand:
        by_hand = f"hand.by_hand.{by_hand}"
    same_keys = " and ".join(f"ours.{key} is not distinct from theirs.{key}" for key in pair.keys)
    differences = [
        "ours.is_there is distinct from theirs.is_there",
        *(f"ours.{column} is distinct from theirs.{column}" for column in pair.exact),
        *(
            f"not coalesce(abs(ours.{column} - theirs.{column})"
            f" <= {PRECISION} * greatest(abs(ours.{column}), abs(theirs.{column})),"
            f" ours.{column} is null and theirs.{column} is null)"
            for column in pair.doubles
        ),
    ]
    return f"""
        select count(*), count(*) filter ({" or ".join(differences)})
        from (select *, true as is_there from {pair.mart}) as ours
        full outer join (select *, true as is_there from {by_hand}) as theirs on {same_keys}
    """
