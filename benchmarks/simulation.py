"""Experiments of known truth, through the whole project: `python -m benchmarks.simulation --help`.

One export (`benchmarks.simulated`) is landed and built, and of the marts is counted how often they
find an effect: where there is none, and where there is one. Beside it stands what theory gives,
and what binomial error allows, which 1 of 1000 right answers would miss. Another answer is an
error.
"""

import argparse
import csv
import json
import math
import shutil
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from benchmarks import simulated, theory
from benchmarks.measure import BrokenBenchmark, Job, Measured, dbt_command, measure, python
from benchmarks.simulated import PLANTED_RATE, SIGNUP_RATE, Plan, Truth, write_simulation
from benchmarks.tables import add_folder, describe_machine, machine_text, write_between_markers

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "statistics.md"
ERROR = 0.05
"""1 less the default of the var `confidence_level`."""
MINIMUM_VISITORS = 100
"""The default of the var `minimum_visitors`."""
INFORMATION = 8
"""Of a sequential test at the end, where it is sharpest: the prior's variance by the estimate's."""
MISSED_BY_CHANCE = 0.001
"""Of the right shares, how many lie outside of what is allowed."""
REDUCTION_ERROR = 0.02
"""By how much the mean reduction of a variance may miss."""

SIGNUP, REVENUE, ORDER_VALUE, VIEWS = METRICS = (
    "signup rate",
    "revenue per visitor",
    "order value",
    "page views",
)
DECLARED = {
    "metrics": [
        {"metric_name": SIGNUP, "metric_type": "conversion"},
        {"metric_name": REVENUE, "metric_type": "sum", "value": "revenue"},
        {"metric_name": ORDER_VALUE, "metric_type": "ratio", "value": "revenue"},
        {"metric_name": VIEWS, "metric_type": "count"},
    ],
    "metric_events": [
        {"metric_name": name, "clause": clause, "match_value": simulated.EVENT_NAMES[kind]}
        | {"position": "1", "match_field": "event_name"}
        for name, clause, kind in (
            (SIGNUP, "event", simulated.SIGNUP),
            (REVENUE, "event", simulated.PURCHASE),
            (ORDER_VALUE, "numerator", simulated.PURCHASE),
            (ORDER_VALUE, "denominator", simulated.PURCHASE),
            (VIEWS, "event", simulated.VIEW),
        )
    ],
    "experiments": [],
    "variations": [],
    "vendor_results": [],
}
"""Rows of the seeds."""


@dataclass(frozen=True)
class Finding:
    """A share or a mean that was found, and what it should be."""

    subject: str
    what: str
    found: float
    theory: float | None
    lower: float | None
    """The least that is allowed; None is no limit."""
    upper: float | None
    is_share: bool = True

    @property
    def is_right(self) -> bool:
        """Whether it is within what is allowed."""
        return (self.lower is None or self.found >= self.lower) and (
            self.upper is None or self.found <= self.upper
        )


@dataclass(frozen=True)
class Simulated:
    """A built simulation."""

    plan: Plan
    truth: Truth
    warehouse: Path
    pulled: Measured
    built: Measured


def main() -> None:
    """Runs the simulation that the command line asks for."""
    arguments = _parse()
    plan = Plan(
        arguments.experiments,
        arguments.planted,
        arguments.visitors,
        arguments.days,
        arguments.seed,
    )
    machine = describe_machine(("duckdb", "dbt-core", "dbt-duckdb", "numpy", "scipy"))
    with tempfile.TemporaryDirectory(dir=arguments.folder) as scratch:
        try:
            simulation = _simulate(plan, Path(scratch))
            findings = list(_findings(simulation))
        except BrokenBenchmark as error:
            sys.exit(f"the benchmark is broken: {error}")
    text = "\n\n".join([_to_markdown(findings, plan), _note(simulation, machine_text(machine))])
    print(text)
    if arguments.json:
        found = {"machine": machine, "findings": [asdict(finding) for finding in findings]}
        arguments.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    wrong = [f"{finding.subject}: {finding.what}" for finding in findings if not finding.is_right]
    if wrong:
        sys.exit(f"the benchmark is broken: not what theory allows: {'; '.join(wrong)}")
    if arguments.write:
        write_between_markers(PAGE, "simulation", text)


