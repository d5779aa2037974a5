"""What was done to the warehouse, load by load."""

from pathlib import Path

from loader import ledger
from loader.landing.warehouse import open_warehouse
from loader.plan import Window


def read_history(
    warehouse: Path, export_types: list[str], window: Window, limit: int
) -> list[ledger.Load]:
    """The loads of some days, newest first.

    Args:
        warehouse: The DuckDB file; it need not exist.
        export_types: Types to look at.
        window: Days of the export to look at.
        limit: How many loads at most.
    """
    if not warehouse.exists():
        return []
    with open_warehouse(warehouse, read_only=True) as connection:
        found = ledger.loads(connection)
    asked = [
        load for load in found if load.export_type in export_types and load.export_date in window
    ]
    return asked[:limit]
