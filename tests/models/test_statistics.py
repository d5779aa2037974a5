"""Statistics in SQL against scipy, statsmodels, tea-tasting and the definitions themselves."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pytest
import tea_tasting
from scipy import integrate, optimize, stats
from statsmodels.stats.multitest import multipletests

from docs.render_statistics import render
from tests.models.inference import Arm, Chain, Comparison, Row, peer, welch_degrees
from tests.models.project import ROOT, Project, compiled_code, failures

MIXING_SCALE = 0.05
DISTANT = 1e-12
"""P-values below are not compared: what they say is zero."""


def arm_of(values: Sequence[float], denominators: Sequence[float] | None = None) -> Arm:
    """Sufficient statistics of observations."""
    sums = len(values), math.fsum(values), math.fsum(value * value for value in values)
    if denominators is None:
        return Arm(*sums)
    return Arm(
        *sums,
        math.fsum(denominators),
        math.fsum(value * value for value in denominators),
        math.fsum(x * y for x, y in zip(values, denominators, strict=True)),
    )


def random_arm(random: Random, metric_type: str) -> Arm:
    """Sufficient statistics that some observations have, of few visitors or of millions."""
    n = int(10 ** random.uniform(2, 6.5))
    if metric_type == "conversion":
        converted = random.randint(10, n - 10)
        return Arm(n, converted, converted)
    mean = random.choice([1, 1, 10, 1e5]) * random.uniform(0.5, 1.5)
    deviation = mean * 10 ** random.uniform(-1.5, 0.7)
    squares = n * mean**2 + (n - 1) * deviation**2
    if metric_type == "sum":
        return Arm(n, n * mean, squares)
    other = random.uniform(1, 5)
    other_deviation = other * random.uniform(0.05, 2)
    correlation = random.uniform(-0.9, 0.95)
    return Arm(
        n,
        n * mean,
        squares,
        n * other,
        n * other**2 + (n - 1) * other_deviation**2,
        n * mean * other + (n - 1) * correlation * deviation * other_deviation,
    )


def near(random: Random, arm: Arm) -> Arm:
    """The arm with its mean moved by up to seven standard errors, its variance kept."""
    n = arm.visitors
    shift = random.uniform(-7, 7) * math.sqrt(arm.variance / n)
    moved = arm.value_sum / n + shift
    if arm.denominator_sum is None and arm.value_sum == arm.value_sum_squares:
        converted = min(max(round(moved * n), 10), n - 10)
        return Arm(n, converted, converted)
    squares = arm.value_sum_squares + n * (moved**2 - (arm.value_sum / n) ** 2)
    products = arm.cross_product_sum
    if products is not None:
        assert arm.denominator_sum is not None
        products += shift * arm.denominator_sum
    return replace(arm, value_sum=moved * n, value_sum_squares=squares, cross_product_sum=products)


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    yield Chain(tmp_path_factory.mktemp("statistics"))


@pytest.fixture(scope="module")
def inline(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Renders a piece of SQL that calls the project's macros."""
    project = Project(tmp_path_factory.mktemp("macros"))

    def render(sql: str) -> str:
        result = project.dbt("compile", "--inline", sql)
        assert result.success, failures(result)
        return next(iter(compiled_code(result).values()))

    return render


DEGREES = [1, 1.2, 2, 2.7, 4, 7.5, 12, 30, 99, 300, 2001, 1e5, 1e7, 1e9, 1e18]


def test_tails_and_quantiles_of_student(inline: Any) -> None:
    tails = [0.5, 0.499, 0.45, 0.3, 0.1, 0.025, 1e-3, 1e-5, 1e-8, 1e-12]
    grid = [(float(stats.t.isf(tail, degrees)), degrees) for degrees in DEGREES for tail in tails]
    tail_sql = inline("{{ optimizely_e3.student_tail('t', 'degrees') }}")
    with duckdb.connect() as connection:
        connection.execute("create table grid (t double, degrees double)")
        connection.executemany("insert into grid values (?, ?)", grid)
        found = connection.execute(f"select t, degrees, {tail_sql} from grid").fetchall()
    assert len(found) == len(grid)
    for t, degrees, tail in found:
        expected = float(stats.t.sf(t, degrees))
        assert tail == pytest.approx(expected, rel=1e-6 if expected > 0.4 else 1e-10), (t, degrees)


