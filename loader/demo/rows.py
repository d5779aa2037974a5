"""Turn the visits of one chunk into rows: times, ids, sessions, duplicates."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from loader.demo import world
from loader.demo.dates import DAY, Dates
from loader.demo.visits import HOUR, MINUTE, Flags, Ints, Visitors, Visits

Bytes = npt.NDArray[np.uint8]

SECOND = 1000
VISITORS_BEFORE_COLLISION = 997


@dataclass(frozen=True)
class Rows:
    """The rows of one chunk, one element each, ordered by day, type, folder."""

    visit: Ints
    visitor: Ints
    kind: Ints
    timestamp: Ints
    process_timestamp: Ints
    day: Ints
    session: npt.NDArray[np.int32]
    uuid: Bytes
    """Sixteen bytes each."""
    is_duplicate: Flags


def make_rows(
    random: np.random.Generator,
    dates: Dates,
    visitors: Visitors,
    visits: Visits,
    events: int,
    duplicates: int,
) -> Rows:
    """The first `events` rows of a chunk's visits, and `duplicates` of them again.

    Cutting off the last rows of the last visitors leaves sessions and attribution true.
    """
    each = visits.row_counts.ravel()
    visit_and_kind = np.repeat(np.arange(len(each)), each)[:events]
    visit, kind = np.divmod(visit_and_kind, world.KINDS)
    timestamp = visits.start[visit] + _offsets(random, visits, visit, kind)
    session_start = visits.start[visit]
    is_kiosk = visits.is_kiosk[visit]
    session_start[is_kiosk] = _kiosk_sessions(visit[is_kiosk], timestamp[is_kiosk])
    visitor = visits.visitor[visit]
    received = _received(random, dates, visit, timestamp, len(visits.start))

    source, resent = _duplicates(random, dates, received, duplicates)
    received = np.concatenate([received, resent])
    day = dates.day_of(received)
    every = np.concatenate([np.arange(len(visit)), source])
    order = np.argsort(day * world.KINDS + kind[every], kind="stable")
    taken = every[order]
    return Rows(
        visit=visit[taken],
        visitor=visitor[taken],
        kind=kind[taken],
        timestamp=timestamp[taken],
        process_timestamp=received[order],
        day=day[order],
        session=_session_hash(
            visitors.first_number + visitor[taken], session_start[taken] - dates.start
        ),
        uuid=_uuids(random, kind)[taken],
        is_duplicate=order >= len(visit),
    )


def _offsets(random: np.random.Generator, visits: Visits, visit: Ints, kind: Ints) -> Ints:
    """Milliseconds since the start of the visit; what is sent in one batch shares them."""
    size = len(visit)
    is_first = np.diff(visit, prepend=-1) != 0
    kind_before = np.roll(kind, 1)
    is_decision = kind < world.FIRST_EVENT_KIND
    follows_decision = kind_before < world.FIRST_EVENT_KIND
    is_same_basket = (kind == kind_before) & (kind == world.FIRST_EVENT_KIND + world.PURCHASE)

    gap = 500 + np.minimum(random.exponential(45 * SECOND, size), 15 * MINUTE).astype(np.int64)
    is_kiosk = visits.is_kiosk[visit]
    gap[is_kiosk] = random.integers(10 * MINUTE, 29 * MINUTE, int(is_kiosk.sum()))
    chance = random.random(size)
    gap[is_decision] = np.where(chance < 0.75, 0, chance * 30).astype(np.int64)[is_decision]
    gap[(follows_decision & (chance < 0.4)) | is_same_basket | is_first] = 0

    passed = np.cumsum(gap)
    starts = np.flatnonzero(is_first)
    number = np.cumsum(is_first) - 1
    offset = passed - passed[starts][number]
    ends = np.append(starts[1:], size) - 1
    length = offset[ends]
    shrink = np.minimum(1.0, visits.longest[visit[starts]] / np.maximum(length, 1))
    shrunk: Ints = (offset * shrink[number]).astype(np.int64)
    return shrunk


def _kiosk_sessions(visit: Ints, timestamp: Ints) -> Ints:
    """Session starts of visits without a pause: a new one more than 24 hours after the last."""
    starts = timestamp.copy()
    for place in range(1, len(visit)):
        is_same = visit[place] == visit[place - 1]
        if is_same and timestamp[place] - starts[place - 1] <= DAY:
            starts[place] = starts[place - 1]
    return starts


def _received(
    random: np.random.Generator, dates: Dates, visit: Ints, timestamp: Ints, visits: int
) -> Ints:
    """When the vendor received each row: soon, before its own time (clock ahead), or days later."""
    delay = SECOND + np.minimum(random.exponential(MINUTE, visits), 20 * MINUTE).astype(np.int64)
    chance = random.random(visits)
    late = random.integers(2 * HOUR, 4 * DAY, visits)
    ahead = random.integers(SECOND, HOUR, visits)
    delay = np.where(chance < world.AHEAD_SHARE, -ahead, delay)
    delay = np.where(chance > 1 - world.LATE_SHARE, late, delay)
    received = timestamp + delay[visit]
    is_outside = (received < dates.start) | (received >= dates.end)
    received = np.where(is_outside, timestamp + SECOND, received)
    return _on_open_days(dates, received)


def _on_open_days(dates: Dates, received: Ints) -> Ints:
    """What would be received on the empty or the missing day is received after it."""
    waiting: Ints = received + dates.days_until_open[dates.day_of(received)] * DAY
    return waiting


def _duplicates(
    random: np.random.Generator, dates: Dates, received: Ints, count: int
) -> tuple[Ints, Ints]:
    """Which rows are sent again, and when the second copy is received: this day or a later one."""
    if len(received) == 0:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    source = random.integers(0, len(received), count)
    source = np.unique(source)
    first = received[source]
    later = first + np.where(np.arange(len(source)) % 2 == 0, DAY, 0)
    later = np.where(later < dates.end, later, first)
    return source, _on_open_days(dates, later)


def _session_hash(visitor_number: Ints, start: Ints) -> npt.NDArray[np.int32]:
    """The vendor's session number: signed, 32 bits.

    Sessions of one visitor start in different half hours and every step is a bijection, so one
    visitor's numbers never collide; two visitors' do, as they do in real exports.
    """
    half_hour = start // (30 * MINUTE)
    mixed = ((visitor_number % VISITORS_BEFORE_COLLISION) << 20 | half_hour).astype(np.uint32)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        mixed ^= mixed >> np.uint32(shift)
        mixed *= np.uint32(factor)
    mixed ^= mixed >> np.uint32(16)
    return mixed.view(np.int32)


def _uuids(random: np.random.Generator, kind: Ints) -> Bytes:
    """Random ids; of a crossover's two decisions in one millisecond the first has the smaller."""
    uuid = random.integers(0, 256, (len(kind), 16), dtype=np.uint8)
    uuid[:, 6] = uuid[:, 6] & 0x0F | 0x40
    uuid[:, 8] = uuid[:, 8] & 0x3F | 0x80
    second = np.flatnonzero((kind < world.ROLLOUT_KIND) & (kind % 2 == 1))
    uuid[second, 0] |= 0x80
    uuid[second - 1, 0] &= 0x7F
    return uuid
