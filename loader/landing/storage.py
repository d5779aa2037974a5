"""Where landed rows stay: in the database beside the ledger, or elsewhere."""

from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Protocol

import duckdb

from loader import ledger, spec


class Storage(Protocol):
    """Keeps landed rows. Every change of the database's ledger is followed by `publish`."""

    @property
    def notes(self) -> Sequence[str]:
        """What a user must hear of what was found on the way; each ends with the remedy."""

    def remove_rows(
        self,
        connection: duckdb.DuckDBPyConnection,
        table: spec.Table,
        export_date: date,
        load_id: int,
    ) -> None:
        """Deletes a day's rows in the open transaction, noting whose they were.

        The models recompute those visitors.
        """

    def rows(
        self, connection: duckdb.DuckDBPyConnection, table: spec.Table
    ) -> Iterator[tuple[date | None, str]]:
        """All landed rows, piece by piece: SQL of each, good until the next one is asked for.

        With the day that the piece is; None where a piece has many.
        """

    def name(self, database: Path) -> str:
        """What a user calls the place where rows are landed."""

    def publish(self) -> None:
        """Makes what was committed to the database visible to everybody, all of it or nothing."""


class InDatabase:
    """Rows stay in the staging tables."""

    notes = ()

    def remove_rows(
        self,
        connection: duckdb.DuckDBPyConnection,
        table: spec.Table,
        export_date: date,
        load_id: int,
    ) -> None:
        """See Storage.remove_rows."""
        note_visitors(
            connection,
            f"(from {table.qualified_name} where _export_date = '{export_date}')",
            load_id,
        )
        connection.execute(
            f"delete from {table.qualified_name} where _export_date = ?", [export_date]
        )

    def rows(
        self, connection: duckdb.DuckDBPyConnection, table: spec.Table
    ) -> Iterator[tuple[date | None, str]]:
        """See Storage.rows."""
        yield None, table.qualified_name

    def name(self, database: Path) -> str:
        """See Storage.name."""
        return str(database)

    def publish(self) -> None:
        """See Storage.publish. A commit of the database is visible by itself."""


IN_DATABASE = InDatabase()


def note_visitors(connection: duckdb.DuckDBPyConnection, rows: str, load_id: int) -> None:
    """Notes in the open transaction that rows of these visitors went, by this load."""
    connection.execute(
        f"""
        insert into {ledger.SCHEMA}.changed_visitors
        select distinct cast(? as bigint), visitor_id from {rows}
        """,
        [load_id],
    )