@pytest.mark.parametrize("level", [0.55, 0.9, 0.9999])
def test_quantiles(chain: Chain, level: float) -> None:
    """Of few degrees and many: an interval's width says them."""
    comparisons = [
        Comparison("sum", (arm_of([0.0, 1.0]), Arm(n, n * 0.5, n * 0.5 + 1e-3 * n)))
        for n in (2, 3, 5, 11, 40, 301, 302, 10**5, 10**8)
    ]
    for comparison, rows in zip(
        comparisons, chain.results(comparisons, confidence_level=level), strict=True
    ):
        baseline, arm = comparison.arms
        error = math.hypot(*(math.sqrt(a.variance / a.visitors) for a in (arm, baseline)))
        width = rows[1]["difference_ci_upper"] - rows[1]["difference"]
        expected = stats.t.ppf((1 + level) / 2, welch_degrees(arm, baseline)) * error
        assert width == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("metric_type", ["conversion", "sum", "ratio"])
def test_fixed_horizon_is_that_of_peers(chain: Chain, metric_type: str) -> None:
    random = Random(f"peers {metric_type}")
    comparisons = []
    for _ in range(150):
        baseline = random_arm(random, metric_type)
        same_size = near(random, baseline)
        arms = (baseline, same_size if random.random() < 0.8 else random_arm(random, metric_type))
        comparisons.append(Comparison(metric_type, arms))
    compared = 0
    for comparison, (first, second) in zip(comparisons, chain.results(comparisons), strict=True):
        baseline, arm = comparison.arms
        assert first["reason"] == "baseline" and first["p_value"] is None
        assert second["mean"] == pytest.approx(arm.mean, rel=1e-12)
        assert second["difference"] == pytest.approx(arm.mean - baseline.mean, rel=1e-9, abs=1e-12)
        expected = peer(comparison)
        if expected["p_value"] > DISTANT:
            compared += 1
            assert second["p_value"] == pytest.approx(expected["p_value"], rel=1e-6)
        for name in ("difference_ci_lower", "difference_ci_upper"):
            tolerance = 1e-9 * abs(
                expected["difference_ci_upper"] - expected["difference_ci_lower"]
            )
            assert second[name] == pytest.approx(expected[name], abs=tolerance)
        if min(arm.mean, baseline.mean) > 0:
            for name in ("lift_ci_lower", "lift_ci_upper"):
                if name in expected:
                    assert second[name] == pytest.approx(expected[name], rel=1e-8, abs=1e-9)
            assert second["lift_ci_lower"] > -1
    assert compared > 80


def with_covariate(random: Random, arm: Arm, correlation: float) -> Arm:
    """The arm with sums of a covariate that explains so much of it."""
    n, mean = arm.visitors, random.uniform(0, 3)
    deviation = random.uniform(0.1, 2)
    common = correlation * deviation * math.sqrt(arm.variance)
    return replace(
        arm,
        covariate_sum=n * mean,
        covariate_sum_squares=n * mean**2 + (n - 1) * deviation**2,
        covariate_product_sum=arm.value_sum * mean + (n - 1) * common,
    )


