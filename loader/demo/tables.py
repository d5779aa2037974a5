"""Rows of one day and type as an Arrow table in the columns of the specification."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from loader import spec
from loader.demo import pools, world
from loader.demo.dates import Dates
from loader.demo.folders import event_folder, experiment_folder
from loader.demo.rows import Bytes, Rows
from loader.demo.visits import Flags, Ints, Visitors, Visits

HEX = np.frombuffer(b"".join(b"%02X" % byte for byte in range(256)), dtype=np.uint8).reshape(256, 2)
LOWER_CASE = np.uint8(0x20)
"""Turns upper case into lower case; digits and hyphens already hold it."""

DECISION_FOLDERS = (*(one.experiment_id for one in world.EXPERIMENTS), None)
FOLDERS = {
    spec.DECISIONS.export_type: [experiment_folder(one) for one in DECISION_FOLDERS],
    spec.CONVERSIONS.export_type: [event_folder(event.name) for event in world.EVENTS],
}
"""Folders of each type; a row names its folder by place."""

ROLLOUT_IDS = ("", None, "", None)
ROLLOUT_VARIATIONS = ("", None, "21000001099", "21000001099")


@dataclass(frozen=True)
class Chunk:
    """Everything drawn for one chunk of visitors."""

    number: int
    visitors: Visitors
    visits: Visits
    rows: Rows
    attributes: Ints
    """By visit: place in the attributes' pool."""
    details: npt.NDArray[np.uint32]
    """By visit: random bits for user agent, address and the like, equal for all its rows."""
    row_details: npt.NDArray[np.uint32]
    """By row: random bits for tags, prices, quantities."""
    visitor_ids: Bytes
    attribution_codes: Ints
    attribution_places: Ints
    """By visit: place in `attribution_codes`."""


def make_chunk(
    random: np.random.Generator, number: int, visitors: Visitors, visits: Visits, rows: Rows
) -> Chunk:
    """Draw what describes visitors, visits and rows without counting in any result."""
    size = len(visits.visitor)
    codes, places = np.unique(visits.attribution, return_inverse=True)
    return Chunk(
        number=number,
        visitors=visitors,
        visits=visits,
        rows=rows,
        attributes=_attribute_places(random, visitors.is_bot[visits.visitor]),
        details=random.integers(0, 2**32, size, dtype=np.uint32),
        row_details=random.integers(0, 2**32, len(rows.visit), dtype=np.uint32),
        visitor_ids=_visitor_ids(random, visitors),
        attribution_codes=codes,
        attribution_places=places,
    )


def _attribute_places(random: np.random.Generator, is_bot: Flags) -> Ints:
    size = len(is_bot)
    usual = len(pools.USUAL_ATTRIBUTES)
    shape = random.integers(0, usual, size)
    odd = random.integers(usual, pools.ATTRIBUTE_SHAPES, size)
    shape = np.where(random.random(size) < 0.1, odd, shape)
    block = np.where(random.random(size) < 0.5, pools.NOT_BOT, pools.NO_FLAG)
    places: Ints = np.where(is_bot, pools.BOT, block) * pools.ATTRIBUTE_SHAPES + shape
    return places


def _visitor_ids(random: np.random.Generator, visitors: Visitors) -> Bytes:
    """Ids as the vendor's snippet makes them: `oeu`, milliseconds, `r0.`, digits.

    The last digits are a bijection of the visitor's number, so no two visitors share an id.
    """
    number = visitors.first_number + np.arange(visitors.count)
    first_seen = 1_690_000_000_000 + random.integers(0, 5_000_000_000, visitors.count)
    ids = np.empty((visitors.count, 29), dtype=np.uint8)
    ids[:, :3] = list(b"oeu")
    ids[:, 3:16] = _digits(first_seen, 13)
    ids[:, 16:19] = list(b"r0.")
    ids[:, 19:] = _digits((number * 6_180_339_887 + 1_234_567_891) % 10**10, 10)
    return ids