def _simulate(plan: Plan, scratch: Path) -> Simulated:
    export, warehouse, project = (scratch / name for name in ("export", "e3.duckdb", "project"))
    truth = write_simulation(export, plan)
    _copy_project(project)
    pull = python("loader", "pull", "--source", export, "--warehouse", warehouse)
    settings = {
        "automatic_metrics": False,
        "cuped_days": simulated.DAYS_BEFORE,
        # The first day has few customers, and a look at each day is what is tested.
        "minimum_conversions": 10,
        "mixing_scale": _mixing_scale(plan),
        "sample_ratio_concentration": _concentration(plan),
    }
    build = dbt_command(
        *("build", "--resource-type", "seed", "--resource-type", "model"),
        *("--vars", json.dumps(settings), "--target", "incremental"),
        project=project,
        profiles=ROOT / "tests" / "profiles",
        work=scratch / "dbt",
    )
    pulled = measure(Job("loader pull", pull))
    environment = {"OPTIMIZELY_E3_WAREHOUSE": str(warehouse)}
    built = measure(Job("dbt build", build, environment=environment))
    simulation = Simulated(plan, truth, warehouse, pulled, built)
    _check_sums(simulation)
    _check_days(simulation)
    return simulation


def _copy_project(folder: Path) -> None:
    """A copy of the dbt project that declares other metrics."""
    for name in ("models", "macros", "seeds", "tests/generic"):
        shutil.copytree(ROOT / name, folder / name)
    shutil.copy(ROOT / "dbt_project.yml", folder)
    for name, rows in DECLARED.items():
        seed = folder / "seeds" / f"{name}.csv"
        with seed.open(encoding="utf-8", newline="") as file:
            columns = next(csv.reader(file))
        with seed.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)


def _mixing_scale(plan: Plan) -> float:
    """Tunes always-valid statistics to these numbers of visitors."""
    return round(math.sqrt(4 * INFORMATION / plan.visitors), 3)


def _concentration(plan: Plan) -> int:
    """Tunes the sequential sample-ratio test to these numbers of visitors."""
    return plan.visitors // INFORMATION


def _check_sums(simulation: Simulated) -> None:
    """What is counted is what was written."""
    plan, truth = simulation.plan, simulation.truth
    rows = _query(
        simulation,
        """
        select metric_name, cast(sum(visitors) as bigint), cast(sum(numerator) as bigint)
        from experiment_results
        group by metric_name
        """,
    )
    visitors = plan.all_experiments * plan.visitors
    numerators = [truth.signups, truth.revenue, truth.revenue, truth.views]
    expected = {
        (name, visitors, numerator) for name, numerator in zip(METRICS, numerators, strict=True)
    }
    if set(rows) != expected:
        raise BrokenBenchmark(f"experiment_results sums to {sorted(rows)}, not {sorted(expected)}")
    # In the planted experiments nobody does anything but sign up.
    tested = plan.experiments * len(METRICS) + plan.planted
    [(found,)] = _query(simulation, "select count(p_value) from experiment_results")
    if found != tested:
        raise BrokenBenchmark(f"experiment_results has {found} p-values, not {tested}")


def _check_days(simulation: Simulated) -> None:
    """There is a look on every day, and the always-valid p-value is the least so far."""
    plan = simulation.plan
    [(comparisons, least_looks, most_looks, forgetful)] = _query(
        simulation,
        """
        with comparisons as (
            select
                count(*) as looks,
                arg_max(p_value_always_valid, day) > min(p_value_always_valid) as is_forgetful
            from experiment_results_daily
            where counted_by = 'day_of_observation' and variation_id <> baseline_variation_id
            group by experiment_id, metric_name
        )
        select count(*), min(looks), max(looks), count(*) filter (where is_forgetful)
        from comparisons
        """,
    )
    if (comparisons, least_looks, most_looks) != (
        plan.all_experiments * len(METRICS),
        plan.days,
        plan.days,
    ):
        raise BrokenBenchmark(
            f"experiment_results_daily has {comparisons} comparisons of {least_looks} to "
            f"{most_looks} days"
        )
    if forgetful:
        raise BrokenBenchmark(f"p_value_always_valid rises from day to day in {forgetful}")


