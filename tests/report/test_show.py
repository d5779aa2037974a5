"""`report show`: the marts' numbers, and nothing but them."""

import os
import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import duckdb
import pytest

from tests.report.command import Ended, run
from tests.report.marts import Row, create_marts

ROWS = [
    ("1", "buy: unique conversions", "9", "9", 1000, 200.0, 0.2, 0.0),
    ("1", "buy: unique conversions", "10", "9", 2000, 500.0, 0.25, 0.25),
    ("1", "buy: revenue", "9", "9", 1000, 0.0, 0.0, None),
    ("1", "buy: revenue", "10", "9", 2000, 1234567.0, 617.2835, None),
    ("2", "[red]x[/red]: value", "11", "11", 1, -3.5, -3.5, 0.0),
]

COLUMNS = (
    "experiment_id",
    "metric_name",
    "variation_id",
    "baseline_variation_id",
    "visitors",
    "numerator",
    "mean",
    "lift",
)

NAMED: dict[str, list[Row]] = {
    "dim_experiments": [
        {"experiment_id": "1", "first_seen_at": datetime(2026, 1, 1)},
        {"experiment_id": "2", "experiment_name": "", "first_seen_at": datetime(2026, 1, 1)},
    ],
    "dim_metrics": [
        {"metric_name": "buy: unique conversions", "metric_type": "conversion"},
        {"metric_name": "buy: revenue", "metric_type": "sum", "measure": "revenue"},
        {"metric_name": "[red]x[/red]: value", "metric_type": "sum"},
        {"metric_name": "of no experiment", "metric_type": "sum"},
    ],
    "dim_variations": [
        {"experiment_id": "1", "variation_id": "9"},
        {"experiment_id": "2", "variation_id": "10", "variation_name": "of another"},
        {"experiment_id": "2", "variation_id": "11", "variation_name": ""},
    ],
}


def result(*values: str | float | None, **more: str) -> Row:
    """A row of results, for everyone, of no declared metric."""
    row = dict(zip(COLUMNS, values, strict=True))
    return row | {"segment_name": "all", "role": "automatic", "decided_by": "always_valid"} | more


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    path = tmp_path / "warehouse.duckdb"
    results = [result(*row) for row in ROWS]
    of_segments = [row | {"segment_name": "device"} for row in results if row["mean"] == -3.5]
    create_marts(path, NAMED | {"experiment_results": results + of_segments})
    return path


def add(path: Path, *rows: Row) -> None:
    """Adds results."""
    with duckdb.connect(path) as connection:
        for row in rows:
            connection.execute(
                f"insert into experiment_results ({', '.join(row)})"
                f" values ({', '.join('?' * len(row))})",
                list(row.values()),
            )


def show(*arguments: str | Path, encoding: str = "utf-8", columns: str = "80") -> Ended:
    """Runs `report show`."""
    return run("show", *arguments, encoding=encoding, columns=columns)