def _digits(numbers: Ints, width: int) -> Bytes:
    powers = 10 ** np.arange(width - 1, -1, -1)
    return (numbers[:, np.newaxis] // powers % 10 + ord("0")).astype(np.uint8)


class Tables:
    """Builds the tables of one chunk."""

    def __init__(self, dates: Dates, chunk: Chunk):
        self._dates = dates
        self._chunk = chunk
        self._attributes = pools.attributes()
        self._experiments = pools.experiments(chunk.attribution_codes.tolist())
        self._tags = pools.text_maps(pools.TAGS)
        self._properties = pools.text_maps(pools.PROPERTIES)

    def of_day(self, day: int) -> Iterator[tuple[str, str, pa.Table]]:
        """Type, folder and table of every file of the chunk's day."""
        rows = self._chunk.rows
        first, last = np.searchsorted(rows.day, [day, day + 1])
        middle = first + np.searchsorted(rows.kind[first:last] >= world.FIRST_EVENT_KIND, True)
        decisions = slice(int(first), int(middle))
        conversions = slice(int(middle), int(last))
        folder = np.minimum(rows.kind[decisions] // 2, len(world.EXPERIMENTS))
        yield from self._split(spec.DECISIONS, day, decisions, folder)
        folder = rows.kind[conversions] - world.FIRST_EVENT_KIND
        yield from self._split(spec.CONVERSIONS, day, conversions, folder)

    def _split(
        self, table: spec.Table, day: int, taken: slice, folder: Ints
    ) -> Iterator[tuple[str, str, pa.Table]]:
        """One table for each folder: what differs between files is decided here."""
        if len(folder) == 0:
            return
        file_number = day + folder + self._chunk.number
        columns = self._common(taken, is_lower=file_number % 2 == 1)
        if table is spec.DECISIONS:
            columns |= self._decision_columns(taken, folder)
        else:
            columns |= self._conversion_columns(taken, folder)
        is_new_era = day >= self._dates.era_change
        if is_new_era:
            columns["session_id"] = _nothing(spec.TEXT, len(folder))
            if table is spec.CONVERSIONS:
                columns["experiments"] = _nothing(spec.EXPERIMENTS, len(folder))
                columns["properties"] = self._properties.take(
                    pa.array(self._chunk.row_details[taken] % len(pools.PROPERTIES))
                )
        whole = in_order(table, columns)
        for place, name in enumerate(FOLDERS[table.export_type]):
            start, end = np.searchsorted(folder, [place, place + 1])
            if start == end:
                continue
            part = whole.slice(start, end - start)
            if is_new_era and table is spec.CONVERSIONS:
                part = _without_attribution(part, (day + place + self._chunk.number) % 3)
            yield table.export_type, name, part

    def _common(self, taken: slice, is_lower: Flags) -> dict[str, pa.Array]:
        """Columns that both types have."""
        chunk, rows = self._chunk, self._chunk.rows
        visit = rows.visit[taken]
        details = chunk.details[visit]
        client = details % len(pools.CLIENTS)
        engines, versions = zip(*pools.CLIENTS, strict=True)
        revision = (details >> 8) % len(pools.REVISIONS)
        stamp = pools.ARROW_TYPES[spec.TIMESTAMP]
        return {
            "uuid": _uuid_texts(rows.uuid[taken], is_lower ^ rows.is_duplicate[taken]),
            "timestamp": pa.array(rows.timestamp[taken]).cast(stamp),
            "process_timestamp": pa.array(rows.process_timestamp[taken]).cast(stamp),
            "visitor_id": _texts(chunk.visitor_ids[rows.visitor[taken]]),
            "session_id": pa.array(rows.session[taken]).cast(pa.string()),
            "account_id": _pick([world.ACCOUNT_ID], np.zeros(len(visit), dtype=np.int64)),
            "attributes": self._attributes.take(pa.array(chunk.attributes[visit])),
            "user_ip": _pick(pools.USER_IPS, (details >> 16) % len(pools.USER_IPS)),
            "user_agent": _pick(pools.USER_AGENTS, (details >> 4) % len(pools.USER_AGENTS)),
            "referer": _pick(pools.REFERERS, (details >> 12) % len(pools.REFERERS)),
            "revision": _pick(pools.REVISIONS, revision),
            "client_engine": _pick(engines, client),
            "client_version": _pick(versions, client),
        }

    def _decision_columns(self, taken: slice, folder: Ints) -> dict[str, pa.Array]:
        chunk, rows = self._chunk, self._chunk.rows
        visitor = rows.visitor[taken]
        is_second = (rows.kind[taken] % 2 == 1).astype(np.int64)
        is_holdback = np.zeros(len(visitor), dtype=np.bool_)
        # Rollouts come after the experiments, variations of one experiment next to each other.
        variation = np.zeros(len(visitor), dtype=np.int64)
        variations: list[str | None] = []
        for place, experiment in enumerate(world.EXPERIMENTS):
            here = folder == place
            drawn = chunk.visitors.variation[visitor[here], place] + is_second[here]
            variation[here] = len(variations) + drawn % len(experiment.variation_ids)
            variations.extend(experiment.variation_ids)
            is_holdback[here] = chunk.visitors.is_holdback[visitor[here], place]
        is_rollout = folder == len(world.EXPERIMENTS)
        rollout = (chunk.details[rows.visit[taken]] % len(ROLLOUT_IDS)).astype(np.int64)
        variation[is_rollout] = len(variations) + rollout[is_rollout]
        experiment_place = np.where(is_rollout, folder + rollout, folder)
        return {
            "campaign_id": _pick(
                [*(one.campaign_id for one in world.EXPERIMENTS), *ROLLOUT_IDS], experiment_place
            ),
            "experiment_id": _pick(
                [*(one.experiment_id for one in world.EXPERIMENTS), *ROLLOUT_IDS], experiment_place
            ),
            "variation_id": _pick([*variations, *ROLLOUT_VARIATIONS], variation),
            "is_holdback": pa.array(is_holdback),
        }

    def _conversion_columns(self, taken: slice, event: Ints) -> dict[str, pa.Array]:
        chunk = self._chunk
        visit = chunk.rows.visit[taken]
        details = chunk.row_details[taken]
        is_purchase = event == world.PURCHASE
        is_cart = event == world.CART
        has_quantity = np.array([one.reports_quantity for one in world.EVENTS])[event]
        quantity = np.where(is_purchase | (is_cart & (details % 2 == 0)), 1 + details % 4, 0)
        revenue = np.where(is_purchase, 490 + (details >> 3) % 9500 * quantity, 0).astype(np.int64)
        return {
            "experiments": self._experiments.take(pa.array(chunk.attribution_places[visit])),
            "entity_id": _pick([one.entity_id for one in world.EVENTS], event),
            "event_type": _pick([one.event_type for one in world.EVENTS], event),
            "event_name": _pick([one.name for one in world.EVENTS], event),
            "revenue": pa.array(revenue),
            "value": pa.array(revenue / 100 + np.where(is_cart, (details >> 5) % 97 / 7, 0.0)),
            "quantity": pa.array(quantity.astype(np.int64), mask=~has_quantity),
            "tags": self._tags.take(pa.array((details >> 7) % len(pools.TAGS))),
        }


def in_order(table: spec.Table, columns: dict[str, pa.Array]) -> pa.Table:
    """A table of the columns there are, in the specification's order."""
    names = [column.name for column in table.columns if column.name in columns]
    return pa.table([columns[name] for name in names], names=names)


def empty_table(table: spec.Table) -> pa.Table:
    """A table without a row."""
    columns = {column.name: _nothing(column.kind, 0) for column in table.columns}
    return in_order(table, columns)


def _without_attribution(part: pa.Table, way: int) -> pa.Table:
    """In the new era `experiments` is NULL, an empty list or no column: all three occur."""
    if way == 0:
        return part
    place = part.schema.get_field_index("experiments")
    if way == 1:
        return part.remove_column(place)
    field = part.schema.field(place)
    return part.set_column(place, field, pa.array([[]] * len(part), type=field.type))


def _nothing(kind: str, size: int) -> pa.Array:
    return pa.nulls(size, type=pools.ARROW_TYPES[kind])


def _pick(texts: Sequence[str | None], places: npt.NDArray[np.generic]) -> pa.Array:
    """Texts by place: stored once, however many rows there are.

    A dictionary must not repeat a value: pyarrow then writes uninitialised memory after it.
    """
    values = list(dict.fromkeys(text for text in texts if text is not None))
    codes = np.array([-1 if text is None else values.index(text) for text in texts], dtype=np.int32)
    picked = codes[places]
    return pa.DictionaryArray.from_arrays(
        pa.array(picked, mask=picked < 0), pa.array(values, type=pa.string())
    )


def _texts(characters: Bytes) -> pa.Array:
    """Rows of ASCII characters, all of one width, as texts."""
    size, width = characters.shape
    offsets = np.arange(0, size * width + 1, width, dtype=np.int32)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(characters))]
    return pa.Array.from_buffers(pa.string(), size, buffers)


def _uuid_texts(uuid: Bytes, is_lower: Flags) -> pa.Array:
    digits = HEX[uuid].reshape(len(uuid), 32)
    texts = np.full((len(uuid), 36), ord("-"), dtype=np.uint8)
    for group, (start, end) in enumerate(((0, 8), (8, 12), (12, 16), (16, 20), (20, 32))):
        texts[:, start + group : end + group] = digits[:, start:end]
    texts[is_lower] |= LOWER_CASE
    return _texts(texts)