def _findings(simulation: Simulated) -> Iterator[Finding]:
    walks = theory.Walks.of(simulation.plan.days)
    yield from _without_effect(simulation, walks)
    yield from _adjusted(simulation)
    yield from _planted(simulation, walks)
    yield from _sample_ratio(simulation, walks)


def _without_effect(simulation: Simulated, walks: theory.Walks) -> Iterator[Finding]:
    """False positives of each metric; those of the page views without adjustment."""
    plan = simulation.plan
    found = {
        name: shares
        for name, *shares in _query(
            simulation,
            f"""
            with comparisons as (
                select
                    metric_name,
                    arg_max(p_value, day) as p_value,
                    arg_max(
                        2 * difference / (difference_ci_upper - difference_ci_lower), day
                    ) as difference_in_widths,
                    arg_max(lift_ci_lower, day) > 0 or arg_max(lift_ci_upper, day) < 0
                        as is_lift_missed,
                    min(p_value) as least_p_value,
                    arg_max(p_value_always_valid, day) as p_value_always_valid
                from experiment_results_daily
                where
                    counted_by = 'day_of_observation'
                    and variation_id <> baseline_variation_id
                    and experiment_id < '{plan.first_planted}'
                group by experiment_id, metric_name
            )
            select
                metric_name,
                avg(cast(p_value <= {ERROR} as int)),
                avg(pow(difference_in_widths * {theory.quantile(ERROR)}, 2)),
                avg(cast(is_lift_missed as int)),
                avg(cast(least_p_value <= {ERROR} as int)),
                avg(cast(p_value_always_valid <= {ERROR} as int))
            from comparisons
            group by metric_name
            """,
        )
    }
    always_valid = walks.share_beyond(_always_valid_limits(plan))
    for name in METRICS:
        subject = f"no effect, {name}"
        at_end, square, lift, any_look, ever = found[name]
        number = plan.experiments
        yield _two_sided(subject, f"p ≤ {ERROR} at the end", at_end, ERROR, number)
        squares = theory.mean_square_band(number, MISSED_BY_CHANCE)
        what = "mean of (difference : standard error)²"
        yield Finding(subject, what, square, 1.0, *squares, is_share=False)
        yield _two_sided(subject, "95 % interval of the lift misses 0", lift, ERROR, number)
        looks = f"on any of {plan.days} days"
        # Signups are final on the day of the exposure: theory knows how looks hang together.
        if name == SIGNUP:
            peeking = walks.share_beyond([theory.quantile(ERROR)] * plan.days)
            yield _two_sided(subject, f"p ≤ {ERROR} {looks}", any_look, peeking, number)
            yield _two_sided(
                subject, f"always-valid p ≤ {ERROR} {looks}", ever, always_valid, number
            )
        else:
            yield Finding(subject, f"p ≤ {ERROR} {looks}", any_look, None, None, None)
            yield _at_most(subject, f"always-valid p ≤ {ERROR} {looks}", ever, ERROR, number)


def _adjusted(simulation: Simulated) -> Iterator[Finding]:
    """False positives of the page views after adjustment (CUPED), and what it gains."""
    plan = simulation.plan
    [(at_end, reduction)] = _query(
        simulation,
        f"""
        select avg(cast(p_value <= {ERROR} as int)), avg(variance_reduction)
        from experiment_results
        where
            metric_name = '{VIEWS}'
            and variation_id <> baseline_variation_id
            and experiment_id < '{plan.first_planted}'
        """,
    )
    subject = f"no effect, {VIEWS}, adjusted (CUPED)"
    yield _two_sided(subject, f"p ≤ {ERROR} at the end", at_end, ERROR, plan.experiments)
    explained = simulation.truth.explained
    limits = explained - REDUCTION_ERROR, explained + REDUCTION_ERROR
    yield Finding(subject, "mean of the variance explained", reduction, explained, *limits)


