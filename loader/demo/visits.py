"""Plan one chunk of visitors: who they are, when they come, which rows each visit has.

A chunk holds whole visitors, so sessions and attribution never need another chunk. What the vendor
says of them is true by construction:

* visits of one visitor lie in different slots of three hours and end 31 minutes before their slot
  does, and no two neighbouring rows of a visit are 30 minutes apart: a visit is a session (the
  kiosk's is cut after 24 hours);
* a visit opens with its decisions: a conversion belongs to the experiments decided in its visit or
  before.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from loader.demo import world
from loader.demo.dates import DAY, Dates

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

SLOTS_PER_DAY = 8
SLOT = DAY // SLOTS_PER_DAY
FIRST_SLOT = SLOT // 2
"""Slots begin at 01:30: the last of a day goes over midnight, none goes over the export's end."""
SLOT_WEIGHTS = (1, 3, 12, 18, 18, 20, 20, 8)
MINUTE = 60_000
HOUR = 60 * MINUTE
SESSION_GAP = 31 * MINUTE

NOT_IN_EXPERIMENT = -1
KIOSK_VIEWS = 100


@dataclass(frozen=True)
class Visitors:
    """The people of one chunk; arrays are by visitor, matrices by visitor and experiment."""

    first_number: int
    count: int
    variation: Ints
    """Place of the variation in its experiment, or `NOT_IN_EXPERIMENT`."""
    is_holdback: Flags
    is_crossover: Flags
    is_bot: Flags
    is_kiosk: Flags
    purchase_effect: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Visits:
    """The visits of one chunk, by visitor and time."""

    visitor: Ints
    start: Ints
    longest: Ints
    """How long the visit may take, in milliseconds."""
    is_kiosk: Flags
    attribution: Ints
    """Code of the vendor's `experiments` on this visit's conversions (see `_attribution`)."""
    row_counts: Ints
    """By visit and kind of row."""


def make_visitors(
    random: np.random.Generator, first_number: int, count: int, kiosks: int
) -> Visitors:
    """Draw the people of a chunk; its first `kiosks` visitors never rest for a day."""
    size = (count, len(world.EXPERIMENTS))
    variation = np.full(size, NOT_IN_EXPERIMENT, dtype=np.int64)
    is_holdback = np.zeros(size, dtype=np.bool_)
    effect = np.ones(count)
    for place, experiment in enumerate(world.EXPERIMENTS):
        drawn = random.integers(0, len(experiment.variation_ids), count)
        is_in = random.random(count) < experiment.share
        variation[is_in, place] = drawn[is_in]
        is_holdback[:, place] = is_in & (random.random(count) < experiment.holdback_share)
        is_treated = is_in & ~is_holdback[:, place]
        effect *= np.where(is_treated, np.array(experiment.effects)[drawn], 1.0)
    is_in_experiment = variation != NOT_IN_EXPERIMENT
    return Visitors(
        first_number=first_number,
        count=count,
        variation=variation,
        is_holdback=is_holdback,
        is_crossover=is_in_experiment
        & ~is_holdback
        & (random.random(size) < world.CROSSOVER_SHARE),
        is_bot=random.random(count) < world.BOT_SHARE,
        is_kiosk=np.arange(count) < kiosks,
        purchase_effect=effect,
    )