@pytest.mark.parametrize("metric_type", ["conversion", "sum"])
def test_adjusted_by_a_covariate_is_that_of_a_peer(chain: Chain, metric_type: str) -> None:
    """CUPED, with a slope over both sides."""
    random = Random(f"covariate {metric_type}")
    comparisons = []
    for number in range(60):
        correlation = random.uniform(-0.9, 0.9) if number else 0
        arm = random_arm(random, metric_type)
        arms = [with_covariate(random, side, correlation) for side in (arm, near(random, arm))]
        if number % 3:
            mean = (arms[0].covariate_sum or 0) / arms[0].visitors + random.gauss(0, 0.02)
            arms[1] = with_covariate(random, arms[1], correlation)
            n = arms[1].visitors
            common = (arms[1].covariate_product_sum or 0) - arms[1].value_sum * (
                (arms[1].covariate_sum or 0) / n
            )
            spread = (arms[1].covariate_sum_squares or 0) - (arms[1].covariate_sum or 0) ** 2 / n
            arms[1] = replace(
                arms[1],
                covariate_sum=n * mean,
                covariate_sum_squares=n * mean**2 + spread,
                covariate_product_sum=arms[1].value_sum * mean + common,
            )
        comparisons.append(Comparison(metric_type, tuple(arms)))
    for comparison, (_, row) in zip(comparisons, chain.results(comparisons), strict=True):
        baseline, arm = comparison.arms
        metric = tea_tasting.Mean("value", "covariate")
        expected = metric.analyze_aggregates(baseline.aggregates(), arm.aggregates())
        scale = abs(expected.effect_size_ci_upper - expected.effect_size_ci_lower)
        assert row["mean"] == pytest.approx(arm.mean)
        assert row["difference"] == pytest.approx(expected.effect_size, abs=1e-9 * scale)
        if expected.pvalue > DISTANT:
            assert row["p_value"] == pytest.approx(expected.pvalue, rel=1e-6)
        for ours, theirs in (
            ("difference_ci_lower", expected.effect_size_ci_lower),
            ("difference_ci_upper", expected.effect_size_ci_upper),
        ):
            assert row[ours] == pytest.approx(theirs, abs=1e-8 * scale)
        if row["lift_reason"] is None:
            assert row["lift"] == pytest.approx(expected.rel_effect_size, rel=1e-8, abs=1e-9)
            for ours, theirs in (
                ("lift_ci_lower", expected.rel_effect_size_ci_lower),
                ("lift_ci_upper", expected.rel_effect_size_ci_upper),
            ):
                assert row[ours] == pytest.approx(theirs, rel=1e-7, abs=1e-8)
        raw = sum(side.variance / side.visitors for side in comparison.arms)
        error = expected.effect_size / expected.statistic
        if metric_type == "sum":
            assert row["variance_reduction"] == pytest.approx(1 - error**2 / raw, abs=1e-8)


def test_a_covariate_that_says_nothing_changes_nothing(chain: Chain) -> None:
    """Everybody's the same, or nobody's: no slope, and proportions stay what they are."""
    plain = Comparison("conversion", (Arm(500, 100, 100), Arm(400, 110, 110)))
    same = Comparison(
        "conversion",
        tuple(
            replace(
                arm,
                covariate_sum=arm.visitors * 0.1,
                covariate_sum_squares=math.fsum([0.1**2] * arm.visitors),
                covariate_product_sum=arm.value_sum * 0.1,
            )
            for arm in plain.arms
        ),
    )
    (_, expected), (_, found) = chain.results([plain, same])
    assert expected["variance_reduction"] is found["variance_reduction"] is None
    assert found["p_value"] == expected["p_value"]


def log_mixture_ratio(difference: float, error: float, mixing: float) -> float:
    """The likelihood ratio by its definition: the normal likelihood, mixed over effects."""

    def log_integrand(effect: float) -> float:
        likelihood = (difference / error) ** 2 - ((difference - effect) / error) ** 2
        return (likelihood - (effect / mixing) ** 2) / 2

    centre = difference * mixing**2 / (mixing**2 + error**2)
    spread = mixing * error / math.hypot(mixing, error)
    value, _ = integrate.quad(
        lambda effect: math.exp(log_integrand(effect) - log_integrand(centre)),
        centre - 12 * spread,
        centre + 12 * spread,
        epsabs=0,
        epsrel=1e-11,
        limit=200,
    )
    return math.log(value / (mixing * math.sqrt(2 * math.pi))) + log_integrand(centre)


