"""What a warehouse holds, day by day, and whether its ledger says the same."""

from pathlib import Path

from loader import ledger, spec
from loader.export.layout import Unit
from loader.landing.warehouse import open_warehouse
from loader.plan import known_days
from tests.loader.exports import query

Days = dict[Unit, tuple[int, int]]
"""Row count and checksum of every landed day: equal exactly if the rows are."""


def days_of(warehouse: Path) -> Days:
    """What the staging tables hold, without the ids of the loads."""
    days: Days = {}
    with open_warehouse(warehouse, read_only=True) as connection:
        if not ledger.exists(connection):
            return {}
        for export_type, table in spec.TABLES.items():
            rows = connection.execute(
                f"""
                select _export_date, count(*), sum(hash(*columns(* exclude (_load_id))))
                from {table.qualified_name} group by all
                """
            ).fetchall()
            days |= {(export_type, date): (count, total) for date, count, total in rows}
    return days


def check_ledger(warehouse: Path, days: Days) -> None:
    """The ledger and the tables say the same, load by load and file by file."""
    known = known_days(warehouse).landed
    assert {unit: day.row_count for unit, day in known.items() if day.row_count} == {
        unit: count for unit, (count, _) in days.items()
    }
    if not known:
        return
    for export_type, table in spec.TABLES.items():
        landed = query(
            warehouse,
            f"""
            select _export_date, _load_id, _file_id, count(*)
            from {table.qualified_name} group by all order by all
            """,
        )
        recorded = query(
            warehouse,
            f"""
            select export_date, load_id, file_id, files.row_count
            from {ledger.SCHEMA}.files
            inner join {ledger.SCHEMA}.days using (export_type, export_date)
            inner join {ledger.SCHEMA}.loads using (load_id, export_type, export_date)
            where export_type = ? and files.row_count > 0 order by all
            """,
            export_type,
        )
        assert landed == recorded