def make_visits(
    random: np.random.Generator, dates: Dates, visitors: Visitors, events: int
) -> Visits:
    """Draw the visits of a chunk with `events` rows together, where so few are possible."""
    visitor, start, longest = _times(random, dates, visitors, events)
    is_kiosk = visitors.is_kiosk[visitor]
    is_first = np.diff(visitor, prepend=-1) != 0
    is_decided = visitors.variation[visitor] != NOT_IN_EXPERIMENT
    day = dates.day_of(start)
    is_middle = (day >= dates.days // 4) & (day < max(1, dates.days * 3 // 4))
    for place, experiment in enumerate(world.EXPERIMENTS):
        if not experiment.runs_all_dates:
            is_decided[:, place] &= is_middle
    return Visits(
        visitor=visitor,
        start=start,
        longest=longest,
        is_kiosk=is_kiosk,
        attribution=_attribution(random, visitors, visitor, is_decided),
        row_counts=_row_counts(random, visitors, visitor, is_first, is_decided, events),
    )


def _times(
    random: np.random.Generator, dates: Dates, visitors: Visitors, events: int
) -> tuple[Ints, Ints, Ints]:
    """Visitor, start and longest time of each visit: every visitor comes once, some often."""
    slots = np.arange(dates.days * SLOTS_PER_DAY - 1)
    opening = FIRST_SLOT + slots * SLOT
    weights = np.array(SLOT_WEIGHTS, dtype=np.float64)[slots % SLOTS_PER_DAY]
    weights[[not dates.is_open(int(day)) for day in opening // DAY]] = 0.0
    again = min(events // world.EVENTS_PER_VISIT, visitors.count * len(slots) // 4) - visitors.count
    skew = random.random(max(again, 0)) ** 1.7
    visitor = np.concatenate([np.arange(visitors.count), (visitors.count * skew).astype(np.int64)])
    slot = random.choice(slots, size=len(visitor), p=weights / weights.sum())
    slot[visitors.is_kiosk[visitor]] = 0
    visitor, slot = np.divmod(np.unique(visitor * len(slots) + slot), len(slots))
    is_kiosk = visitors.is_kiosk[visitor]
    after_opening = random.integers(0, 2 * HOUR, len(visitor))
    after_opening[is_kiosk] = 0
    longest = np.where(is_kiosk, 40 * HOUR, SLOT - SESSION_GAP - after_opening)
    return visitor, dates.start + opening[slot] + after_opening, longest


def _row_counts(
    random: np.random.Generator,
    visitors: Visitors,
    visitor: Ints,
    is_first: Flags,
    is_decided: Flags,
    events: int,
) -> Ints:
    """How many rows of each kind each visit has; views fill it up to the number of events."""
    visits = len(visitor)
    counts = np.zeros((visits, world.KINDS), dtype=np.int64)
    decisions = counts[:, : world.ROLLOUT_KIND].reshape(visits, len(world.EXPERIMENTS), 2)
    decisions[:, :, 0] = is_decided
    is_at_once = random.random(visitors.is_crossover.shape) < 0.5
    decisions[:, :, 1] = (
        is_decided
        & visitors.is_crossover[visitor]
        & (is_at_once[visitor] | ~is_first[:, np.newaxis])
    )
    counts[:, world.ROLLOUT_KIND] = random.random(visits) < world.ROLLOUT_RATE

    happened = counts[:, world.FIRST_EVENT_KIND :]
    for place, event in enumerate(world.EVENTS):
        happened[:, place] = random.random(visits) < event.rate
    happened[:, world.CHECKOUT] *= happened[:, world.CART]
    is_bought = random.random(visits) < (
        world.EVENTS[world.PURCHASE].rate * visitors.purchase_effect[visitor]
    )
    products = random.choice([1, 2, 3], size=visits, p=[0.75, 0.18, 0.07])
    happened[:, world.PURCHASE] = happened[:, world.CHECKOUT] * is_bought * products

    is_kiosk = visitors.is_kiosk[visitor]
    happened[is_kiosk, world.VIEW] = KIOSK_VIEWS
    fill = np.flatnonzero(~is_kiosk)
    happened[fill, world.VIEW] = _views(random, len(fill), events - int(counts.sum()))
    return counts


def _views(random: np.random.Generator, visits: int, total: int) -> Ints:
    """Views of each visit: at least one where there are enough, many in a few visits."""
    if total <= 0 or visits == 0:
        return np.zeros(visits, dtype=np.int64)
    if total <= visits:
        return np.bincount(random.permutation(visits)[:total], minlength=visits)
    appetite = random.gamma(1.5, size=visits)
    more: Ints = random.multinomial(total - visits, appetite / appetite.sum())
    return 1 + more


def attribution_radix(experiment: world.Experiment) -> int:
    """States of a visitor in an experiment: out of it, each variation, each variation held back."""
    return 1 + 2 * len(experiment.variation_ids)


def _attribution(
    random: np.random.Generator, visitors: Visitors, visitor: Ints, is_decided: Flags
) -> Ints:
    """One number for the vendor's `experiments`: a digit for each experiment, its state.

    A held-back visitor's element is present on half of the visits.
    """
    code = np.zeros(len(visitor), dtype=np.int64)
    first_visit = np.searchsorted(visitor, visitor)
    weight = 1
    for place, experiment in enumerate(world.EXPERIMENTS):
        decided: Ints = np.cumsum(is_decided[:, place], dtype=np.int64)
        decided_by_others: Ints = (decided - is_decided[:, place])[first_visit]
        is_attributed = decided > decided_by_others
        is_holdback = visitors.is_holdback[visitor, place]
        is_attributed &= ~is_holdback | (random.random(len(visitor)) < 0.5)
        state = 1 + visitors.variation[visitor, place]
        state += is_holdback * len(experiment.variation_ids)
        code += np.where(is_attributed, state, 0) * weight
        weight *= attribution_radix(experiment)
    return code
