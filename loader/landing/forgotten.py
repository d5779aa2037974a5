"""Forgotten visitors: salted hashes of their ids, and how a landing leaves their rows out.

The ledger must know a visitor again, so it keeps a hash; the salt is the warehouse's own, so that
the same visitor's hash differs between warehouses.
"""

import secrets
from datetime import datetime

import duckdb

from loader import ledger

SALT_BYTES = 32

_FOUND = "forgotten_here"


def salted_hash(expression: str) -> str:
    """SQL of the hash by which the ledger knows the id that `expression` gives; NULL for NULL."""
    salt = f"(select salt from {ledger.SCHEMA}.forgotten_salt)"
    return f"sha256({salt} || encode({expression}))"


def is_any(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether this warehouse has forgotten anybody; a warehouse may be older than forgetting."""
    return ledger.has_table(connection, "forgotten_visitors") and bool(
        connection.execute(f"select 1 from {ledger.SCHEMA}.forgotten_visitors limit 1").fetchall()
    )


def remember(
    connection: duckdb.DuckDBPyConnection, stored_ids: list[str], forgotten_at: datetime
) -> list[str]:
    """Records visitors as forgotten, in the open transaction, and as not yet erased.

    Args:
        connection: Connection with an open transaction.
        stored_ids: Ids as `visitor_id` holds them.
        forgotten_at: UTC, without time zone; a visitor forgotten before keeps their time.

    Returns:
        The salted hashes, sorted.
    """
    connection.execute(
        f"""
        insert into {ledger.SCHEMA}.forgotten_salt
        select $1 where not exists (select 1 from {ledger.SCHEMA}.forgotten_salt)
        """,
        [secrets.token_bytes(SALT_BYTES)],
    )
    hashes = sorted(
        visitor_hash
        for (visitor_hash,) in connection.execute(
            f"select {salted_hash('visitor_id')} from (select unnest($1::varchar[]) as visitor_id)",
            [stored_ids],
        ).fetchall()
    )
    known = f"{ledger.SCHEMA}.forgotten_visitors"
    connection.execute(
        f"update {known} set erased_at = null where visitor_hash in (select unnest($1::varchar[]))",
        [hashes],
    )
    connection.execute(
        f"""
        insert into {known} (visitor_hash, forgotten_at)
        select visitor_hash, cast($2 as timestamp)
        from (select unnest($1::varchar[]) as visitor_hash)
        where visitor_hash not in (select visitor_hash from {known})
        """,
        [hashes, forgotten_at],
    )
    return hashes


def find(
    connection: duckdb.DuckDBPyConnection, rows: str, parameters: dict[str, object]
) -> dict[int, int]:
    """Finds the forgotten visitors among rows that are to be landed, for `is_kept`.

    Args:
        connection: The warehouse.
        rows: SQL of the rows, with `visitor_id` as it will be stored and `_file_id`.
        parameters: Named parameters of `rows`.

    Returns:
        Count of forgotten visitors' rows by file id; no entry for a file that has none.
    """
    if not is_any(connection):
        return {}
    # A hash costs more than everything else in a landing: one a visitor, not one a row.
    connection.execute(
        f"""
        create or replace temp table {_FOUND} as
        select visitor_id from (select distinct visitor_id from {rows})
        where {salted_hash("visitor_id")} in (
            select visitor_hash from {ledger.SCHEMA}.forgotten_visitors
        )
        """,
        parameters,
    )
    if not connection.execute(f"select 1 from {_FOUND} limit 1").fetchall():
        return {}
    counts = connection.execute(
        f"""
        select _file_id, count(*) from {rows}
        where visitor_id in (select visitor_id from {_FOUND}) group by all
        """,
        parameters,
    ).fetchall()
    return dict(counts)


def is_kept() -> str:
    """SQL condition on `visitor_id`: not one of those that `find` found."""
    return f"coalesce(visitor_id not in (select visitor_id from {_FOUND}), true)"
