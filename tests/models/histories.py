"""Adversarial histories: sequences of loads that try to make an incremental build go wrong.

A history is what one small export looks like at each load. Between two loads days appear, late
events arrive, days are rewritten, emptied and filled again, and copies of events turn up where
nobody expects them. The visitors' events lie on a grid of very few instants and gaps, because the
rules of docs/counting.md are decided by ties and by single milliseconds, which free random times
would never hit.

Everything is built from one `random.Random(seed)`, so a history is the same whenever it is asked
for. One that fails can be looked at with fewer visitors or loads: `history(seed, visitors=5,
loads=2)`.
"""

import hashlib
import io
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from loader.spec import (
    ATTRIBUTES,
    BOOLEAN,
    CONVERSIONS,
    DECISIONS,
    DOUBLE,
    ELEMENT_FIELDS,
    EXPERIMENTS,
    LONG,
    TABLES,
    TEXT,
    TEXT_MAP,
    TIMESTAMP,
    Table,
)

Row = dict[str, Any]
ExportFile = tuple[str, list[Row]]
"""A file's key from `type=` on, and its rows. A column that no row has is absent from the file."""
Day = tuple[str, date]
State = dict[Day, list[ExportFile]]
"""What the export holds at one load: a day without files is there but empty; others are absent."""

MS = timedelta(milliseconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
HALF_HOUR = 30 * MINUTE
EPOCH = datetime(1970, 1, 1)

FIRST_DATE = date(2024, 2, 27)
"""Just before a leap day and the end of a month."""
FIRST_DAYS = 4
DAYS_APART = timedelta(days=30)
"""From the first day of a history to the first day of the next that stands beside it."""
ACCOUNT_ID = "596780373"

CLOCKS = (
    timedelta(0),
    10 * HOUR,
    12 * HOUR + 30 * MINUTE + 500 * MS,
    23 * HOUR + 45 * MINUTE,
    24 * HOUR - MS,
)
"""Where in a day visitors start: few places, two of them at midnight."""
GAPS = (
    timedelta(0),
    timedelta(0),
    MS,
    10 * MINUTE,
    HALF_HOUR - MS,
    HALF_HOUR - MS,
    HALF_HOUR,
    HALF_HOUR,
    HALF_HOUR + MS,
    5 * HOUR,
    DAY,
    DAY + MS,
    2 * DAY,
)
DELAYS = (
    timedelta(0),
    timedelta(0),
    timedelta(seconds=1),
    5 * MINUTE,
    # Client clocks run ahead: an event may be received before it happened.
    -20 * MINUTE,
)
CHAIN_STEPS = 49
"""The fewest steps of less than 30 minutes that reach 24 hours."""

EXPERIMENTS_POOL: dict[str, tuple[str, ...]] = {
    # Ids of unlike length: by text '18…' is smallest, by length '99…' is.
    "9300000077": ("18112613000", "9900000001", "18174970251"),
    "18142600572": ("18130191769", "18159011346", "9900000002"),
    "18156943409": ("9900000003", "9900000004", "18174970252"),
}
RARE_VARIATION = "9900000001"
"""Only rewritten days bring it, and take it away. While it is there it is the baseline: the results
of all other variations change."""
UNKNOWN_EXPERIMENT = "70000000000000000001"
ARMLESS_EXPERIMENT = "9300000078"
"""Nothing ever names a variation of it."""
CAMPAIGNS = ("18128690585", "18149940006", "", None)

EVENTS: tuple[tuple[str, str], ...] = (
    ("purchase", "15776040040"),
    ("add_to_cart", "15776040041"),
    # Names are outside input: quotes, a percent sign, a colon, unicode.
    ("naïve 'quote\": 50% 🙂", "15776040042"),
    ("15776040043", "15776040043"),
)
RARE_EVENT = "15776040043"
EVENT_WEIGHTS = (40, 30, 30, 0.35)
"""The last event is so rare that its metrics appear, and go, from load to load: every counted
visitor of the experiment then gains or loses observations, touched by the load or not."""
ODD_VISITORS = ("O'Brien", "V0001", "v0001", "a:b", "visitor é 🙂", "row-1-1")
"""Ids that differ in case only, or hold what a careless join or key would trip over."""

REVENUES = (None, 0, 0, 0, 1, 1000, 2550, -500)
VALUES = (None, 0.0, 0.0, 0.125, 10.5, 9999.875, -3.25)
"""Multiples of 0.125: sums of doubles, and of their squares, are exact in any order."""
ABSURD_VALUES = (math.nan, math.inf, -math.inf, 1e300, -1e150)
"""All of them mean NULL."""
HUGE_REVENUE = 2**62
"""Twice this is more than a bigint holds."""
QUANTITIES = (None, 0, 1, 3, -1)
EVENT_TYPES = (None, "", "client_activation", "custom", "custom", "Custom")
TAGS: tuple[dict[str, str | None] | None, ...] = (
    None,
    {},
    {"a": "b"},
    {"a": "B", "plan": "gold"},
    {"a": "1", "it's": None, "🙂": ""},
    {"it's": '50%, "x": y', "plan": "gold"},
)
"""Keys and values that a metric may ask for, also in the other letter case, NULL and ''."""

BOT_KEY = "$opt_bot_filtering"
BOTS: tuple[tuple[str | None, str | None, str | None], ...] = (
    (None, BOT_KEY, "true"),
    ("100", BOT_KEY, "\ue000true"),
    ("100", BOT_KEY, "\ue000\ue000true"),
    (None, BOT_KEY, "TRUE"),
    (BOT_KEY, None, "true"),
    (BOT_KEY, None, "\ue000True"),
)
"""(id, name, value) of elements that flag a bot."""
NOT_BOTS: tuple[tuple[str | None, str | None, str | None], ...] = (
    (None, BOT_KEY, "false"),
    (None, BOT_KEY, "\ue000FALSE"),
    (BOT_KEY, "other", "true"),
    (None, BOT_KEY.upper(), "true"),
    (None, "bot_filtering", "true"),
    (None, BOT_KEY, None),
    (None, BOT_KEY, ""),
    (BOT_KEY, None, "false"),
    ("true", BOT_KEY, "1"),
    ("100", None, "true"),
)
"""(id, name, value) of elements that do not, however near they come."""

PLAIN_ATTRIBUTES: tuple[tuple[str | None, str | None, str | None, str | None], ...] = (
    ("300", None, None, "iphone"),
    ("300", None, "custom", "desktop"),
    (None, "plan", None, "gold"),
    (None, "plan", "custom", "\ue000gold"),
    (None, "plan", "metadata", "silver"),
    # What looks like a plan: an id beside a name, an id of metadata, the name of another type.
    ("plan", "tier", "custom", "bronze"),
    ("plan", None, "metadata", "bronze"),
    (None, "plan", "device", "iphone"),
    ("device", None, None, "desktop"),
    (None, None, "device", "\ue000"),
    (None, "plan", "custom", None),
    (None, None, "device", None),
    (None, "plan", "", "bronze"),
)
"""(id, name, type, value) of elements that segments may be of, and of some that only look so."""

BOT_AGENTS = (
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (X11; Linux x64) HeadlessChrome/117.0.0.0 Safari/537.36",
    "mozilla/5.0 (compatible; bingbot/2.0)",
    "FACEBOOKEXTERNALHIT/1.1",
    "ahrefsbot",
)
"""User agents with a shipped pattern: in the middle, at an end, in other letter case, and alone."""
PEOPLE_AGENTS = (
    None,
    "",
    'Mozilla/5.0 "quoted", it\'s',
    # Near misses: a phone, an app, a library that the vendor's SDKs send with, half a name.
    "Mozilla/5.0 (Linux; Android 9; CUBOT_X19) AppleWebKit/537.36 Chrome/117.0.0.0 Mobile",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 16_6) [LinkedInApp]",
    "python-requests/2.31.0",
    "headless chrome",
    # What would match one of SPECIAL_PATTERNS if its characters had a meaning.
    "shopXapp/1.0 500 of 500",
    "shop_app/1.0 50% of 500",
    "two  blanks, None",
)
"""User agents without a shipped pattern."""
SPECIAL_PATTERNS = ("P_app/1.0 50%", ".*", "[LINKEDINAPP]", None, "", "  ", "None")
"""Other patterns: characters that mean something in LIKE or in a regular expression; blank ones."""

