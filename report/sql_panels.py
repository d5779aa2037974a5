"""Panels of analysts: a file `report/panels/<name>.sql` is a table on every experiment's page.

The first comment of the file is the panel's title, those that follow it say what it shows. The
query may use these parameters, which are those of the page: `$experiment_id`, `$metric_name`,
`$segment_name`, `$segment_value`, `$counted_by` and `$method`.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from loader.errors import ExitCode, LoaderError, shown
from report.marts import Experiment, Marts
from report.view import View

FOLDER = Path(__file__).parent / "panels"

MOST_ROWS = 200
"""Rows of a panel that are shown."""


@dataclass(frozen=True)
class Panel:
    """What a panel shows."""

    name: str
    title: str
    description: str
    columns: list[str]
    is_numeric: list[bool]
    rows: list[tuple[Any, ...]]
    is_cut: bool


def read_panels(
    marts: Marts, experiment: Experiment, view: View, folder: Path = FOLDER
) -> list[Panel]:
    """Runs the query of every file in the folder, in the order of their names.

    Raises:
        LoaderError: A query is wrong.
    """
    metric = view.metric or next(iter(experiment.metrics()), None)
    values = {
        "experiment_id": experiment.headline.experiment_id,
        "metric_name": metric,
        "segment_name": view.segment_name,
        "segment_value": view.segment_value,
        "counted_by": view.counted_by,
        "method": view.method or experiment.method,
    }
    return [_read(marts, path, values) for path in sorted(folder.glob("*.sql"))]


def _read(marts: Marts, path: Path, values: dict[str, str | None]) -> Panel:
    try:
        sql = path.read_text(encoding="utf-8")
        statements = duckdb.extract_statements(sql)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise _wrong(path, "it is not one select")
        unknown = statements[0].named_parameters - values.keys()
        if unknown:
            raise _wrong(path, f"there is no parameter ${min(unknown)}")
        used = {name: values[name] for name in statements[0].named_parameters}
        cursor = marts.connection.execute(statements[0], used)
        types = [str(column[1]) for column in cursor.description]
        columns = [column[0] for column in cursor.description]
        rows = cursor.fetchmany(MOST_ROWS + 1)
    except duckdb.Error as error:
        raise _wrong(path, str(error).splitlines()[0]) from error
    except UnicodeDecodeError as error:
        raise _wrong(path, "it is not UTF-8") from error
    title, description = _comment(sql)
    return Panel(
        name=path.stem,
        title=title or path.stem.replace("_", " ").capitalize(),
        description=description,
        columns=columns,
        is_numeric=[bool(re.search("INT|DOUBLE|DECIMAL|FLOAT|NUMBER", type_)) for type_ in types],
        rows=rows[:MOST_ROWS],
        is_cut=len(rows) > MOST_ROWS,
    )


def _comment(sql: str) -> tuple[str, str]:
    """The first comment line, and those that follow it."""
    lines = []
    for line in sql.splitlines():
        if not line.startswith("--"):
            break
        lines.append(line.removeprefix("--").strip())
    return (lines[0], " ".join(lines[1:]).strip()) if lines else ("", "")


def _wrong(path: Path, reason: str) -> LoaderError:
    return LoaderError(
        f"the panel {shown(str(path))} cannot be drawn ({shown(reason)}): "
        "mend the query, or take the file away",
        ExitCode.USAGE,
    )
