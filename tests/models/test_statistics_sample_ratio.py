"""The statistics of the sample ratio tests: plain arithmetic in SQL, against scipy and `math`."""

import math
from collections.abc import Sequence
from typing import Any

import duckdb
import numpy as np
import pytest
from scipy.special import erfc
from scipy.stats import chi2

from tests.models.project import Project, compiled_code, failures


@pytest.fixture(scope="module")
def macros(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """SQL of each macro, of the columns `x` and `degrees`."""
    calls = {
        "log_gamma": "optimizely_e3.log_gamma('x')",
        "stirling_remainder": "optimizely_e3.stirling_remainder('x')",
        "root_error_tail": "optimizely_e3.root_error_tail('x')",
        "chi_square_tail": "optimizely_e3.chi_square_tail('x', 'degrees')",
        "number_text": "optimizely_e3.number_text('x', 1)",
        "percent_text": "optimizely_e3.percent_text('x')",
        "p_value_text": "optimizely_e3.p_value_text('x')",
    }
    separator = "\n;\n"
    inline = separator.join(f"{{{{ {call} }}}}" for call in calls.values())
    project = Project(tmp_path_factory.mktemp("statistics"))
    result = project.dbt("compile", "--inline", inline)
    assert result.success, failures(result)
    (code,) = compiled_code(result).values()
    return dict(zip(calls, code.split(separator), strict=True))


def evaluate(macro: str, rows: Sequence[tuple[float | None, int]]) -> list[Any]:
    """What DuckDB makes of the macro's SQL for each x and degrees."""
    with duckdb.connect() as connection:
        found = connection.execute(
            f"""
            select {macro}
            from (select unnest($places) as place, unnest($x) as x, unnest($degrees) as degrees)
            order by place
            """,
            {
                "places": list(range(len(rows))),
                "x": [None if x is None else float(x) for x, _ in rows],
                "degrees": [degrees for _, degrees in rows],
            },
        )
        return [value for (value,) in found.fetchall()]


def test_log_gamma(macros: dict[str, str]) -> None:
    """Relative to its size; near its zeros at 1 and 2, to 1."""
    grid = [*np.geomspace(1e-3, 1e9, 2_000), *np.arange(0.5, 30, 0.5), 8 - 1e-9, 8 + 1e-9]
    found = evaluate(macros["log_gamma"], [(x, 0) for x in grid])
    for x, value in zip(grid, found, strict=True):
        wanted = math.lgamma(x)
        assert abs(value - wanted) <= 1e-13 * max(1, abs(wanted)), x


def test_stirling_remainder(macros: dict[str, str]) -> None:
    """It stays exact where log-gammas are huge: that is what it is for."""
    grid = np.geomspace(1e-3, 1e9, 500)
    found = evaluate(macros["stirling_remainder"], [(x, 0) for x in grid])
    for x, value in zip(grid, found, strict=True):
        if x < 100:
            wanted = math.lgamma(x) - ((x - 0.5) * math.log(x) - x + 0.5 * math.log(2 * math.pi))
            assert value == pytest.approx(wanted, rel=0, abs=2e-13), x
        else:
            assert value == pytest.approx(1 / (12 * x) - 1 / (360 * x**3), rel=1e-10, abs=0), x


def test_root_error_tail(macros: dict[str, str]) -> None:
    grid = [*np.geomspace(1e-12, 600, 2_000), *np.linspace(38.9, 39.1, 21)]
    found = evaluate(macros["root_error_tail"], [(x, 0) for x in grid])
    assert found == pytest.approx(erfc(np.sqrt(grid)), rel=1e-12, abs=0)


def test_chi_square_tail(macros: dict[str, str]) -> None:
    """Down to a probability of 1e-12, and far below."""
    grid = [
        (float(x), degrees)
        for degrees in range(1, 101)
        for x in [
            *np.geomspace(1e-9, 500, 40),
            *chi2.isf([0.999, 0.5, 0.05, 0.01, 1e-3, 1e-6, 1e-9, 1e-12, 1e-100], degrees),
        ]
    ]
    found = evaluate(macros["chi_square_tail"], grid)
    wanted = [float(chi2.sf(x, degrees)) for x, degrees in grid]
    assert found == pytest.approx(wanted, rel=1e-11, abs=0)


def test_chi_square_tail_at_the_ends(macros: dict[str, str]) -> None:
    grid = [(0.0, 1), (0.0, 2), (1e6, 1), (1e6, 100), (None, 3)]
    assert evaluate(macros["chi_square_tail"], grid) == [1, 1, 0, 0, None]


@pytest.mark.parametrize(
    ("macro", "number", "text"),
    [
        ("number_text", 0.0, "0.0"),
        ("number_text", 0.25, "0.3"),
        ("number_text", 0.05, "0.1"),
        ("number_text", 2.04999, "2.0"),
        ("number_text", 123456789.96, "123456790.0"),
        ("percent_text", 0.5, "50.0 %"),
        ("percent_text", 0.52345, "52.3 %"),
        ("percent_text", 0.9996, "100.0 %"),
        ("percent_text", 1.0, "100.0 %"),
        ("p_value_text", 1.0, "p = 1.00"),
        ("p_value_text", 0.049, "p = 0.05"),
        ("p_value_text", 0.01, "p = 0.01"),
        ("p_value_text", 0.00999, "p = 0.0100"),
        ("p_value_text", 0.001, "p = 0.0010"),
        ("p_value_text", 0.0002, "p = 0.00020"),
        ("p_value_text", 0.00001, "p = 0.00001"),
        ("p_value_text", 9.9e-6, "p < 0.00001"),
        ("p_value_text", 0.0, "p < 0.00001"),
    ],
)
def test_numbers_as_a_person_reads_them(
    macro: str, number: float, text: str, macros: dict[str, str]
) -> None:
    assert evaluate(macros[macro], [(number, 0)]) == [text]
