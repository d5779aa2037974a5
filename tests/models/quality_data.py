"""What the twin of the quality marts takes beside landed rows: the ledger, and a results page."""

import random
from collections.abc import Sequence
from typing import Any

from tests.models.histories import (
    ARMLESS_EXPERIMENT,
    EVENTS,
    EXPERIMENTS_POOL,
    UNKNOWN_EXPERIMENT,
)
from tests.models.project import Project
from tests.models.quality_twin import CONVERSION_MEASURES, Ledger, Row
from tests.models.twin import Twin


def ledger_of(project: Project) -> Ledger:
    """The ledger's tables, as the twin takes them."""
    days = ("export_type", "export_date", "row_count", "file_count", "byte_count", "landed_at")
    tables = {
        "days": (*days, "is_complete"),
        "loads": ("load_id", "export_type", "export_date", "reason"),
        "quarantined_files": ("export_type", "export_date"),
    }
    return Ledger(
        **{
            table: [
                dict(zip(columns, row, strict=True))
                for row in project.query(
                    f"select {', '.join(columns)} from optimizely_ledger.{table}"
                )
            ]
            for table, columns in tables.items()
        }
    )


def fill_seed(project: Project, rows: Sequence[Sequence[Any]]) -> None:
    """Puts rows into the seed `vendor_results`, as if they stood in its file."""
    columns = "experiment_id, variation_id, event_key, measure, vendor_value"
    project.execute(
        f"""
        create table if not exists main.vendor_results as
        select '' as {columns.replace(", ", ", '' as ")} where false;
        """
    )
    values = ", ".join(
        "(" + ", ".join("null" if cell is None else _quoted(cell) for cell in row) + ")"
        for row in rows
    )
    project.execute(f"insert into main.vendor_results ({columns}) values {values}")


def _quoted(cell: Any) -> str:
    return "'" + str(cell).replace("'", "''") + "'"


def vendor_results(rng: random.Random, twin: Twin, count: int) -> list[Row]:
    """Numbers of a results page: some right, some nearly, some far off, some of nothing at all."""
    summary = {
        (row["experiment_id"], row["variation_id"], row["metric_name"]): row["value_sum"]
        for row in twin.summary
    }
    metric_names = {
        "unique_conversions": "unique conversions",
        "total_conversions": "total conversions",
        "revenue_cents": "revenue",
        "value": "value",
    }
    rows: dict[tuple[Any, ...], Row] = {}
    while len(rows) < count:
        experiment_id = rng.choice(
            [*EXPERIMENTS_POOL] * 4 + [ARMLESS_EXPERIMENT, UNKNOWN_EXPERIMENT]
        )
        variation_id = rng.choice([None, *EXPERIMENTS_POOL.get(experiment_id, ()), "1"])
        measure = rng.choice(["visitors", *CONVERSION_MEASURES])
        event_key = rng.choice([name for name, _ in EVENTS] * 3 + ["15776040040", "no such event"])
        name = f"{event_key}: {metric_names.get(measure)}"
        known = summary.get((experiment_id, variation_id, name))
        guess = rng.choice((0.0, 1.0, 10.0, 23.0, 100.0, 1000.0, -2.5))
        row: Row = {
            "experiment_id": experiment_id,
            "variation_id": variation_id,
            "event_key": None if measure == "visitors" else event_key,
            "measure": measure,
            "vendor_value": guess if known is None or rng.random() < 0.4 else known,
        }
        # Mistakes that the seed's tests report: the mart must take them.
        spoiled = rng.random()
        if spoiled < 0.02:
            row["event_key"] = None if row["event_key"] else "purchase"
        elif spoiled < 0.04:
            row["measure"] = rng.choice(("visits", None))
        elif spoiled < 0.06:
            row["vendor_value"] = None
        rows[tuple(row.values())[:4]] = row
    return list(rows.values())
