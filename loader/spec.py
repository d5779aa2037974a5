"""The specification's columns: the only definition of what an export file holds and what is landed.

Source: the vendor's Enriched Events Export specification, corrected by real files.
`loader.landing.footers` says which Parquet types a file may hold a column in; after landing it has
one DuckDB type, `sql_type`. Every column is nullable, in the file and landed.
"""

from dataclasses import dataclass

TEXT = "text"
LONG = "long"
DOUBLE = "double"
BOOLEAN = "boolean"
TIMESTAMP = "timestamp"
ATTRIBUTES = "attributes"
EXPERIMENTS = "experiments"
TEXT_MAP = "text_map"

SQL_TYPES = {
    TEXT: "VARCHAR",
    LONG: "BIGINT",
    DOUBLE: "DOUBLE",
    BOOLEAN: "BOOLEAN",
    TIMESTAMP: "TIMESTAMP",
    ATTRIBUTES: 'STRUCT(id VARCHAR, "name" VARCHAR, "type" VARCHAR, "value" VARCHAR)[]',
    EXPERIMENTS: (
        "STRUCT(campaign_id VARCHAR, experiment_id VARCHAR, "
        "variation_id VARCHAR, is_holdback BOOLEAN)[]"
    ),
    TEXT_MAP: "MAP(VARCHAR, VARCHAR)",
}
"""DuckDB type of each kind of column after landing."""

ELEMENT_FIELDS = {
    ATTRIBUTES: ("id", "name", "type", "value"),
    EXPERIMENTS: ("campaign_id", "experiment_id", "variation_id", "is_holdback"),
}
"""Fields of one element of the two list columns."""


@dataclass(frozen=True)
class Column:
    """One column of the specification."""

    name: str
    kind: str
    is_required: bool = False
    """A file without a required column is not landed: counts would be wrong without a word."""

    @property
    def sql_type(self) -> str:
        """DuckDB type after landing."""
        return SQL_TYPES[self.kind]


@dataclass(frozen=True)
class Table:
    """One type of the export (`type=<export_type>/`) and the staging table it is landed in."""

    export_type: str
    name: str
    columns: tuple[Column, ...]

    @property
    def qualified_name(self) -> str:
        """Schema and table name in the warehouse."""
        return f"{RAW_SCHEMA}.{self.name}"


RAW_SCHEMA = "optimizely_raw"

LINEAGE_COLUMNS = {
    "_export_date": "DATE",
    "_file_id": "BIGINT",
    "_file_row": "BIGINT",
    "_load_id": "BIGINT",
}
"""Columns the loader adds: day, hash of the file's key, row number in the file (from 0), load."""

NAME_TABLES = {
    "experiment_names": {
        "experiment_id": "VARCHAR",
        "project_id": "VARCHAR",
        "experiment_name": "VARCHAR",
        "experiment_key": "VARCHAR",
        "status": "VARCHAR",
        "fetched_at": "TIMESTAMP",
    },
    "variation_names": {
        "experiment_id": "VARCHAR",
        "variation_id": "VARCHAR",
        "variation_name": "VARCHAR",
        "weight": "DOUBLE",
        "is_archived": "BOOLEAN",
        "fetched_at": "TIMESTAMP",
    },
}
"""What `loader names` stores beside the export, which carries ids only: columns, their types."""

DECISIONS = Table(
    export_type="decisions",
    name="decisions",
    columns=(
        Column("uuid", TEXT, is_required=True),
        Column("timestamp", TIMESTAMP, is_required=True),
        Column("process_timestamp", TIMESTAMP, is_required=True),
        Column("visitor_id", TEXT, is_required=True),
        Column("session_id", TEXT),
        Column("account_id", TEXT),
        Column("campaign_id", TEXT),
        Column("experiment_id", TEXT, is_required=True),
        Column("variation_id", TEXT, is_required=True),
        Column("attributes", ATTRIBUTES),
        Column("user_ip", TEXT),
        Column("user_agent", TEXT),
        Column("referer", TEXT),
        Column("is_holdback", BOOLEAN, is_required=True),
        Column("revision", TEXT),
        Column("client_engine", TEXT),
        Column("client_version", TEXT),
    ),
)

CONVERSIONS = Table(
    export_type="events",
    name="conversions",
    columns=(
        Column("uuid", TEXT, is_required=True),
        Column("timestamp", TIMESTAMP, is_required=True),
        Column("process_timestamp", TIMESTAMP, is_required=True),
        Column("visitor_id", TEXT, is_required=True),
        Column("session_id", TEXT),
        Column("account_id", TEXT),
        Column("experiments", EXPERIMENTS),
        Column("entity_id", TEXT, is_required=True),
        Column("attributes", ATTRIBUTES),
        Column("user_ip", TEXT),
        Column("user_agent", TEXT),
        Column("referer", TEXT),
        Column("event_type", TEXT),
        Column("event_name", TEXT, is_required=True),
        Column("revenue", LONG, is_required=True),
        Column("value", DOUBLE, is_required=True),
        Column("quantity", LONG),
        Column("tags", TEXT_MAP),
        Column("revision", TEXT),
        Column("client_engine", TEXT),
        Column("client_version", TEXT),
        Column("properties", TEXT_MAP),
    ),
)

TABLES = {table.export_type: table for table in (DECISIONS, CONVERSIONS)}
"""The two types of the export, by the name in `type=<name>/`."""
