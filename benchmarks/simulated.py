"""An export of experiments whose truth is known, in the vendor's layout.

Every experiment has visitors of its own, each in the baseline or not by the toss of a coin. They
arrive evenly over the days. What they do depends on nothing but chance, except in the planted
experiments, where more of those outside the baseline sign up.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from loader import spec
from loader.demo.pools import ARROW_TYPES
from loader.demo.tables import in_order

Ints = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float64]

FIRST_DATE = date(2024, 3, 4)
"""Of the experiments; the days before hold what visitors did before their exposure."""
DAYS_BEFORE = 7
FIRST_EXPERIMENT = 30_000_000_001
FIRST_VARIATION = 40_000_000_001

SIGNUP_RATE = 0.2
PLANTED_RATE = 0.236
"""Of visitors who are not in the baseline of a planted experiment."""
CUSTOMER_SHARE = 0.25
MEAN_VIEWS = 0.6

SECOND = 1000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
DELAY = 2 * SECOND
"""From what happens to its receipt."""

SIGNUP, PURCHASE, VIEW = range(3)
EVENT_NAMES = ("signup", "purchase", "page_view")


@dataclass(frozen=True)
class Plan:
    """What is simulated."""

    experiments: int
    """Without an effect."""
    planted: int
    """Experiments with an effect on the signups."""
    visitors: int
    """Of each experiment."""
    days: int
    seed: int

    @property
    def all_experiments(self) -> int:
        """With and without an effect."""
        return self.experiments + self.planted

    @property
    def start(self) -> int:
        """Start of the first day in epoch milliseconds."""
        midnight = datetime.combine(FIRST_DATE, datetime.min.time(), tzinfo=UTC)
        return int(midnight.timestamp()) * SECOND

    @property
    def end(self) -> int:
        """End of the last day, exclusive."""
        return self.start + self.days * DAY

    @property
    def first_planted(self) -> str:
        """Id of the first experiment with an effect; those after it have one too."""
        return str(FIRST_EXPERIMENT + self.experiments)


@dataclass(frozen=True)
class Truth:
    """What is known of the export without the project."""

    events: int
    """Rows of both types."""
    signups: int
    revenue: int
    """Cents, of the purchases."""
    views: int
    """Page views after the exposure."""
    explained: float
    """Share of the variance of the page views that those before the exposure explain."""


@dataclass(frozen=True)
class _Visitors:
    """One element each, by experiment."""

    experiment: Ints
    arm: Ints
    """0 in the baseline, else 1."""
    exposed_at: Ints


@dataclass(frozen=True)
class _Events:
    """One element each."""

    visitor: Ints
    at: Ints
    kind: Ints
    revenue: Ints

    def until(self, end: int) -> "_Events":
        """Those that are received before a moment."""
        kept = self.at + DELAY < end
        return _Events(self.visitor[kept], self.at[kept], self.kind[kept], self.revenue[kept])


def write_simulation(folder: Path, plan: Plan) -> Truth:
    """Writes the export; the same plan gives the same rows."""
    random = np.random.default_rng(plan.seed)
    visitors = _draw_visitors(random, plan)
    events = _draw_events(random, plan, visitors).until(plan.end)
    _write(folder, plan, spec.DECISIONS, visitors.exposed_at, _decision_columns(visitors))
    _write(folder, plan, spec.CONVERSIONS, events.at, _conversion_columns(events))

    is_after = events.at > visitors.exposed_at[events.visitor]
    is_view = events.kind == VIEW
    unaffected = plan.experiments * plan.visitors
    before, after = (
        np.bincount(events.visitor[is_view & when], minlength=unaffected)
        for when in (~is_after, is_after)
    )
    return Truth(
        events=len(visitors.arm) + len(events.at),
        signups=int(np.count_nonzero(events.kind == SIGNUP)),
        revenue=int(events.revenue.sum()),
        views=int(after.sum()),
        explained=float(np.corrcoef(before, after)[0, 1] ** 2),
    )


def _draw_visitors(random: np.random.Generator, plan: Plan) -> _Visitors:
    size = plan.all_experiments * plan.visitors
    # Nobody arrives late in the evening, so that signups are known on the day of the exposure.
    clock = random.integers(0, 22 * HOUR, size)
    return _Visitors(
        experiment=np.repeat(np.arange(plan.all_experiments), plan.visitors),
        arm=random.integers(0, 2, size),
        exposed_at=plan.start + random.integers(0, plan.days, size) * DAY + clock,
    )


def _draw_events(random: np.random.Generator, plan: Plan, visitors: _Visitors) -> _Events:
    is_affected = (visitors.experiment >= plan.experiments) & (visitors.arm == 1)
    rate = np.where(is_affected, PLANTED_RATE, SIGNUP_RATE)
    signed_up = np.flatnonzero(random.random(len(rate)) < rate)
    unaffected = plan.experiments * plan.visitors

    # Orders of one customer are alike, and larger where there are several: a ratio has to take
    # visitors for its units, and all of its variances and covariances.
    orders = np.where(random.random(unaffected) < CUSTOMER_SHARE, 1, 0)
    orders *= 1 + random.poisson(0.6, unaffected)
    customer = np.repeat(np.arange(unaffected), orders)
    usual = random.lognormal(np.log(3000), 0.7, unaffected) * np.where(orders > 1, 1.5, 1)
    spent = usual[customer] * random.lognormal(0, 0.6, len(customer))
    revenue = np.rint(spent).astype(np.int64)

    # Who viewed many pages before the exposure views many after it.
    interest = random.gamma(0.5, MEAN_VIEWS / 0.5, unaffected)
    before, after = (np.repeat(np.arange(unaffected), random.poisson(interest)) for _ in range(2))

    visitor = np.concatenate([signed_up, customer, before, after])
    since_exposure = np.concatenate(
        [
            random.integers(MINUTE, 30 * MINUTE, len(signed_up)),
            MINUTE + random.exponential(3 * DAY, len(customer)).astype(np.int64),
            -random.integers(MINUTE, DAYS_BEFORE * DAY, len(before)),
            MINUTE + random.exponential(2 * DAY, len(after)).astype(np.int64),
        ]
    )
    sizes = [len(signed_up), len(customer), len(before) + len(after)]
    return _Events(
        visitor=visitor,
        at=visitors.exposed_at[visitor] + since_exposure,
        kind=np.repeat([SIGNUP, PURCHASE, VIEW], sizes),
        revenue=np.concatenate(
            [np.zeros(sizes[0], np.int64), revenue, np.zeros(sizes[2], np.int64)]
        ),
    )


def _decision_columns(visitors: _Visitors) -> dict[str, pa.Array]:
    variation = FIRST_VARIATION + 2 * visitors.experiment + visitors.arm
    return {
        "visitor_id": _texts("v", np.arange(len(visitors.arm))),
        "experiment_id": _texts("", FIRST_EXPERIMENT + visitors.experiment),
        "variation_id": _texts("", variation),
        "is_holdback": pa.array(np.zeros(len(visitors.arm), dtype=np.bool_)),
    }


def _conversion_columns(events: _Events) -> dict[str, pa.Array]:
    return {
        "visitor_id": _texts("v", events.visitor),
        "entity_id": _texts("5000000000", events.kind),
        "event_name": pa.array(EVENT_NAMES).take(pa.array(events.kind)),
        "revenue": pa.array(events.revenue, mask=events.kind != PURCHASE),
        "value": pa.nulls(len(events.at), type=ARROW_TYPES[spec.DOUBLE]),
    }


def _write(
    folder: Path, plan: Plan, table: spec.Table, at: Ints, columns: dict[str, pa.Array]
) -> None:
    """One file for each day that has rows, and the mark of a ready day for each."""
    numbers = pc.utf8_lpad(_texts("", np.arange(len(at))), 12, padding="0")
    stamp = ARROW_TYPES[spec.TIMESTAMP]
    prefix = "00000000-0000-4000-8000-" if table is spec.DECISIONS else "00000000-0000-4000-9000-"
    columns |= {
        "uuid": pc.binary_join_element_wise(prefix, numbers, ""),
        "timestamp": pa.array(at).cast(stamp),
        "process_timestamp": pa.array(at + DELAY).cast(stamp),
    }
    day = (at + DELAY - plan.start) // DAY
    order = np.argsort(day, kind="stable")
    rows = in_order(table, columns).take(pa.array(order))
    for number in range(-DAYS_BEFORE, plan.days):
        first, last = np.searchsorted(day[order], [number, number + 1])
        name = f"date={FIRST_DATE + timedelta(days=number)}"
        into = folder / f"type={table.export_type}" / name
        into.mkdir(parents=True)
        if first < last:
            path = into / "part-00000.snappy.parquet"
            pq.write_table(rows.slice(first, last - first), path, store_schema=False)
        (into / "_SUCCESS").touch()


def _texts(prefix: str, numbers: Ints) -> pa.Array:
    return pc.binary_join_element_wise(prefix, pa.array(numbers).cast(pa.string()), "")