BURST_LIMIT = 5
"""Events a minute that bursts go around: some have so many, some one more."""

OPTIONAL_COLUMNS = {
    table.export_type: tuple(column.name for column in table.columns if not column.is_required)
    for table in TABLES.values()
}
FOLDERS = {
    DECISIONS.export_type: (
        "experiment=18156943409",
        "experiment=18142600572",
        "experiment=__HIVE_DEFAULT_PARTITION__",
    ),
    CONVERSIONS.export_type: (
        "event=purchase",
        "event=NULL",
        "event=naïve %27quote%22%3A 50%25 🙂",
    ),
}
"""Folders lie about what is in their files here: only the columns are to be trusted."""


@dataclass(frozen=True)
class History:
    """A sequence of loads. Prints as its seed: that is what it takes to build it again."""

    seed: int
    visitors: int
    loads: int
    states: list[State] = field(repr=False, compare=False)


def history(
    seed: int,
    visitors: int = 200,
    loads: int = 6,
    first_date: date = FIRST_DATE,
    prefix: str = "",
) -> History:
    """The first state and `loads` later ones, always the same for the same arguments.

    Args:
        seed: Decides everything else.
        visitors: How many there are.
        loads: How many follow the first one.
        first_date: The first day of the export.
        prefix: Begins the id of every visitor.
    """
    generator = _Generator(seed, visitors, loads, first_date, prefix)
    return History(seed, visitors, loads, generator.states())


def side_by_side(seeds: Sequence[int], loads: int) -> list[State]:
    """The states of one export that holds several histories, each with its own days and visitors.

    Building them together costs hardly more than building one.
    """
    states: list[State] = [{} for _ in range(loads + 1)]
    for number, seed in enumerate(seeds):
        first_date = FIRST_DATE + number * DAYS_APART
        one = history(seed, loads=loads, first_date=first_date, prefix=f"{number}-" * (number > 0))
        for state, part in zip(states, one.states, strict=True):
            assert not state.keys() & part.keys()
            state.update(part)
    return states


