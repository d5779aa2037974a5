"""What of a visitor is dropped or hashed before anything is stored, and how that is remembered.

The settings of a warehouse are recorded with its first landed day and hold for every later one.
"""

import hashlib
import hmac
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from loader import ledger, spec
from loader.errors import ExitCode, LoaderError, shown
from loader.landing.warehouse import open_warehouse

HASH_KEY = "OPTIMIZELY_E3_HASH_KEY"
"""Environment variable with the key of the hashes; a secret is never a flag."""

KEY_CHARACTERS = 16
"""The shortest key: a shorter one can be guessed, and with it every visitor."""

DROP = "drop"
HASH = "hash"

_BLOCK_BYTES = 64
_CHECKED_TEXT = "optimizely-e3 key check"
_PADS = {"inner_pad": 0x36, "outer_pad": 0x5C}

_COLUMNS = {column.name: column for table in spec.TABLES.values() for column in table.columns}
DROPPABLE = tuple(name for name, column in _COLUMNS.items() if not column.is_required)
HASHABLE = tuple(
    name
    for name, column in _COLUMNS.items()
    if column.kind == spec.TEXT and (name == "visitor_id" or not column.is_required)
)


@dataclass(frozen=True)
class Privacy:
    """Treatments of columns, in both types where they have the column; none by default."""

    treatments: Mapping[str, str] = field(default_factory=dict)
    """Column name to DROP or HASH."""
    key: bytes | None = field(default=None, repr=False)
    """Key of the hashes; None where nothing is hashed."""

    @property
    def key_check(self) -> str | None:
        """Tells whether another key is the same one, without telling the key."""
        return None if self.key is None else hashed(_CHECKED_TEXT, self.key)

    def select_list(self, table: spec.Table) -> str:
        """SQL of the table's columns, treated, to be selected from the untreated ones.

        A hash is the lower-case hex of HMAC-SHA256. NULL and '', which both mean that there is
        none, stay as they are. `parameters` go with it.
        """
        return ", ".join(self._expression(column) for column in table.columns)

    def parameters(self, table: spec.Table) -> dict[str, bytes]:
        """Values of the named parameters in `select_list`: the key, only as HMAC's two pads."""
        if self.key is None or not any(self._is_hashed(column) for column in table.columns):
            return {}
        key = self.key if len(self.key) <= _BLOCK_BYTES else hashlib.sha256(self.key).digest()
        padded = key.ljust(_BLOCK_BYTES, b"\0")
        return {name: bytes(byte ^ pad for byte in padded) for name, pad in _PADS.items()}

    def stored_visitor(self, visitor_id: str) -> str:
        """A visitor's id as the warehouse holds it."""
        if self.treatments.get("visitor_id") != HASH:
            return visitor_id
        assert self.key is not None
        return hashed(visitor_id, self.key)

    def _is_hashed(self, column: spec.Column) -> bool:
        return self.treatments.get(column.name) == HASH

    def _expression(self, column: spec.Column) -> str:
        name = f'"{column.name}"'
        if self._is_hashed(column):
            inner = f"unhex(sha256($inner_pad || encode({name})))"
            return f"if({name} = '', '', sha256($outer_pad || {inner})) as {name}"
        if self.treatments.get(column.name) == DROP:
            return f"cast(null as {column.sql_type}) as {name}"
        return name


NOTHING = Privacy()


def hashed(text: str, key: bytes) -> str:
    """HMAC-SHA256 in hex: what `select_list` computes."""
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def asked_for(dropped: list[str], hashed_columns: list[str]) -> Mapping[str, str]:
    """The treatments that --drop-column and --hash-column name.

    Raises:
        LoaderError: A column that is not there, cannot be treated so, or is named by both; or
            there is no key to hash with.
    """
    for option, names, allowed in (
        ("--drop-column", dropped, DROPPABLE),
        ("--hash-column", hashed_columns, HASHABLE),
    ):
        for name in names:
            if name not in allowed:
                reason = "is needed as it is" if name in _COLUMNS else "is no column of the export"
                if name in DROPPABLE:
                    reason = "is no text"
                raise _usage(
                    f"{option} '{shown(name)}': it {reason}; give one of {', '.join(allowed)}"
                )
    if both := sorted({*dropped} & {*hashed_columns}):
        raise _usage(f"{', '.join(both)}: give either --drop-column or --hash-column")
    return _with_key(dict.fromkeys(dropped, DROP) | dict.fromkeys(hashed_columns, HASH)).treatments


