"""What the twin takes: the rows of an export, and what the shipped seeds say."""

import csv
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from loader.export.layout import open_export
from loader.landing.spool import file_id
from loader.spec import TABLES
from tests.models.project import ROOT
from tests.models.twin import Names

ExportedRows = tuple[list[dict[str, Any]], list[dict[str, Any]]]
"""Decisions and conversions."""


def exported_rows(folder: Path) -> ExportedRows:
    """The rows of an export, as the twin takes them: read by pyarrow alone."""
    export = open_export(str(folder))
    root = next(folder.rglob("type=decisions")).parent
    tables = []
    for export_type in TABLES:
        rows = []
        for export_date in export.dates(export_type):
            for file in export.day(export_type, export_date).files:
                for number, row in enumerate(pq.read_table(root / file.key).to_pylist()):
                    for name in ("timestamp", "process_timestamp"):
                        row[name] = row[name] and row[name].replace(tzinfo=None)
                    rows.append(
                        row
                        | {
                            "_export_date": export_date,
                            "_file_id": file_id(file),
                            "_file_row": number,
                        }
                    )
        tables.append(rows)
    decisions, conversions = tables
    return decisions, conversions


def seeded_names() -> Names:
    """What the shipped seeds say, as the twin takes it; a blank is NULL, a weight a number."""
    tables = []
    for name in ("experiments", "variations"):
        rows = seed_rows(name)
        for row in rows:
            if row.get("weight"):
                row["weight"] = float(row["weight"])
        tables.append(rows)
    experiments, variations = tables
    return Names(
        {row["experiment_id"]: row for row in experiments},
        {(row["experiment_id"], row["variation_id"]): row for row in variations},
    )


def shipped_metrics() -> dict[str, Any]:
    """What the shipped seeds declare, as the twin takes it."""
    return {name: seed_rows(name) for name in ("metrics", "metric_events")}


def seed_rows(name: str) -> list[dict[str, Any]]:
    """The rows of a shipped seed; a blank is NULL."""
    with (ROOT / "seeds" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return [
            {column: cell or None for column, cell in row.items()} for row in csv.DictReader(file)
        ]