def file_id(relative_key: str) -> int:
    """The loader's `_file_id`: a signed 64-bit hash of the key from `type=` on."""
    digest = hashlib.sha256(relative_key.encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def landed_rows(state: State) -> tuple[list[Row], list[Row]]:
    """Decisions and conversions as they are landed from a state: the input of the twin."""
    landed: dict[str, list[Row]] = {export_type: [] for export_type in TABLES}
    for (export_type, export_date), files in state.items():
        columns = [column.name for column in TABLES[export_type].columns]
        for relative_key, rows in files:
            for file_row, row in enumerate(rows):
                landed[export_type].append(
                    {
                        **{column: row.get(column) for column in columns},
                        "_export_date": export_date,
                        "_file_id": file_id(relative_key),
                        "_file_row": file_row,
                    }
                )
    return landed[DECISIONS.export_type], landed[CONVERSIONS.export_type]


def conversions_landed_until(state: State) -> date | None:
    """The newest landed day of conversions, also where it has no rows."""
    days = [day for export_type, day in state if export_type == CONVERSIONS.export_type]
    return max(days, default=None)


def last_day(state: State, export_type: str) -> date:
    """The newest day of a type that is there, with rows or without."""
    return max(day for day_type, day in state if day_type == export_type)


def write_state(folder: Path, state: State) -> Path:
    """Make a folder hold exactly this state as an export, and return the folder above `type=`.

    A file that already has the right bytes is not touched and keeps its modification time.
    """
    root = folder / "v1" / "account_id=1"
    wanted: dict[Path, bytes] = {}
    for (export_type, export_date), files in state.items():
        wanted[root / _day_folder(export_type, export_date) / "_SUCCESS"] = b""
        for relative_key, rows in files:
            wanted[root / relative_key] = parquet_bytes(relative_key, rows)

    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_file() and path not in wanted:
            path.unlink()
        elif path.is_dir() and not any(path.iterdir()):
            # Sorted in reverse, a folder comes after what was in it.
            path.rmdir()
    for path, content in wanted.items():
        if path.exists() and path.read_bytes() == content:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    root.mkdir(parents=True, exist_ok=True)
    return root


TIMESTAMP_SHAPES = ("millis_utc", "plain_int64", "int96", "micros_utc")


def timestamp_shape(relative_key: str) -> str:
    """How a file holds its timestamps: decided by its key, so that it never changes."""
    return TIMESTAMP_SHAPES[file_id(relative_key) % len(TIMESTAMP_SHAPES)]


def parquet_bytes(relative_key: str, rows: list[Row]) -> bytes:
    """The Parquet file of some rows, the same bytes each time."""
    shape = timestamp_shape(relative_key)
    table = TABLES[relative_key.split("/", 1)[0].removeprefix("type=")]
    arrays: dict[str, pa.Array] = {}
    for column in table.columns:
        # A file without rows has all columns; otherwise a column that no row has is absent.
        if rows and not any(column.name in row for row in rows):
            continue
        values = [row.get(column.name) for row in rows]
        if column.kind == TEXT_MAP:
            values = [None if value is None else list(value.items()) for value in values]
        if column.kind == TIMESTAMP and shape == "plain_int64":
            values = [None if value is None else (value - EPOCH) // MS for value in values]
        arrays[column.name] = pa.array(values, type=_arrow_type(column.kind, shape))
    target = io.BytesIO()
    pq.write_table(
        pa.table(arrays),
        target,
        compression="snappy",
        use_deprecated_int96_timestamps=shape == "int96",
    )
    return target.getvalue()


def _arrow_type(kind: str, shape: str) -> pa.DataType:
    """The Arrow type in which a file of this timestamp shape holds a column of this kind."""
    timestamps = {
        "millis_utc": pa.timestamp("ms", tz="UTC"),
        "plain_int64": pa.int64(),
        "int96": pa.timestamp("us"),
        "micros_utc": pa.timestamp("us", tz="UTC"),
    }
    simple = {
        TEXT: pa.string(),
        LONG: pa.int64(),
        DOUBLE: pa.float64(),
        BOOLEAN: pa.bool_(),
        TEXT_MAP: pa.map_(pa.string(), pa.string()),
        TIMESTAMP: timestamps[shape],
    }
    if kind in (ATTRIBUTES, EXPERIMENTS):
        fields = [
            pa.field(name, pa.bool_() if name == "is_holdback" else pa.string())
            for name in ELEMENT_FIELDS[kind]
        ]
        return pa.list_(pa.struct(fields))
    return simple[kind]


def _holds_rare_arm(files: list[ExportFile]) -> bool:
    return any(row.get("variation_id") == RARE_VARIATION for _, rows in files for row in rows)


def _day_folder(export_type: str, export_date: date) -> str:
    return f"type={export_type}/date={export_date.isoformat()}"


@dataclass
class _Visitor:
    """What is constant about a visitor, so that their events make sense together."""

    visitor_id: str
    instants: list[datetime]
    decision_share: float
    home: dict[str, str]
    crossover_share: float
    holdbacks: tuple[bool | None, ...]
    bot_share: float
    robot_share: float
    """How often the user agent is a bot's."""
    vendor_style: str
    late_share: float
    odd_share: float
    """How often the visitor or the time is missing, times what is usual."""
    is_rich: bool = False
    """Spends more than doubles can add exactly, and so is never exposed to anything."""


class _Generator:
    """Builds one history. Every choice comes from `self.rng`, in one fixed order."""

    def __init__(self, seed: int, visitors: int, loads: int, first_date: date, prefix: str) -> None:
        self.rng = random.Random(seed)
        self.prefix = prefix
        # How many days each load adds; 0 is a load that only rewrites.
        self.new_days = [self.rng.choice((0, 1, 1, 2)) for _ in range(loads)]
        self.dates = [
            first_date + timedelta(days=n) for n in range(FIRST_DAYS + sum(self.new_days))
        ]
        self.visitors = self._visitors(visitors)
        self.rich = self._rich_visitors()
        self.nobody = self._nobody()
        self.rows: dict[Day, list[Row]] = {
            (export_type, day): [] for export_type in TABLES for day in self.dates
        }
        self.brings_rare_arm = True
        self._fill_days()

    # --- the sequence of loads

    def states(self) -> list[State]:
        """All states, the first one and one per load."""
        waiting = {day: self._files(day, rows) for day, rows in self.rows.items()}
        state: State = {}
        self._publish(state, waiting, FIRST_DAYS)
        states = [state]
        published = FIRST_DAYS
        idle = forgetful = None
        if len(self.new_days) > 2:
            idle, forgetful = self.rng.sample(range(len(self.new_days)), k=2)
        for number, new_days in enumerate(self.new_days):
            # A shallow copy: a day nobody touches stays the very same list of the same files.
            state = dict(state)
            old_days = sorted(state)
            published += new_days
            # One load finds nothing new at all, and one next to nothing; the next one catches up.
            if number == forgetful:
                self._forget_the_nameless(state)
            elif number != idle:
                self._rewrite_days(state, old_days)
                self._publish(state, waiting, published)
            states.append(state)
        return states

    def _publish(self, state: State, waiting: State, published: int) -> None:
        """Move the days that are due into the state; one in five of them comes later than due."""
        for day in sorted(waiting):
            if day[1] < self.dates[0] + timedelta(days=published) and self.rng.random() >= 0.2:
                state[day] = waiting.pop(day)

    def _rewrite_days(self, state: State, days: list[Day]) -> None:
        """Write some days again: that is what an incremental build has to notice."""
        chosen = self.rng.sample(days, k=min(len(days), self.rng.choice((2, 3, 4, 5))))
        emptied = [day for day in days if not state[day] and self.rows[day]]
        if emptied and self.rng.random() < 0.5:
            # What went comes back: the visitors it took along are to be there again.
            day = self.rng.choice(emptied)
            state[day] = self._files(day, self.rows[day])
            chosen = [other for other in chosen if other != day]
        rare_days = [day for day in days if _holds_rare_arm(state[day])]
        self.brings_rare_arm = not rare_days or self.rng.random() < 0.3
        if not self.brings_rare_arm:
            # A variation is gone only once no day brings it any more.
            chosen += [day for day in rare_days if day not in chosen]
        for day in chosen:
            files = state[day]
            kind = self.rng.choices(
                ("change", "one_file", "rename", "empty"), weights=(50, 15, 15, 20)
            )[0]
            if not self.brings_rare_arm and day in rare_days:
                kind = self.rng.choice(("change", "change", "empty"))
            if kind == "empty":
                state[day] = []
            elif kind == "rename":
                # The same rows under new names: only the ids of rows without a uuid change.
                state[day] = [(self._new_key(day), rows) for _, rows in files]
            elif kind == "one_file" and files:
                kept = list(files)
                _, rows = kept.pop(self.rng.randrange(len(kept)))
                state[day] = kept + self._files(day, self._rewritten(state, day, rows))
            else:
                rows = [row for _, file_rows in files for row in file_rows]
                state[day] = self._files(day, self._rewritten(state, day, rows))

    def _forget_the_nameless(self, state: State) -> None:
        """Take every row without a visitor out of one day, where all of them say ''."""
        for day, files in sorted(state.items()):
            rows = [row for _, file_rows in files for row in file_rows]
            nameless = [row["visitor_id"] for row in rows if not row["visitor_id"]]
            if nameless and None not in nameless:
                state[day] = self._files(day, [row for row in rows if row["visitor_id"]])
                return

    def _rewritten(self, state: State, day: Day, rows: list[Row]) -> list[Row]:
        """The rows of a day written again: some removed, some changed, some added."""
        result: list[Row] = []
        for row in rows:
            fate = self.rng.random()
            is_rare = row.get("variation_id") == RARE_VARIATION or RARE_EVENT in (
                row.get("event_name"),
                row.get("entity_id"),
            )
            if fate < 0.12 or (is_rare and fate < 0.95):
                continue
            result.append(self._changed(day[0], row) if fate < 0.3 else row)
        for _ in range(self.rng.randint(2, 8)):
            result.append(self._new_row(day))
        is_decisions = day[0] == DECISIONS.export_type
        if is_decisions and self.brings_rare_arm and self.rng.random() < 0.8:
            # A decision of a visitor who has no other, so that nothing else comes before it.
            newcomer = f"{self.prefix}newcomer_{self.rng.randrange(3)}"
            experiment_id = next(iter(EXPERIMENTS_POOL))
            result.append(
                self._new_row(day)
                | {
                    "visitor_id": newcomer,
                    "experiment_id": experiment_id,
                    "variation_id": RARE_VARIATION,
                    "is_holdback": False,
                }
            )
        elsewhere = [
            row
            for (export_type, _), files in sorted(state.items())
            if export_type == day[0]
            for _, file_rows in files
            for row in file_rows
            if self.brings_rare_arm or row.get("variation_id") != RARE_VARIATION
        ]
        for row in self.rng.sample(elsewhere, k=min(len(elsewhere), 4)):
            result.append(self._copy(day[0], row))
        self.rng.shuffle(result)
        return result

    def _new_row(self, day: Day) -> Row:
        """A row that an earlier load could not see: on or beside an instant of a visitor."""
        is_decision = day[0] == DECISIONS.export_type
        visitor = self.rng.choice(self.visitors + ([] if is_decision else self.rich))
        moved = self.rng.choice((1, -1)) * self.rng.choice(GAPS)
        occurred_at = self.rng.choice(visitor.instants) + moved
        row = self._row(day[0], visitor, occurred_at)
        if row["process_timestamp"] is not None:
            row["process_timestamp"] = self._within(day[1], row["process_timestamp"])
        return row

    # --- files

    def _files(self, day: Day, rows: list[Row]) -> list[ExportFile]:
        """Some rows as part files under new names."""
        if not rows:
            return []
        parts: list[list[Row]] = [[] for _ in range(self.rng.choice((1, 2, 3)))]
        for row in rows:
            self.rng.choice(parts).append(row)
        if self.rng.random() < 0.05:
            # Spark writes parts without rows as well.
            parts.append([])
        return [(self._new_key(day), self._without_columns(day[0], part)) for part in parts]

    def _without_columns(self, export_type: str, rows: list[Row]) -> list[Row]:
        """The rows of one file, now and then with whole columns gone."""
        if self.rng.random() >= 0.3:
            return rows
        absent = self.rng.sample(OPTIONAL_COLUMNS[export_type], k=self.rng.choice((1, 3, 6)))
        return [{name: row[name] for name in row if name not in absent} for row in rows]

    def _new_key(self, day: Day) -> str:
        folder = self.rng.choice(FOLDERS[day[0]])
        part = self.rng.randrange(3)
        return f"{_day_folder(*day)}/{folder}/part-{part:05}-{self._uuid()}.c000.snappy.parquet"

    # --- visitors

    def _visitors(self, count: int) -> list[_Visitor]:
        """The visitors. Patterns take turns, so that even 40 visitors show each of them."""
        patterns: list[tuple[Callable[[datetime], list[datetime]], int]] = [
            (self._exactly_a_day, 1),
            (self._a_day_and_a_millisecond, 1),
            (self._two_limits, 1),
            (self._days_on_end, 1),
            (self._at_the_edges, 14),
            (self._few_instants, 10),
            (self._one_instant, 6),
            (self._burst, 6),
            (self._hardly_there, 6),
        ]
        chains = [pattern for pattern, _ in patterns[:4]]
        turns = [pattern for pattern, weight in patterns for _ in range(weight)]
        self.rng.shuffle(turns)
        odd = list(ODD_VISITORS) if count > 2 * len(ODD_VISITORS) else []
        names = odd + [f"visitor_{number}" for number in range(count - len(odd))]
        visitors: list[_Visitor] = []
        for number, name in enumerate(names):
            pattern = turns[number % len(turns)]
            is_chain = pattern in chains
            # A long session has to be over before the last day.
            start_date = self.rng.choice(self.dates[:FIRST_DAYS] if is_chain else self.dates[:-1])
            start = datetime.combine(start_date, datetime.min.time()) + self.rng.choice(CLOCKS)
            instants = pattern(start)
            visitors.append(
                _Visitor(
                    visitor_id=self.prefix + name,
                    instants=instants,
                    decision_share=self.rng.choice((0.0, 0.3, 0.5, 0.5, 1.0)),
                    home={
                        experiment_id: self._arm(experiment_id)
                        for experiment_id in EXPERIMENTS_POOL
                    },
                    crossover_share=self.rng.choice((0.0, 0.0, 0.0, 0.4)),
                    holdbacks=self.rng.choice(
                        (
                            (False,),
                            (False,),
                            (False, None),
                            (None,),
                            (True, False, None),
                            (True, True, True, False),
                            (True,),
                        )
                    ),
                    bot_share=self.rng.choice((0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.3)),
                    robot_share=self.rng.choice((0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.3)),
                    vendor_style=self.rng.choice(("none", "home", "home", "chaos")),
                    # A long session is cut into pieces by any one event that is missing.
                    late_share=0.01 if is_chain else 0.15,
                    # Bursts have events without a time beside those that are too many.
                    odd_share=0.1 if is_chain else 3.0 if pattern == self._burst else 1.0,
                )
            )
        return visitors

    def _rich_visitors(self) -> list[_Visitor]:
        """Visitors of conversions alone, which the vendor attributes to nothing."""
        midnight = datetime.combine(self.dates[0], datetime.min.time())
        return [
            _Visitor(
                visitor_id=f"{self.prefix}rich_{number}",
                instants=[midnight + 10 * HOUR + self.rng.choice((MS, MINUTE))] * 4,
                decision_share=0.0,
                home={},
                crossover_share=0.0,
                holdbacks=(False,),
                bot_share=0.0,
                robot_share=0.0,
                vendor_style="none",
                late_share=0.15,
                odd_share=1.0,
                is_rich=True,
            )
            for number in range(2)
        ]

    def _nobody(self) -> _Visitor:
        """Events of no visitor, so many in a minute that a visitor would be a bot."""
        minute = datetime.combine(self.dates[1], datetime.min.time()) + 10 * HOUR
        return _Visitor(
            visitor_id="",
            instants=[minute] * 3 * BURST_LIMIT,
            decision_share=0.5,
            home={experiment_id: self._arm(experiment_id) for experiment_id in EXPERIMENTS_POOL},
            crossover_share=0.0,
            holdbacks=(False,),
            bot_share=0.0,
            robot_share=0.0,
            vendor_style="home",
            late_share=0.0,
            odd_share=0.0,
        )

    def _chain(self, start: datetime, length: timedelta) -> list[datetime]:
        """Instants from start to start + length, both included, with gaps below 30 minutes."""
        # Twice the steps survive the removal of an event, the fewest possible do not.
        steps = self.rng.choice((CHAIN_STEPS, 2 * CHAIN_STEPS))
        milliseconds = length // MS
        return [start + (milliseconds * step // steps) * MS for step in range(steps + 1)]

    def _exactly_a_day(self, start: datetime) -> list[datetime]:
        """24 hours are one session; sometimes one millisecond more follows, which is not."""
        chain = self._chain(start, DAY)
        return chain + self.rng.choice(([], [start + DAY + MS], [start + DAY + 10 * MINUTE]))

    def _a_day_and_a_millisecond(self, start: datetime) -> list[datetime]:
        """The last event of the chain is the first one of the next session."""
        return self._chain(start, DAY + MS)

    def _two_limits(self, start: datetime) -> list[datetime]:
        """The second session's own 24 hours begin at the cut: they end exactly, then are passed."""
        cut = start + DAY + MS
        return self._chain(start, DAY + MS) + self._chain(cut, DAY)[1:] + [cut + DAY + MS]

    def _days_on_end(self, start: datetime) -> list[datetime]:
        """Two and a half days of gaps one millisecond short of 30 minutes."""
        return [start + number * (HALF_HOUR - MS) for number in range(122)]

    def _at_the_edges(self, start: datetime) -> list[datetime]:
        instants = [start]
        for _ in range(self.rng.randint(4, 16)):
            instants.append(instants[-1] + self.rng.choice(GAPS))
        return instants

    def _few_instants(self, start: datetime) -> list[datetime]:
        pool = [start, start + self.rng.choice(GAPS), start + self.rng.choice(GAPS)]
        return [self.rng.choice(pool) for _ in range(self.rng.randint(3, 12))]

    def _one_instant(self, start: datetime) -> list[datetime]:
        """A client that sends all it has in one batch."""
        return [start] * self.rng.randint(2, 8)

    def _burst(self, start: datetime) -> list[datetime]:
        """As many events as the limit, or one more, in a minute of the clock, or across its end."""
        minute = start.replace(second=0, microsecond=0)
        last = minute + MINUTE - MS
        count = BURST_LIMIT + self.rng.choice((0, 1))
        within = [minute, last] + [self.rng.choice((minute, last)) for _ in range(count - 2)]
        # All within one minute, but of two minutes of the clock.
        across = [last] * BURST_LIMIT + [last + MS] * BURST_LIMIT
        return self.rng.choice((within, within, across))

    def _hardly_there(self, start: datetime) -> list[datetime]:
        return [start, start + self.rng.choice(GAPS)][: self.rng.choice((1, 2))]

    # --- rows

    def _fill_days(self) -> None:
        """Give every visitor's events, and the copies of some, to the days that receive them."""
        for visitor in [*self.visitors, *self.rich, self.nobody]:
            decisions: list[Row] = []
            for occurred_at in visitor.instants:
                table = DECISIONS if self.rng.random() < visitor.decision_share else CONVERSIONS
                row = self._row(table.export_type, visitor, occurred_at)
                if table is CONVERSIONS and decisions and self.rng.random() < 0.03:
                    # A decision and a conversion with one uuid are two events, and so they are
                    # where each of them is there twice.
                    decision = self.rng.choice(decisions)
                    row["uuid"] = decision["uuid"]
                    if self.rng.random() < 0.5:
                        self._receive_copy(DECISIONS, decision)
                        self._receive_copy(CONVERSIONS, row)
                if table is DECISIONS:
                    if not decisions and self.rng.random() < 0.2:
                        if self.rng.random() < 0.1:
                            row["process_timestamp"] = None
                        self._receive(table, self._rival(row))
                    decisions.append(row)
                self._receive(table, row)
        for rows in self.rows.values():
            # Some days say '' only, never NULL: then one of the two can go without the other.
            if self.rng.random() < 0.5:
                for row in rows:
                    row["visitor_id"] = row["visitor_id"] or ""

    def _rival(self, decision: Row) -> Row:
        """Another decision of one instant, for another variation: only the order tells them apart.

        What was received at a known time goes first, and where both were, or neither, the smaller
        event id: of uuids in lower case, which by their bytes may well be in the other order.
        """
        rival = decision | {"uuid": self._uuid()}
        if decision["experiment_id"] in EXPERIMENTS_POOL:
            rival["variation_id"] = self._arm(decision["experiment_id"])
        for row in self.rng.choice(((), (rival,), (rival, decision))):
            row["process_timestamp"] = None
        return rival

    def _receive(self, table: Table, row: Row) -> None:
        """Put a row into the day of its receipt, and sometimes a copy of it into some day."""
        day = self._day_of_receipt(row)
        if row["process_timestamp"] is not None:
            row["process_timestamp"] = self._within(day, row["process_timestamp"])
        self.rows[table.export_type, day].append(row)
        if self.rng.random() < 0.09:
            self._receive_copy(table, row)

    def _receive_copy(self, table: Table, row: Row) -> None:
        """Put a copy of a row into the day of its receipt, or into any other."""
        day = self._day_of_receipt(row)
        copy = self._copy(table.export_type, row)
        if self.rng.random() < 0.15:
            # In the same day the time of receipt decides, unless one of them has none.
            copy["process_timestamp"] = None
            self.rows[table.export_type, day].append(copy)
            return
        other = self.rng.choice((day, self.rng.choice(self.dates)))
        # Half of the copies are received in their new day; the others keep a receipt that
        # contradicts the order of the export dates, which is what must win.
        if copy["process_timestamp"] is not None and self.rng.random() < 0.5:
            copy["process_timestamp"] = self._within(other, copy["process_timestamp"])
        self.rows[table.export_type, other].append(copy)

    def _day_of_receipt(self, row: Row) -> date:
        received_at: datetime | None = row["process_timestamp"] or row["timestamp"]
        day = self.rng.choice(self.dates) if received_at is None else received_at.date()
        return min(max(day, self.dates[0]), self.dates[-1])

    def _within(self, day: date, moment: datetime) -> datetime:
        """The moment moved to a day, by whole days."""
        return datetime.combine(day, moment.time())

    def _row(self, export_type: str, visitor: _Visitor, occurred_at: datetime) -> Row:
        """One event of a visitor, with every column of its type."""
        rng = self.rng
        delay = rng.choice(DELAYS)
        if rng.random() < visitor.late_share:
            delay += rng.randint(1, 6) * DAY
        row: Row = {
            "uuid": self._rarely(0.035, (None, ""), self._uuid),
            "timestamp": self._rarely(0.01 * visitor.odd_share, (None,), lambda: occurred_at),
            "process_timestamp": self._rarely(0.02, (None,), lambda: occurred_at + delay),
            "visitor_id": self._rarely(
                0.012 * visitor.odd_share, (None, ""), lambda: visitor.visitor_id
            ),
            "session_id": rng.choice((None, "", str(rng.randint(-(2**31), 2**31 - 1)))),
            "account_id": ACCOUNT_ID,
            "attributes": self._attributes(rng.random() < visitor.bot_share),
            "user_ip": rng.choice(("75.111.77.0", None)),
            "user_agent": self._user_agent(rng.random() < visitor.robot_share),
            "referer": rng.choice(("https://example.com/?a=1&b=%27", None)),
            "revision": rng.choice((None, "17")),
            "client_engine": "python-sdk",
            "client_version": "4.1.0",
        }
        if export_type == DECISIONS.export_type:
            usual = rng.choice(list(EXPERIMENTS_POOL))
            experiment_id = self._rarely(0.03, (ARMLESS_EXPERIMENT,), lambda: usual)
            row |= {
                "campaign_id": rng.choice(CAMPAIGNS),
                "experiment_id": self._rarely(0.08, (None, ""), lambda: experiment_id),
                "variation_id": self._variation(visitor, experiment_id),
                "is_holdback": rng.choice(visitor.holdbacks),
            }
        else:
            name, entity = rng.choices(EVENTS, weights=EVENT_WEIGHTS)[0]
            blank = rng.choice((None, ""))
            row["event_name"], row["entity_id"] = rng.choices(
                ((name, entity), (blank, entity), (name, blank), (blank, blank)),
                weights=(70, 15, 10, 5),
            )[0]
            row |= {
                "event_type": rng.choice(EVENT_TYPES),
                "revenue": HUGE_REVENUE if visitor.is_rich else rng.choice(REVENUES),
                "value": self._value(),
                "quantity": rng.choice(QUANTITIES),
                "experiments": self._experiments(visitor),
                "tags": rng.choice(TAGS),
                "properties": rng.choice((None, {}, {"plan": "gold"})),
            }
        return row

    def _arm(self, experiment_id: str) -> str:
        """Any variation of an experiment but the rare one."""
        variations = EXPERIMENTS_POOL[experiment_id]
        return self.rng.choice([v for v in variations if v != RARE_VARIATION])

    def _variation(self, visitor: _Visitor, experiment_id: str) -> str | None:
        if experiment_id == ARMLESS_EXPERIMENT or self.rng.random() < 0.06:
            return self.rng.choice((None, ""))
        if self.rng.random() < visitor.crossover_share:
            return self._arm(experiment_id)
        return visitor.home[experiment_id]

    def _value(self) -> float | None:
        known: float | None = self._rarely(0.008, ABSURD_VALUES, lambda: self.rng.choice(VALUES))
        return known

    def _user_agent(self, is_bot: bool) -> str | None:
        return self.rng.choice(BOT_AGENTS if is_bot else PEOPLE_AGENTS)

    def _attributes(self, is_bot: bool) -> list[Row] | None:
        flags = [self.rng.choice(BOTS)] if is_bot else []
        if self.rng.random() < 0.2:
            # Also next to a true flag: one element that says true is enough.
            flags.append(self.rng.choice(NOT_BOTS))
        if not flags and self.rng.random() < 0.3:
            return self.rng.choice((None, []))
        elements = [
            (key, name, self.rng.choice((None, "custom")), value) for key, name, value in flags
        ]
        elements.extend(self.rng.sample(PLAIN_ATTRIBUTES, self.rng.randint(0, 3)))
        self.rng.shuffle(elements)
        return [
            {"id": key, "name": name, "type": kind, "value": value}
            for key, name, kind, value in elements
        ]

    def _experiments(self, visitor: _Visitor) -> list[Row] | None:
        if visitor.vendor_style == "none" or self.rng.random() < 0.3:
            return self.rng.choice((None, []))
        if visitor.vendor_style == "home":
            chosen = self.rng.sample(list(EXPERIMENTS_POOL), self.rng.randint(1, 3))
            return [self._element(visitor, key, visitor.home[key]) for key in chosen]
        elements: list[Row] = []
        for _ in range(self.rng.randint(1, 4)):
            # The same experiment is drawn twice often enough, in one variation or in two.
            key = self.rng.choice(list(EXPERIMENTS_POOL))
            element = self._element(visitor, key, self._arm(key))
            element["is_holdback"] = self.rng.choice((False, False, None, True))
            spoiled = self.rng.random()
            if spoiled < 0.1:
                element["experiment_id"] = self.rng.choice((UNKNOWN_EXPERIMENT, "", None))
            elif spoiled < 0.2:
                element["variation_id"] = self.rng.choice(("", None))
            elif spoiled < 0.25:
                element["experiment_id"] = ARMLESS_EXPERIMENT
                element["variation_id"] = self.rng.choice(("", None))
            elements.append(element)
        return elements

    def _element(self, visitor: _Visitor, experiment_id: str, variation_id: str) -> Row:
        return {
            "campaign_id": self.rng.choice(CAMPAIGNS),
            "experiment_id": experiment_id,
            "variation_id": variation_id,
            "is_holdback": self.rng.choice(visitor.holdbacks),
        }

    def _copy(self, export_type: str, row: Row) -> Row:
        """The same event once more: as it is, in the other letter case, or saying other things."""
        copy = dict(row)
        if copy["uuid"] and self.rng.random() < 0.5:
            copy["uuid"] = copy["uuid"].swapcase()
        if self.rng.random() < 0.5:
            copy = self._changed(export_type, copy)
        return copy

    def _changed(self, export_type: str, row: Row) -> Row:
        """The row with one thing changed that some number depends on."""
        changed = dict(row)
        rng = self.rng
        visitor = rng.choice(self.visitors)
        shared = ("time", "time", "visitor", "bot", "robot", "receipt")
        if row.get("revenue") == HUGE_REVENUE:
            # It has to stay with a visitor who is in no experiment.
            what = rng.choice(("time", "bot", "robot", "receipt"))
        elif export_type == DECISIONS.export_type:
            what = rng.choice((*shared, "variation", "variation", "experiment", "holdback"))
        else:
            numbers = ("revenue", "value", "quantity")
            texts = ("event", "experiments", "experiments", "event_type", "tags")
            what = rng.choice((*shared, *numbers, *texts))
        if what == "time":
            known = row["timestamp"] or rng.choice(visitor.instants)
            moved = known + rng.choice((1, -1)) * rng.choice(GAPS[2:])
            changed["timestamp"] = self._rarely(0.05, (None,), lambda: moved)
        elif what == "visitor":
            changed["visitor_id"] = self._rarely(0.2, (None, ""), lambda: visitor.visitor_id)
        elif what == "bot":
            changed["attributes"] = self._attributes(rng.random() < 0.5)
        elif what == "robot":
            changed["user_agent"] = self._user_agent(rng.random() < 0.5)
        elif what == "receipt" and row["process_timestamp"] is not None:
            moved = row["process_timestamp"] + rng.choice((MS, -MS))
            changed["process_timestamp"] = self._rarely(0.2, (None,), lambda: moved)
        elif what == "variation":
            experiment_id = row["experiment_id"] or rng.choice(list(EXPERIMENTS_POOL))
            if experiment_id in EXPERIMENTS_POOL:
                changed["variation_id"] = rng.choice((self._arm(experiment_id), None))
        elif what == "experiment":
            changed["experiment_id"] = rng.choice((*EXPERIMENTS_POOL, "", None))
        elif what == "holdback":
            changed["is_holdback"] = rng.choice((True, False, None))
        elif what == "revenue":
            changed["revenue"] = rng.choice(REVENUES)
        elif what == "value":
            changed["value"] = self._value()
        elif what == "event_type":
            changed["event_type"] = rng.choice(EVENT_TYPES)
        elif what == "quantity":
            changed["quantity"] = rng.choice(QUANTITIES)
        elif what == "tags":
            changed["tags"] = rng.choice(TAGS)
        elif what == "event":
            changed["event_name"], changed["entity_id"] = rng.choices(
                EVENTS, weights=EVENT_WEIGHTS
            )[0]
        elif what == "experiments":
            changed["experiments"] = self._experiments(visitor)
        return changed

    def _uuid(self) -> str:
        """A uuid in upper or lower case, as exports hold both."""
        text = f"{self.rng.getrandbits(128):032x}"
        uuid = "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
        return self.rng.choice((uuid, uuid.upper()))

    def _rarely(self, share: float, odd: tuple[Any, ...], usual: Callable[[], Any]) -> Any:
        """Mostly the usual value, now and then an odd one."""
        return self.rng.choice(odd) if self.rng.random() < share else usual()