def test_always_valid_is_the_mixture(chain: Chain) -> None:
    random = Random("mixture")
    comparisons = []
    for metric_type in ("conversion", "sum", "ratio") * 12:
        baseline = random_arm(random, metric_type)
        comparisons.append(Comparison(metric_type, (baseline, near(random, baseline))))
    for comparison, (_, row) in zip(comparisons, chain.results(comparisons), strict=True):
        baseline, arm = comparison.arms
        z = stats.norm.isf(0.025)
        # The standard error as the fixed-horizon interval has it, by a level it shares.
        error = standard_error(comparison)
        together = arm.visitors * baseline.visitors / (arm.visitors + baseline.visitors)
        mixing = MIXING_SCALE * error * math.sqrt(together)
        log_ratio = log_mixture_ratio(row["difference"], error, mixing)
        assert row["p_value_always_valid"] == pytest.approx(min(1, math.exp(-log_ratio)), rel=1e-6)
        width = optimize.brentq(
            lambda d, error=error, mixing=mixing: (
                log_mixture_ratio(d * error, error, mixing) - math.log(20)
            ),
            z,
            60,
            xtol=1e-13,
        )
        assert row["difference_cs_upper"] - row["difference"] == pytest.approx(
            width * error, rel=1e-9
        )
        assert row["minimum_detectable_effect"] == pytest.approx(
            (width + stats.norm.isf(0.2)) * error, rel=1e-9
        )
        if min(arm.mean, baseline.mean) > 0:
            log_lower = math.log((row["lift_cs_lower"] + 1) * baseline.mean / arm.mean)
            log_ci = math.log((row["lift_ci_lower"] + 1) * baseline.mean / arm.mean)
            shares = log_lower / log_ci
            if comparison.metric_type == "conversion":
                assert shares == pytest.approx(width / stats.norm.isf(0.025), rel=1e-8)
            assert row["lift_cs_lower"] > -1


def standard_error(comparison: Comparison) -> float:
    """Of the difference, from tea-tasting or the textbook."""
    baseline, arm = comparison.arms
    if comparison.metric_type == "conversion":
        return math.sqrt(sum(a.mean * (1 - a.mean) / a.visitors for a in (baseline, arm)))
    denominator = "denominator" if comparison.metric_type == "ratio" else None
    result = tea_tasting.RatioOfMeans("value", denominator).analyze_aggregates(
        baseline.aggregates(), arm.aggregates()
    )
    return float(result.effect_size / result.statistic)


@pytest.mark.parametrize(
    ("method", "correction"),
    [("always_valid", "benjamini_hochberg"), ("fixed_horizon", "holm"), ("always_valid", "none")],
)
def test_corrections_and_verdicts(chain: Chain, method: str, correction: str) -> None:
    """Of the comparisons of one experiment and role, whatever else there is beside them."""
    random = Random(f"families {method} {correction}")
    comparisons = []
    for experiment in ("1", "2", "3"):
        for role in ("primary", "secondary", "guardrail"):
            for number in range(1 if role == "primary" else 8):
                baseline = random_arm(random, "sum")
                arms = [baseline] + [near(random, baseline) for _ in range(random.randint(1, 3))]
                if number % 4 == 3:
                    arms[1] = arm_of([1.0])
                if number == 2:
                    arms[-1] = baseline
                direction = random.choice(["increase", "decrease"])
                margin = random.choice([None, 0.1, 0.4]) if role == "guardrail" else None
                comparisons.append(
                    (
                        experiment,
                        f"{role} {number}",
                        Comparison("sum", tuple(arms), direction, role, margin),
                    )
                )
    found = chain.rows(comparisons, decision_method=method, correction=correction)
    p_name = {"fixed_horizon": "p_value", "always_valid": "p_value_always_valid"}[method]
    lift = {"fixed_horizon": "lift_ci", "always_valid": "lift_cs"}[method]
    decided = {"none": p_name, "holm": "p_value_holm", "benjamini_hochberg": "q_value"}[correction]
    families: dict[tuple[str, str], list[Row]] = {}
    verdicts = set()
    for (experiment, _, comparison), rows in zip(comparisons, found, strict=True):
        families.setdefault((experiment, comparison.role), []).extend(rows)
        for row in rows:
            verdicts.add(row["verdict"])
            if row["reason"] is None:
                expected = "inconclusive"
                if row[decided] <= 0.05 + 1e-15 and row["difference"] != 0:
                    is_good = (row["difference"] > 0) == (comparison.direction == "increase")
                    expected = "better" if is_good else "worse"
                assert row["verdict"] == expected
                assert row["decided_by"].startswith(method)
            if comparison.margin is None or row["lift_reason"] is not None:
                assert row["is_non_inferior"] is None
            elif comparison.direction == "increase":
                assert row["is_non_inferior"] is (row[f"{lift}_lower"] > -comparison.margin)
            else:
                assert row["is_non_inferior"] is (row[f"{lift}_upper"] < comparison.margin)
    assert verdicts == {None, "better", "worse", "inconclusive", "not_enough_data"}
    for rows in families.values():
        tested = [row for row in rows if row["p_value"] is not None]
        p_values = [row[p_name] for row in tested]
        for name, peer_name in (("q_value", "fdr_bh"), ("p_value_holm", "holm")):
            expected_values = multipletests(p_values, method=peer_name)[1]
            assert [row[name] for row in tested] == pytest.approx(list(expected_values), rel=1e-9)
        assert {row["family_size"] for row in rows} == {len(tested)}


