"""The queries in `analyses/`, asked of a built warehouse."""

from typing import Any

from loader.landing.warehouse import open_warehouse
from tests.models.project import ROOT, Project

Row = dict[str, Any]

FOLDER = ROOT / "analyses"
QUERIES = {path.stem: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.sql"))}


class Built:
    """A built project, whose analyses dbt compiles once for all that is asked under some vars."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._compiled: dict[str, dict[str, str]] = {}

    def answer(self, query: str, **asked: Any) -> list[Row]:
        """Rows of one query under some vars."""
        if str(asked) not in self._compiled:
            self._compiled[str(asked)] = self._project.compiled("path:analyses", asked)
        with open_warehouse(self._project.warehouse, read_only=True) as connection:
            result = connection.execute(self._compiled[str(asked)][query])
            columns = [column[0] for column in result.description]
            return [dict(zip(columns, row, strict=True)) for row in result.fetchall()]

    def answers(self) -> dict[str, list[Row]]:
        """Rows of every query as it stands."""
        return {query: self.answer(query) for query in QUERIES}


def blank_columns(answers: dict[str, list[Row]]) -> set[str]:
    """The columns of some answer that hold nothing in any of its rows."""
    return {
        column
        for rows in answers.values()
        for column in (rows[0] if rows else ())
        if all(row[column] is None for row in rows)
    }
