"""The specification, the landed tables and the YAML say the same about every column."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from loader import ledger, spec
from loader.landing.warehouse import create_tables

MODELS = Path(__file__).parents[1] / "models"
SEEDS = MODELS.parent / "seeds"
TABLES = pytest.mark.parametrize("table", spec.TABLES.values(), ids=lambda table: table.name)
NAME_TABLES = pytest.mark.parametrize("name", spec.NAME_TABLES)


@cache
def read_yaml(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


def models(below: Path = MODELS) -> list[Any]:
    """Every model below a folder, as test parameters named like the models."""
    found = [
        model
        for path in sorted(below.rglob("*.yml"))
        for model in read_yaml(path).get("models", [])
    ]
    return [pytest.param(model, id=model["name"]) for model in found]


def source_tables(schema: str) -> dict[str, dict[str, Any]]:
    """Tables of a source, as declared."""
    sources = read_yaml(MODELS / "staging" / "_sources.yml")["sources"]
    [source] = [entry for entry in sources if entry["name"] == schema]
    return {table["name"]: table for table in source["tables"]}


def source_columns(table: spec.Table) -> list[dict[str, Any]]:
    columns: list[dict[str, Any]] = source_tables(spec.RAW_SCHEMA)[table.name]["columns"]
    return columns


def specified_columns(table: spec.Table) -> list[tuple[str, str]]:
    specified = [(column.name, column.sql_type) for column in table.columns]
    return specified + list(spec.LINEAGE_COLUMNS.items())


@TABLES
def test_landed_tables_have_the_specifications_columns_and_types(table: spec.Table) -> None:
    with duckdb.connect() as connection:
        create_tables(connection)
        found = connection.execute(
            "select column_name, data_type from duckdb_columns() "
            "where schema_name = ? and table_name = ? order by column_index",
            table.qualified_name.split("."),
        ).fetchall()
        # DuckDB's own spelling of each type of the specification.
        specified = [
            (name, connection.execute(f"select typeof(cast(null as {sql_type}))").fetchall()[0][0])
            for name, sql_type in specified_columns(table)
        ]
    assert found == specified


@TABLES
def test_the_yaml_declares_the_specifications_columns(table: spec.Table) -> None:
    assert [column["name"] for column in source_columns(table)] == [
        name for name, _ in specified_columns(table)
    ]


@TABLES
def test_types_in_the_yaml_are_the_specifications(table: spec.Table) -> None:
    types = dict(specified_columns(table))
    for column in source_columns(table):
        assert column["data_type"] == types[column["name"]]


@TABLES
def test_every_source_column_is_described_and_tested(table: spec.Table) -> None:
    for column in source_columns(table):
        assert column.get("description", "").strip(), column["name"]
        assert column.get("data_tests"), column["name"]


@NAME_TABLES
def test_tables_of_names_are_as_the_yaml_says(name: str) -> None:
    with duckdb.connect() as connection:
        create_tables(connection)
        found = connection.execute(
            "select column_name, data_type from duckdb_columns() "
            "where schema_name = ? and table_name = ? order by column_index",
            [spec.RAW_SCHEMA, name],
        ).fetchall()
    columns = source_tables(spec.RAW_SCHEMA)[name]["columns"]
    assert found == list(spec.NAME_TABLES[name].items())
    assert found == [(column["name"], column["data_type"]) for column in columns]
    for column in columns:
        assert column["description"].strip() and column["data_tests"], column["name"]


@NAME_TABLES
def test_staging_models_take_every_column_of_names(name: str) -> None:
    sql = (MODELS / "staging" / f"stg_optimizely__{name}.sql").read_text(encoding="utf-8")
    assert set(spec.NAME_TABLES[name]) <= set(sql.replace(",", " ").split())


@pytest.mark.parametrize("path", sorted(SEEDS.glob("*.csv")), ids=lambda path: path.stem)
def test_every_column_of_a_seed_is_described_and_has_its_type(path: Path) -> None:
    [seed] = read_yaml(path.with_suffix(".yml"))["seeds"]
    header = path.read_text(encoding="utf-8").splitlines()[0].split(",")
    assert seed["name"] == path.stem
    assert seed["description"].startswith("One row per ")
    assert [column["name"] for column in seed["columns"]] == header
    assert list(seed["config"]["column_types"]) == header
    for column in seed["columns"]:
        assert column["description"].strip(), column["name"]


@pytest.mark.parametrize("schema", [spec.RAW_SCHEMA, ledger.SCHEMA])
def test_source_tables_begin_with_their_grain(schema: str) -> None:
    for name, table in source_tables(schema).items():
        assert table["description"].startswith("One row per "), name


def test_the_yaml_declares_the_ledgers_tables() -> None:
    with duckdb.connect() as connection:
        create_tables(connection)
        found = connection.execute(
            "select table_name from duckdb_tables() where schema_name = ?", [ledger.SCHEMA]
        ).fetchall()
    assert {name for (name,) in found} == set(source_tables(ledger.SCHEMA))


@TABLES
def test_staging_models_take_every_column(table: spec.Table) -> None:
    sql = (MODELS / "staging" / f"stg_optimizely__{table.name}.sql").read_text(encoding="utf-8")
    for name, _ in specified_columns(table):
        assert name in re.findall(r"\w+", sql), name


def test_every_model_has_its_yaml_beside_it() -> None:
    queries = {path.with_suffix("") for path in MODELS.rglob("*.sql")}
    described = {path.with_suffix("") for path in MODELS.rglob("*.yml")}
    assert len(queries) >= 18
    assert described - queries == {MODELS / "staging" / "_sources", MODELS / "exposures"}
    assert queries - described == set()
    for path in queries:
        [model] = read_yaml(path.with_suffix(".yml"))["models"]
        assert model["name"] == path.name


@pytest.mark.parametrize("model", models())
def test_every_model_begins_with_its_grain(model: dict[str, Any]) -> None:
    assert model["description"].startswith("One row per ")


@pytest.mark.parametrize("model", models(MODELS / "marts"))
def test_every_column_of_a_mart_is_described_and_typed(model: dict[str, Any]) -> None:
    assert model["columns"]
    for column in model["columns"]:
        assert column.get("description", "").strip(), column["name"]
        assert column.get("data_type"), column["name"]