def constant(value: float, visitors: int) -> Arm:
    return arm_of([value] * visitors)


@pytest.mark.parametrize(
    ("metric_type", "baseline", "arm", "reason", "lift_reason"),
    [
        ("sum", constant(0, 500), constant(0, 500), "no_variance", "no_variance"),
        ("sum", constant(0.1, 500), constant(0.3, 500), "no_variance", "no_variance"),
        ("conversion", Arm(500, 0, 0), Arm(500, 0, 0), "too_few_conversions", None),
        ("conversion", Arm(500, 9, 9), Arm(500, 100, 100), "too_few_conversions", None),
        ("conversion", Arm(500, 491, 491), Arm(500, 100, 100), "too_few_conversions", None),
        ("conversion", Arm(500, 10, 10), Arm(500, 490, 490), None, None),
        ("sum", arm_of([1.0]), arm_of([1.0, 2.0] * 100), "too_few_visitors", None),
        ("sum", arm_of([1.0, 2.0] * 50), arm_of([1.0, 2.0] * 49 + [1.0]), "too_few_visitors", None),
        ("sum", arm_of([-9.0, 2.0] * 50), arm_of([1.0, 2.0] * 50), None, "mean_not_positive"),
        ("sum", arm_of([9.0, 2.0] * 50), arm_of([1.0, -2.0] * 50), None, "mean_not_positive"),
        ("sum", constant(0, 100), arm_of([1.0, 2.0] * 50), None, "mean_not_positive"),
        # Of nine denominators in all, and of thirty of which one is nearly everything.
        (
            "ratio",
            Arm(300, 5, 25, 9, 9, 4),
            Arm(300, 50, 250, 90, 90, 40),
            "too_few_conversions",
            None,
        ),
        (
            "ratio",
            Arm(300, 50, 250, 90, 4000, 40),
            Arm(300, 50, 250, 90, 90, 40),
            "too_few_conversions",
            None,
        ),
        ("ratio", Arm(300, 50, 250, 10, 10, 10), Arm(300, 50, 250, 90, 90, 40), None, None),
        ("ratio", Arm(300, 5, 25, 0, 0, 0), Arm(300, 5, 25, 9, 9, 4), "no_denominator", None),
        ("sum", Arm(10**12, 1e12, 3e12), Arm(10**12, 1.00001e12, 3e12), None, None),
        ("sum", Arm(100, 1e149, 1e297), Arm(100, 1.1e149, 1.3e297), None, None),
    ],
)
def test_edges(
    chain: Chain,
    metric_type: str,
    baseline: Arm,
    arm: Arm,
    reason: str | None,
    lift_reason: str | None,
) -> None:
    """A number, or the reason why there is none; never an error, NaN or infinity."""
    comparison = Comparison(metric_type, (baseline, arm))
    ((first, row),) = chain.results([comparison], minimum_visitors=100, minimum_conversions=10)
    assert (first["reason"], first["verdict"]) == ("baseline", None)
    assert row["reason"] == reason
    assert row["lift_reason"] == (lift_reason or reason)
    assert (row["verdict"] == "not_enough_data") is (reason is not None)
    for name, value in row.items():
        assert not isinstance(value, float) or math.isfinite(value), name
        if name.startswith(("p_value", "q_value", "difference_c", "minimum_detectable_effect")):
            assert (value is None) is (reason is not None), name
        if name.startswith("lift_c"):
            assert (value is None) is (row["lift_reason"] is not None), name