def _planted(simulation: Simulated, walks: theory.Walks) -> Iterator[Finding]:
    """Power, and intervals that hold the true effect."""
    plan = simulation.plan
    difference = PLANTED_RATE - SIGNUP_RATE
    lift = difference / SIGNUP_RATE
    is_planted = f"""
        metric_name = '{SIGNUP}'
        and variation_id <> baseline_variation_id
        and experiment_id >= '{plan.first_planted}'
    """
    [(power, missed, lift_missed)] = _query(
        simulation,
        f"""
        select
            avg(cast(p_value <= {ERROR} and difference > 0 as int)),
            avg(cast(
                difference_ci_lower > {difference} or difference_ci_upper < {difference} as int
            )),
            avg(cast(lift_ci_lower > {lift} or lift_ci_upper < {lift} as int))
        from experiment_results
        where {is_planted}
        """,
    )
    [(ever, ever_missed)] = _query(
        simulation,
        f"""
        with comparisons as (
            select
                min(p_value_always_valid) as p_value_always_valid,
                bool_or(
                    difference_cs_lower > {difference} or difference_cs_upper < {difference}
                ) as is_missed
            from experiment_results_daily
            where counted_by = 'day_of_observation' and {is_planted}
            group by experiment_id
        )
        select
            avg(cast(p_value_always_valid <= {ERROR} as int)),
            avg(cast(coalesce(is_missed, false) as int))
        from comparisons
        """,
    )
    shift = theory.standardised(SIGNUP_RATE, PLANTED_RATE, plan.visitors / 2)
    limits = _always_valid_limits(plan)
    subject = f"{SIGNUP} {SIGNUP_RATE:.1%} → {PLANTED_RATE:.1%}".replace("%", " %")
    looks = f"on any of {plan.days} days"
    for what, found, expected in (
        (f"p ≤ {ERROR} at the end, and better", power, theory.power(shift, ERROR)),
        (f"always-valid p ≤ {ERROR} {looks}", ever, walks.share_beyond(limits, shift)),
        ("95 % interval misses the difference", missed, ERROR),
        ("95 % interval of the lift misses the lift", lift_missed, ERROR),
        (
            f"always-valid interval misses the difference {looks}",
            ever_missed,
            walks.share_beyond(limits),
        ),
    ):
        yield _two_sided(subject, what, found, expected, plan.planted)


def _sample_ratio(simulation: Simulated, walks: theory.Walks) -> Iterator[Finding]:
    """False alarms of the tests of the split of visitors."""
    plan = simulation.plan
    [(at_end,)] = _query(
        simulation,
        f"""
        select avg(cast(p_value <= {ERROR} as int))
        from experiment_health
        where check_name = 'sample_ratio'
        """,
    )
    [(any_look, ever)] = _query(
        simulation,
        f"""
        with experiments as (
            select
                max(chi_square) as chi_square,
                arg_max(p_value_always_valid, exposure_date) as p_value_always_valid
            from int_sample_ratio_days
            group by experiment_id
        )
        select
            avg(cast(chi_square >= {theory.quantile(ERROR) ** 2} as int)),
            avg(cast(p_value_always_valid <= {ERROR} as int))
        from experiments
        """,
    )
    subject = "sample ratio"
    looks = f"on any of {plan.days} days"
    peeking = walks.share_beyond([theory.quantile(ERROR)] * plan.days)
    limits = [
        theory.mixture_limit(visitors / _concentration(plan), ERROR) for visitors in _looks(plan)
    ]
    for what, found, expected in (
        (f"chi-square p ≤ {ERROR} at the end", at_end, ERROR),
        (f"chi-square p ≤ {ERROR} {looks}", any_look, peeking),
        (f"sequential p ≤ {ERROR} {looks}", ever, walks.share_beyond(limits)),
    ):
        yield _two_sided(subject, what, found, expected, plan.all_experiments)


