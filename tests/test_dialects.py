"""Compiled SQL in the words of engines that nothing is run on: translated, and parsed."""

from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp
from sqlglot.errors import ErrorLevel

from loader.demo import write_export
from tests.models.project import Project

PARSED = ("databricks", "trino", "athena", "snowflake")
MISSING_IN_BIGQUERY = {
    "int_daily_summary",
    "int_declared_observations",
    "int_event_observations",
    "int_events_sessionized",
    "int_sample_ratio_days",
    "int_variation_weights",
    "int_verdicts",
    "fct_attributed_conversions",
    "fct_funnel_steps",
    "funnel_report",
}
"""Models for which there are no words in BigQuery: docs/spark.md."""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, exp.Expr]:
    """Every model, parsed as DuckDB reads it."""
    project = Project(tmp_path_factory.mktemp("dialects"))
    write_export(project.folder / "export", days=2, visitors=20, events=100)
    project.pull(Path(project.folder / "export"))
    assert project.dbt("seed").success
    compiled = project.compiled("resource_type:model", {})
    return {name: sqlglot.parse_one(sql, read="duckdb") for name, sql in compiled.items()}


def translated(models: dict[str, exp.Expr], dialect: str) -> dict[str, str]:
    """Models that cannot be said in a dialect, or not read again, and why."""
    wrong = {}
    for name, model in models.items():
        try:
            text = model.sql(dialect, unsupported_level=ErrorLevel.RAISE)
            sqlglot.parse_one(text, read=dialect, error_level=ErrorLevel.RAISE)
        except (sqlglot.errors.SqlglotError, AttributeError) as error:  # it may fail to say why
            wrong[name] = str(error)
    return wrong


@pytest.mark.parametrize("dialect", PARSED)
def test_every_model_can_be_said(models: dict[str, exp.Expr], dialect: str) -> None:
    assert len(models) > 60
    assert translated(models, dialect) == {}


def test_what_bigquery_lacks_is_known(models: dict[str, exp.Expr]) -> None:
    assert translated(models, "bigquery").keys() == MISSING_IN_BIGQUERY