def test_by_day_the_smallest_p_value_so_far_counts(chain: Chain) -> None:
    """Of each way of counting by itself; too few visitors on a day decide nothing on that day."""
    random = Random("days")
    days = []
    for counted_by in ("day_of_exposure", "day_of_observation"):
        for number in range(12):
            baseline = random_arm(random, "sum")
            arms = (baseline, arm_of([1.0]) if number % 4 == 1 else near(random, baseline))
            days.append((counted_by, date(2026, 1, 1 + number), Comparison("sum", arms)))
    random.shuffle(days)
    once = chain.results([comparison for _, _, comparison in days])
    ours = {
        day[:2]: (found, row) for day, found, row in zip(days, chain.days(days), once, strict=True)
    }
    decided = set()
    for counted_by in ("day_of_exposure", "day_of_observation"):
        smallest = 1.0
        for number in range(12):
            found, (_, alone) = ours[counted_by, date(2026, 1, 1 + number)]
            _, row = found
            for name in ("p_value", "difference_cs_lower", "lift_ci_upper", "reason"):
                assert row[name] == alone[name]
            if alone["reason"] is not None:
                assert row["p_value_always_valid"] is row["q_value"] is None
                assert row["verdict"] == "not_enough_data"
                continue
            smallest = min(smallest, alone["p_value_always_valid"])
            assert row["p_value_always_valid"] == row["q_value"] == smallest
            assert (row["verdict"] == "inconclusive") is (smallest > 0.05)
            decided.add(row["verdict"])
            decided.add(smallest < alone["p_value_always_valid"])
    assert decided >= {"inconclusive", True, False} and len(decided) > 3


def test_the_page_shows_what_the_command_writes() -> None:
    page = (ROOT / "docs/statistics.md").read_text(encoding="utf-8")
    assert render() in page, "run `make docs`"


def test_one_arm_is_its_own_baseline(chain: Chain) -> None:
    (rows,) = chain.results([Comparison("sum", (arm_of([1.0, 2.0] * 60),))])
    assert [(row["reason"], row["verdict"], row["difference"]) for row in rows] == [
        ("baseline", None, 0)
    ]


def test_the_registry_decides_on_baseline_and_role(tmp_path: Path) -> None:
    """Declared, or else the id that is the smallest number; one primary metric an experiment."""
    random = Random("registry")
    chain = Chain(tmp_path)
    arms = tuple(random_arm(random, "sum") for _ in range(11))
    metrics = [("a", Comparison("sum", arms, role="primary")), ("b", Comparison("sum", arms[:2]))]
    chain.registry = {"1": (None, None), "2": ("2", "2-b"), "3": ("77", None)}
    found = chain.rows([(e, name, comparison) for e in "123" for name, comparison in metrics])
    seen = {
        row["experiment_id"] + row["metric_name"][-1]: (
            row["role"],
            row["baseline_variation_id"],
            row["is_baseline_assumed"],
        )
        for rows in found
        for row in rows
    }
    assert seen == {
        "1a": ("primary", "1", True),
        "1b": ("secondary", "1", True),
        "2a": ("secondary", "2", False),
        "2b": ("primary", "2", False),
        "3a": ("primary", "77", False),
        "3b": ("secondary", "77", False),
    }
    assert {row["variation_id"] for row in found[0]} > {"2", "10"}
    for rows in found[4:]:
        for row in rows:
            assert (row["reason"], row["verdict"]) == ("no_baseline", "not_enough_data")
            assert row["difference"] is None and row["lift"] is None
    baseline = next(row for row in found[2] if row["variation_id"] == "2")
    for row in found[2]:
        assert row["difference"] == row["mean"] - baseline["mean"]
        assert (row["reason"] == "baseline") is (row["variation_id"] == "2")
