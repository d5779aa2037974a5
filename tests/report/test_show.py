"""`report show`: the marts' numbers, and nothing but them."""

import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

ROWS = [
    ("1", "buy: unique conversions", "9", "9", 1000, 200.0, 0.2, 0.0),
    ("1", "buy: unique conversions", "10", "9", 2000, 500.0, 0.25, 0.25),
    ("1", "buy: revenue", "9", "9", 1000, 0.0, 0.0, None),
    ("1", "buy: revenue", "10", "9", 2000, 1234567.0, 617.2835, None),
    ("2", "[red]x[/red]: value", "11", "11", 1, -3.5, -3.5, 0.0),
]


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    path = tmp_path / "warehouse.duckdb"
    with duckdb.connect(path) as connection:
        connection.execute(
            """
            create table experiment_results (
                experiment_id varchar, metric_name varchar, variation_id varchar,
                baseline_variation_id varchar, visitors bigint, numerator double, mean double,
                lift double, segment_name varchar
            )
            """
        )
        connection.executemany(
            "insert into experiment_results values (?, ?, ?, ?, ?, ?, ?, ?, 'all')", ROWS
        )
        connection.execute(
            "insert into experiment_results select * replace ('device' as segment_name)"
            " from experiment_results where experiment_id = '2'"
        )
    return path


def show(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "report", "show", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


def cells(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines() if line.strip()]


def test_numbers_are_the_marts(warehouse: Path) -> None:
    result = show("--warehouse", warehouse)
    assert result.returncode == 0
    assert cells(result.stdout) == [
        ["Experiment", "1"],
        ["metric", "variation", "visitors", "total", "mean", "lift"],
        ["buy:", "revenue", "9", "1,000", "0", "0.000", "baseline"],
        ["10", "2,000", "1,234,567", "617.284"],
        ["buy:", "unique", "conversions", "9", "1,000", "200", "20.00%", "baseline"],
        ["10", "2,000", "500", "25.00%", "+25.0%"],
        ["Experiment", "2"],
        ["metric", "variation", "visitors", "total", "mean", "lift"],
        ["[red]x[/red]:", "value", "11", "1", "-3.50", "-3.500", "baseline"],
    ]


def test_filters(warehouse: Path) -> None:
    one = show("--warehouse", warehouse, "--experiment", "2").stdout
    assert "Experiment 2" in one and "Experiment 1" not in one
    some = show("--warehouse", warehouse, "--metric", "UNIQUE", "--metric", "value").stdout
    assert "unique" in some and "value" in some and "revenue" not in some


def test_no_result_is_said(warehouse: Path) -> None:
    assert "no results" in show("--warehouse", warehouse, "--experiment", "3").stdout


@pytest.mark.parametrize("name", ["missing.duckdb", "empty.duckdb"])
def test_a_warehouse_without_marts_names_the_remedy(tmp_path: Path, name: str) -> None:
    duckdb.connect(tmp_path / "empty.duckdb").close()
    result = show("--warehouse", tmp_path / name)
    assert result.returncode == 2
    assert result.stderr.endswith("run `loader pull`, then `dbt build`\n")
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "missing.duckdb").exists()