def settle(warehouse: Path, asked: Mapping[str, str]) -> Privacy:
    """The settings that a pull must apply: the recorded ones, or for a new warehouse those asked.

    Args:
        warehouse: The DuckDB file; it need not exist.
        asked: From `asked_for`; empty means whatever is recorded.

    Raises:
        LoaderError: What is asked for is not what is recorded, or the key is absent, too short or
            not the recorded one.
    """
    if not warehouse.exists():
        return _with_key(asked)
    with open_warehouse(warehouse, read_only=True) as connection:
        return settled(connection, asked)


def settled(connection: duckdb.DuckDBPyConnection, asked: Mapping[str, str]) -> Privacy:
    """As `settle`, with an open warehouse."""
    recorded, key_check = _recorded(connection)
    if not recorded:
        if asked and _has_loads(connection):
            raise _usage(
                "this warehouse holds columns that are now to be dropped or hashed: "
                "land into a new one with --warehouse"
            )
        return _with_key(asked)
    if asked and asked != recorded:
        raise _usage(
            f"this warehouse was landed with {_as_flags(recorded)}: give the same or none of these "
            "flags, or land into a new warehouse with --warehouse"
        )
    privacy = _with_key(recorded)
    if privacy.key_check != key_check:
        raise _usage(f"{HASH_KEY} is not the key that this warehouse was landed with: set that one")
    return privacy


def record(connection: duckdb.DuckDBPyConnection, privacy: Privacy) -> None:
    """Writes the settings into the open transaction of the first landed or quarantined day.

    Raises:
        LoaderError: The warehouse holds other ones: rows treated so must not be added.
    """
    recorded, key_check = _recorded(connection)
    if recorded == privacy.treatments and key_check == privacy.key_check:
        return
    if recorded or _has_loads(connection):
        raise _usage(
            "the warehouse was landed with other columns dropped or hashed: run the pull again"
        )
    connection.executemany(
        f"insert into {ledger.SCHEMA}.privacy values (?, ?, ?)",
        [[name, treatment, privacy.key_check] for name, treatment in privacy.treatments.items()],
    )


def _with_key(treatments: Mapping[str, str]) -> Privacy:
    """The treatments with the key they need, from the environment."""
    if HASH not in treatments.values():
        return Privacy(dict(treatments))
    key = os.environ.get(HASH_KEY, "")
    if len(key) < KEY_CHARACTERS:
        names = ", ".join(name for name, treatment in treatments.items() if treatment == HASH)
        problem = f"is shorter than {KEY_CHARACTERS} characters" if key else "is not set"
        raise _usage(
            f"{names} must be hashed, but {HASH_KEY} {problem}: set it to a long random secret, "
            "the same for every command on this warehouse"
        )
    return Privacy(dict(treatments), os.fsencode(key))


def _recorded(connection: duckdb.DuckDBPyConnection) -> tuple[dict[str, str], str | None]:
    """Treatments and key check of a warehouse; none where it has none, or is older than these."""
    if not ledger.has_table(connection, "privacy"):
        return {}, None
    rows = connection.execute(
        f"select column_name, treatment, key_check from {ledger.SCHEMA}.privacy"
    ).fetchall()
    checks = [check for *_, check in rows if check is not None]
    return {name: treatment for name, treatment, _ in rows}, checks[0] if checks else None


def _has_loads(connection: duckdb.DuckDBPyConnection) -> bool:
    return ledger.exists(connection) and bool(
        connection.execute(f"select 1 from {ledger.SCHEMA}.loads limit 1").fetchall()
    )


def _as_flags(treatments: Mapping[str, str]) -> str:
    return " ".join(f"--{treatment}-column {name}" for name, treatment in treatments.items())


def _usage(message: str) -> LoaderError:
    return LoaderError(message, ExitCode.USAGE)
