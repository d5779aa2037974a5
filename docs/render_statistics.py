"""Writes the table of docs/statistics.md that has this project's numbers beside its peers'."""

import math
import tempfile
from collections.abc import Iterator
from pathlib import Path

from scipy import stats

from benchmarks.tables import write_between_markers
from tests.models.inference import Arm, Chain, Comparison, Row, peer, welch_degrees

PAGE = Path(__file__).with_name("statistics.md")

CASES = {
    "rate, 20.3 % → 32.7 %": Comparison("conversion", (Arm(1074, 218, 218), Arm(1010, 330, 330))),
    "rate of a million visitors": Comparison(
        "conversion", (Arm(1_000_000, 50_000, 50_000), Arm(1_000_000, 50_700, 50_700))
    ),
    "mean, skewed": Comparison(
        "sum", (Arm(4000, 1_200_000, 9_600_000_000), Arm(4100, 1_300_000, 10_900_000_000))
    ),
    "mean, 5 and 7 visitors": Comparison("sum", (Arm(5, 11, 31), Arm(7, 29, 131))),
    "mean, far apart": Comparison("sum", (Arm(900, 1800, 7200), Arm(950, 2660, 11_400))),
    "ratio": Comparison(
        "ratio",
        (
            Arm(2000, 9000, 180_000, 3000, 9000, 36_000),
            Arm(2100, 10_200, 205_000, 3200, 9700, 40_500),
        ),
    ),
    "mean, adjusted (CUPED)": Comparison(
        "sum",
        (
            Arm(3000, 9000, 60_000, None, None, None, 6000, 30_000, 36_000),
            Arm(3100, 9700, 66_000, None, None, None, 6150, 31_000, 38_200),
        ),
    ),
}
"""Baseline and arm: visitors, sum, sum of squares; then, of a ratio, of its denominator, or of the
covariate: sum, sum of squares, sum of products."""


def render() -> str:
    """The table."""
    with tempfile.TemporaryDirectory() as folder:
        found = Chain(Path(folder)).results(list(CASES.values()))
    lines = [
        "| case | | here | scipy, statsmodels | tea-tasting |",
        "|---|---|---:|---:|---:|",
    ]
    for (name, comparison), (_, row) in zip(CASES.items(), found, strict=True):
        for number, cells in enumerate(_lines(comparison, row)):
            lines.append("| " + " | ".join(["" if number else name, *cells]) + " |")
    return "\n".join(lines)


def _lines(comparison: Comparison, row: Row) -> Iterator[list[str]]:
    scipy = _scipy(comparison)
    tea = _tea_tasting(comparison)
    for title, name in (("p-value", "p_value"), ("difference", "difference"), ("lift", "lift")):
        yield [
            title,
            *("" if theirs is None else _cell(name, theirs) for theirs in (row, scipy, tea)),
        ]


def _cell(name: str, found: Row) -> str:
    if name == "p_value":
        return f"{found[name]:.9g}"
    if f"{name}_ci_lower" not in found:
        return ""
    return f"{found[f'{name}_ci_lower']:.9g} … {found[f'{name}_ci_upper']:.9g}"


def _scipy(comparison: Comparison) -> Row | None:
    """Of what it has: proportions (statsmodels), and means by Welch (scipy)."""
    baseline, arm = comparison.arms
    if comparison.metric_type == "conversion":
        return peer(comparison)
    if arm.denominator_sum is not None or arm.covariate_sum is not None:
        return None
    test = stats.ttest_ind_from_stats(
        arm.mean,
        math.sqrt(arm.variance),
        arm.visitors,
        baseline.mean,
        math.sqrt(baseline.variance),
        baseline.visitors,
        equal_var=False,
    )
    variances = [side.variance / side.visitors for side in (arm, baseline)]
    width = stats.t.ppf(0.975, welch_degrees(arm, baseline)) * math.sqrt(sum(variances))
    difference = arm.mean - baseline.mean
    return {
        "p_value": float(test.pvalue),
        "difference_ci_lower": difference - width,
        "difference_ci_upper": difference + width,
    }


def _tea_tasting(comparison: Comparison) -> Row | None:
    return None if comparison.metric_type == "conversion" else dict(peer(comparison))


if __name__ == "__main__":
    write_between_markers(PAGE, "peers", render())
