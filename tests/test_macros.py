"""The names of the project's macros."""

import re
from importlib import resources
from pathlib import Path

ROOT = Path(__file__).parents[1]


def macros_of(folder: Path) -> set[str]:
    """Names of the macros in a folder."""
    return {
        name
        for path in folder.rglob("*.sql")
        for name in re.findall(r"{%-? *macro (\w+)", path.read_text(encoding="utf-8"))
    }


def test_no_macro_stands_in_the_place_of_one_of_dbts() -> None:
    """In a clone dbt would take ours wherever it, or a model of the user's own, calls its own."""
    of_dbt = macros_of(Path(str(resources.files("dbt") / "include" / "global_project")))
    of_duckdb = macros_of(Path(str(resources.files("dbt.adapters.duckdb"))).parents[1] / "include")
    assert {"is_incremental", "duckdb__create_table_as"} <= of_dbt | of_duckdb
    assert macros_of(ROOT / "macros") & (of_dbt | of_duckdb) == set()