def _looks(plan: Plan) -> list[float]:
    """Visitors of an experiment until the end of each day."""
    return [plan.visitors * day / plan.days for day in range(1, plan.days + 1)]


def _always_valid_limits(plan: Plan) -> list[float]:
    """By day, the standardised difference where the always-valid p-value is at the level."""
    # n · n₀ / (n + n₀) of two arms that are equally large is a quarter of both.
    return [
        theory.mixture_limit(_mixing_scale(plan) ** 2 * visitors / 4, ERROR)
        for visitors in _looks(plan)
    ]


def _two_sided(subject: str, what: str, found: float, expected: float, number: int) -> Finding:
    lower, upper = theory.binomial_band(expected, number, MISSED_BY_CHANCE)
    return Finding(subject, what, found, expected, lower, upper)


def _at_most(subject: str, what: str, found: float, level: float, number: int) -> Finding:
    _, upper = theory.binomial_band(level, number, MISSED_BY_CHANCE)
    return Finding(subject, what, found, None, None, upper)


def _query(simulation: Simulated, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(simulation.warehouse, read_only=True) as connection:
        return connection.execute(sql).fetchall()


def _to_markdown(findings: list[Finding], plan: Plan) -> str:
    lines = [
        f"{plan.experiments} experiments without an effect and {plan.planted} with one, each of "
        f"{plan.visitors:,} visitors who arrive over {plan.days} days:",
        "",
        "| | of the experiments, the share with | found | theory | allowed |",
        "|---|---|---:|---:|---:|",
    ]
    for finding in findings:
        cells = [
            finding.subject,
            finding.what,
            _shown(finding, finding.found),
            _shown(finding, finding.theory),
            _allowed(finding),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _allowed(finding: Finding) -> str:
    if finding.upper is None:
        return ""
    upper = _shown(finding, finding.upper)
    return f"≤ {upper}" if finding.lower is None else f"{_shown(finding, finding.lower)} … {upper}"


def _shown(finding: Finding, number: float | None) -> str:
    if number is None:
        return ""
    return f"{number * 100:.2f} %" if finding.is_share else f"{number:.3f}"


def _note(simulation: Simulated, machine: str) -> str:
    plan, pulled, built = simulation.plan, simulation.pulled, simulation.built
    text = (
        "Allowed is what binomial error allows: 1 of 1,000 right shares would lie outside. Without "
        "a number of theory only the upper limit is known, or none, and the share is for contrast. "
        f"Seed {plan.seed}, {simulation.truth.events:,} events. Vars other than by default: "
        f"`automatic_metrics` false; `cuped_days` {simulated.DAYS_BEFORE}; "
        f"`minimum_conversions` 10; `mixing_scale` "
        f"{_mixing_scale(plan)} and `sample_ratio_concentration` {_concentration(plan)}, which "
        f"tune both sequential tests to so many visitors. `loader pull` took {_cost(pulled)}, "
        f"`dbt build` of the models {_cost(built)}. {datetime.now(tz=UTC):%Y-%m-%d}; {machine}"
    )
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)


def _cost(measured: Measured) -> str:
    return f"{measured.seconds:.0f} seconds and {measured.peak_bytes / 1e9:.1f} GB"


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiments", type=int, default=400, help="without an effect")
    parser.add_argument("--planted", type=int, default=200, help="experiments with an effect")
    parser.add_argument("--visitors", type=int, default=4000, help="of each experiment")
    parser.add_argument("--days", type=int, default=14, help="of each experiment, each with a look")
    parser.add_argument("--seed", type=int, default=1, help="another one draws other visitors")
    add_folder(parser)
    parser.add_argument("--json", type=Path, help="write the numbers here too")
    parser.add_argument("--write", action="store_true", help="write them into docs/statistics.md")
    arguments = parser.parse_args()
    # Some more than the minimum, which the first day of few experiments may then fall short of.
    if arguments.visitors < 2.4 * MINIMUM_VISITORS * arguments.days:
        parser.error(
            f"the first day needs {MINIMUM_VISITORS} visitors of each side: more --visitors"
        )
    return arguments


if __name__ == "__main__":
    main()