def refused(*arguments: str | Path) -> str:
    """The one line of a command that cannot be done."""
    result = show(*arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    return result.stderr.strip()


def numbers(text: str) -> list[str]:
    return re.findall(r"[+-]?[0-9][0-9.,]*%?", text)


def cells(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines() if line.strip()]


def test_numbers_are_the_marts(warehouse: Path) -> None:
    result = show("--warehouse", warehouse)
    assert result.returncode == 0
    assert cells(result.stdout) == [
        ["Experiment", "1"],
        ["metric", "variation", "visitors", "total", "mean", "lift", "interval", "verdict"],
        ["buy:", "revenue", "9", "1,000", "0.00", "0.00", "baseline"],
        ["10", "2,000", "12,345.67", "6.17"],
        ["buy:", "unique", "conversions", "9", "1,000", "200", "20.00%", "baseline"],
        ["10", "2,000", "500", "25.00%", "+25.0%"],
        ["Experiment", "2"],
        ["metric", "variation", "visitors", "total", "mean", "lift", "interval", "verdict"],
        ["[red]x[/red]:", "value", "11", "1", "-3.50", "-3.500", "baseline"],
    ]


def test_declared_metrics_come_first_in_the_order_of_their_roles(warehouse: Path) -> None:
    with duckdb.connect(warehouse) as connection:
        connection.execute(
            """
            insert into dim_metrics (metric_name, metric_type) values
                ('guarded', 'funnel'), ('second', 'ratio'), ('zzz', 'retention')
            """
        )
    add(
        warehouse,
        result("2", "guarded", "11", "11", 4, 1, 0.25, 0, role="guardrail"),
        result("2", "second", "11", "11", 4, 0, None, None, role="secondary"),
        result("2", "zzz", "11", "11", 4, 2, 0.5, 0, role="primary"),
    )
    found = show("--warehouse", warehouse, "--experiment", "2")
    assert cells(found.stdout)[2:] == [
        ["zzz", "11", "4", "2", "50.00%", "baseline"],
        ["second", "11", "4", "0", "baseline"],
        ["guarded", "11", "4", "1", "25.00%", "baseline"],
        ["[red]x[/red]:", "value", "11", "1", "-3.50", "-3.500", "baseline"],
    ]


def test_the_interval_is_that_of_what_decided(warehouse: Path) -> None:
    with duckdb.connect(warehouse) as connection:
        connection.execute(
            """
            update experiment_results set
                lift_ci_lower = 0.1, lift_ci_upper = 0.2, lift_cs_lower = -0.05,
                lift_cs_upper = 1.5, verdict = 'not_enough_data',
                decided_by = case when metric_name like '%revenue'
                    then 'always_valid, holm' else 'fixed_horizon' end
            where variation_id = '10'
            """
        )
    lines = [line for line in show("--warehouse", warehouse).stdout.splitlines() if " 10 " in line]
    assert len(lines) == 2
    wanting = ["not", "enough", "data"]
    assert lines[0].split("6.17")[1].split() == ["-5.0%", "to", "+150.0%", *wanting]
    assert lines[1].split("+25.0%")[1].split() == ["+10.0%", "to", "+20.0%", *wanting]


def test_what_is_wrong_stands_above_the_numbers(warehouse: Path) -> None:
    with duckdb.connect(warehouse) as connection:
        connection.execute(
            """
            insert into experiment_health (experiment_id, check_name, status, message) values
                ('1', 'bots', 'warn', 'Some [red]are[/red]'), ('1', 'a', 'pass', 'All is well'),
                ('1', 'sample_ratio', 'fail', 'Too many' || chr(10)), ('3', 'b', 'fail', 'Gone');
            """
        )
    lines = cells(show("--warehouse", warehouse).stdout)
    assert lines[:4] == [
        ["Experiment", "1"],
        ["fail:", "Too", "many\\n"],
        ["warn:", "Some", "[red]are[/red]"],
        ["metric", "variation", "visitors", "total", "mean", "lift", "interval", "verdict"],
    ]
    assert "Gone" not in str(lines) and "well" not in str(lines)


def test_filters(warehouse: Path) -> None:
    one = show("--warehouse", warehouse, "--experiment", "2").stdout
    assert "Experiment 2" in one and "Experiment 1" not in one
    some = show("--warehouse", warehouse, "--metric", "UNIQUE", "--metric", "value").stdout
    assert "unique" in some and "value" in some and "revenue" not in some


NO_METRIC = "no metric has such a name; without --metric all are shown"


@pytest.mark.parametrize(
    ("filters", "reason"),
    [
        (("--experiment", "[b]3"), "[b]3 is no experiment; without --experiment all are shown"),
        (("--metric", "nothing like it"), NO_METRIC),
        (("--experiment", "2", "--metric", "revenue"), NO_METRIC),
    ],
)
def test_filters_without_a_result_say_why(
    warehouse: Path, filters: tuple[str, ...], reason: str
) -> None:
    result = show("--warehouse", warehouse, *filters)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"no results: {reason}\n"


def test_marts_without_a_row_say_so(warehouse: Path) -> None:
    with duckdb.connect(warehouse) as connection:
        connection.execute("delete from experiment_results")
    said = "no results: no event was attributed to a counted visitor\n"
    assert show("--warehouse", warehouse).stdout == said
    assert show("--warehouse", warehouse, "--experiment", "1").stdout == said


def test_names_are_shown_as_they_are(warehouse: Path) -> None:
    # A terminal or rich would take them for something else.
    names = (":smile: [red]x[/red]", "\x1b[31mred\x07", "two\nlines\r", "é 🛒 \u202e")
    with duckdb.connect(warehouse) as connection:
        connection.execute("delete from experiment_results")
        connection.execute("delete from dim_experiments")
        for name in names:
            connection.execute(
                "insert into dim_experiments (experiment_id, first_seen_at)"
                " values (?, '2026-01-01')",
                [f"e {name}"],
            )
    add(
        warehouse,
        *(result(f"e {name}", f"m {name}", f"v {name}", "b", 1, 2, 3, None) for name in names),
    )
    for encoding in ("utf-8", "ascii"):
        shown = show("--warehouse", warehouse, encoding=encoding, columns="20")
        assert (shown.returncode, shown.stderr) == (0, "")
        assert all(line.isprintable() for line in shown.stdout.split("\n"))
        assert shown.stdout.count("\n") == len(names) * 4
        for name in (":smile: [red]x[/red]", "\\x1b[31mred\\x07", "two\\nlines\\r"):
            assert re.search(rf"^Experiment e {re.escape(name)} *$", shown.stdout, re.MULTILINE)
            assert f"m {name} v {name} " in " ".join(shown.stdout.split())
        assert ("🛒" if encoding == "utf-8" else "\\U0001f6d2") in shown.stdout
        assert "\\u202e" in shown.stdout


def test_names_stand_beside_their_ids(warehouse: Path) -> None:
    name(warehouse, "Checkout", "Blue button")
    lines = [" ".join(line) for line in cells(show("--warehouse", warehouse).stdout)]
    assert lines[:6] == [
        "Experiment 1 Checkout",
        "metric variation visitors total mean lift interval verdict",
        "buy: revenue 9 1,000 0.00 0.00 baseline",
        "10 Blue button 2,000 12,345.67 6.17",
        "buy: unique conversions 9 1,000 200 20.00% baseline",
        "10 Blue button 2,000 500 25.00% +25.0%",
    ]
    assert lines[6] == "Experiment 2"


@pytest.mark.parametrize(
    ("given", "beside"),
    [
        ("[red]x[/red] :smile:", "[red]x[/red] :smile:"),
        ("two\nlines \x1b[31m\u202e", "two\\nlines \\x1b[31m\\u202e"),
        ("n" * 40, "n" * 40),
        ("n" * 41, "n" * 39 + "…"),
        ("\x00" * 11, "\\x00" * 9 + "\\x0…"),
        ("שלום", "שלום"),
    ],
)
def test_a_name_is_one_short_line(warehouse: Path, given: str, beside: str) -> None:
    name(warehouse, given, given)
    stdout = show("--warehouse", warehouse, columns="20").stdout
    assert stdout.splitlines()[0].rstrip() == f"Experiment 1 {beside}"
    assert sum(f" 10 {beside} " in line for line in stdout.splitlines()) == 2
    assert all(line.isprintable() for line in stdout.split("\n"))


def name(warehouse: Path, experiment: str, variation: str) -> None:
    """Names the first experiment and its second variation."""
    with duckdb.connect(warehouse) as connection:
        connection.execute(
            "update dim_experiments set experiment_name = ? where experiment_id = '1'", [experiment]
        )
        connection.execute(
            "insert into dim_variations (experiment_id, variation_id, variation_name)"
            " values ('1', '10', ?)",
            [variation],
        )


@pytest.mark.parametrize("columns", ["1", "20", "40"])
def test_no_number_is_cut(warehouse: Path, columns: str) -> None:
    wide = show("--warehouse", warehouse, columns="200").stdout
    narrow = show("--warehouse", warehouse, columns=columns).stdout
    assert numbers(narrow) == numbers(wide)
    assert "12,345.67" in numbers(narrow)
    assert "…" not in narrow


@pytest.mark.parametrize("schema", ['a"b', "", "none", "a.b", "main; drop table x", "\x1b"])
def test_a_schema_that_is_not_there(warehouse: Path, schema: str) -> None:
    line = refused("--warehouse", warehouse, "--schema", schema)
    assert "holds no results in the schema" in line
    assert line.endswith("give --schema main")
    with duckdb.connect(warehouse) as connection:
        connection.execute("drop table experiment_results")
    line = refused("--warehouse", warehouse, "--schema", schema)
    assert line.endswith("holds no results: run `loader pull`, then `dbt build`")


@pytest.mark.parametrize("option", ["--schema", "--experiment"])
def test_text_that_is_not_utf8(warehouse: Path, option: str) -> None:
    line = refused("--warehouse", warehouse, option, "\udcff")
    assert line.endswith("is not UTF-8 text: write it as UTF-8")


def test_a_schema_of_any_name(warehouse: Path) -> None:
    with duckdb.connect(warehouse) as connection:
        connection.execute('create schema "a""b"')
        for (table,) in connection.execute("select table_name from duckdb_tables()").fetchall():
            connection.execute(f'create table "a""b".{table} as from {table}')
    assert "Experiment 2" in show("--warehouse", warehouse, "--schema", 'a"b').stdout


@pytest.mark.parametrize(
    "change",
    [
        "alter table experiment_results drop column lift",
        "alter table experiment_results rename column segment_name to segment",
        "alter table dim_experiments drop column experiment_name",
        "drop table dim_variations",
        "drop table dim_metrics",
        "drop table experiment_health",
        "drop table experiment_results; create view experiment_results as select 1 as one",
    ],
)
def test_marts_of_an_older_shape(warehouse: Path, change: str) -> None:
    with duckdb.connect(warehouse) as connection:
        connection.execute(change)
    line = refused("--warehouse", warehouse)
    assert line.endswith("holds no results: run `loader pull`, then `dbt build`")


@pytest.mark.parametrize("path", [":memory:", "s3://b/x.duckdb", "n" * 300])
def test_a_warehouse_that_no_file_can_be(path: str) -> None:
    assert refused("--warehouse", path).isprintable()


def test_a_reader_that_is_gone(warehouse: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        result = subprocess.run(
            [sys.executable, "-m", "report", "show", "--warehouse", str(warehouse)],
            stdout=writer,
            stderr=subprocess.PIPE,
            check=False,
        )
    finally:
        os.close(writer)
    assert (result.returncode, result.stderr) == (141, b"")


@pytest.mark.parametrize("name", ["missing.duckdb", "empty.duckdb"])
def test_a_warehouse_without_marts_names_the_remedy(tmp_path: Path, name: str) -> None:
    duckdb.connect(tmp_path / "empty.duckdb").close()
    result = show("--warehouse", tmp_path / name)
    assert result.returncode == 2
    assert result.stderr.endswith("run `loader pull`, then `dbt build`\n")
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "missing.duckdb").exists()
