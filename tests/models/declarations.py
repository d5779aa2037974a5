"""Random declarations: rows of the seeds `metrics` and `metric_events`, as text cells.

All are valid by docs/metrics.md, and made for the events of histories.py: the windows end on its
gaps, the matches mean its events, types and tags, in a few ways that overlap. What a number's cell
may say for "none" (nothing, '', '0') is drawn as well.
"""

from collections.abc import Callable
from random import Random

from .histories import EVENTS, RARE_EVENT

Row = dict[str, str | None]
Declarations = tuple[list[Row], list[Row]]
"""The rows of `metrics` and of `metric_events`."""

METRIC_COLUMNS = (
    "metric_name",
    "metric_type",
    "value",
    "window_hours",
    "within_seconds",
    "within_from",
    "scope",
    "direction",
    "role",
    "cap_quantile",
    "description",
)
EVENT_COLUMNS = (
    "metric_name",
    "position",
    "clause",
    "match_field",
    "match_value",
    "tag_name",
    "tag_value",
    "min_count",
)
NUMBERS = ("window_hours", "within_seconds", "cap_quantile", "position", "min_count")
WORDS = ("description", "direction", "role")
"""What no number depends on."""

HOURS = (
    "0.0000000002777777778",
    "0.00000027777777778",
    "0.1666666666666667",
    "0.3333333333333333",
    "0.4999997222222222",
    "0.5",
    "0.5000002777777778",
    "5",
    "24",
    "24.0000002777777778",
    "48",
    "72.0",
)
"""Rounded to microseconds: one of them, and then the gaps of the histories: 1 ms, 10 and 20
minutes, 30 minutes and 1 ms to either side, 5 hours, 24 hours and 1 ms more, 2 days, 3 days."""
SECONDS = (
    "0.000001",
    "0.001",
    "600",
    "1799.999",
    "1799.999",
    "1800",
    "1800.0",
    "1800.001",
    "18000",
    "86400",
    "86400.001",
    "172800",
)
"""The same gaps in seconds, more often where the histories have more of them."""
QUANTILES = ("0.05", "0.25", "0.5", "0.55", "0.9", "0.95", "0.99")

AWKWARD_NAMES = (
    "O'Brien's \"50%\"",
    "a: b, c",
    "naïve 🙂 or not",
    "100%",
    'x"; drop table metrics; --',
    "back\\slash",
    "{{ name }} {% raw %}",
    "%s $1 ? :name",
    "orders",
    "Orders",
    "purchase: unique",
)
"""Names are the users' own: quotes, commas, colons, two that differ in case, parts of others'."""
DESCRIPTIONS = (None, "", "Plain.", "Quotes ' and \", a comma, 50% and 🙂.", "{{ not a macro }}")

NAMES = tuple(name for name, _ in EVENTS)
FREQUENT = tuple(name for name in NAMES if name != RARE_EVENT)
ENTITIES = tuple(entity for _, entity in EVENTS)
TYPES = ("custom", "Custom", "client_activation")
ABSENT_EVENTS = ("Purchase", "never seen")
"""No event is called so; one is in the other letter case."""
TAG_CONDITIONS: tuple[tuple[str, str | None], ...] = (
    ("a", None),
    ("a", ""),
    ("a", "b"),
    ("a", "B"),
    ("plan", "gold"),
    ("it's", None),
    ("it's", '50%, "x": y'),
    ("🙂", None),
    ("A", None),
)

LONG_FUNNEL = 15
"""As many steps as a funnel may have."""


def declarations(random: Random, count: int = 25) -> Declarations:
    """Some metrics and their events; from 17 on, every kind of metric is there."""
    return _Declarer(random).declare(count)


def changed(random: Random, metrics: list[Row], metric_events: list[Row]) -> Declarations:
    """What the next build may find: some metrics go, some come, some change, most stay.

    They change in a number, in an event, in words alone, in the way that the same is said, or in
    all but their name.
    """
    return _Declarer(random).change(metrics, metric_events)


class _Declarer:
    """Makes declarations. Every choice comes from `self.rng`."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.kinds: tuple[Callable[[], Declarations], ...] = (
            self._conversion,
            self._count,
            self._sum,
            self._capped,
            self._capped,
            self._ratio,
            self._ratio,
            self._compound,
            self._compound,
            self._retention,
            self._retention,
            self._any_funnel,
            self._repeating_funnel,
            self._overlapping_funnel,
            self._returning_funnel,
            self._long_funnel,
            self._rare,
        )

    def declare(self, count: int, taken: frozenset[str] = frozenset()) -> Declarations:
        """So many metrics, none of them with a name that is taken."""
        kinds = [self.rng.sample(self.kinds, len(self.kinds)) for _ in range(count)]
        metrics: list[Row] = []
        metric_events: list[Row] = []
        # Each kind once, before any kind comes for the second time.
        for make in [kind for turn in kinds for kind in turn][:count]:
            name = self._name(taken | {str(row["metric_name"]) for row in metrics})
            self._add(metrics, metric_events, name, make())
        if metrics and not taken and self.rng.random() < 0.8:
            self.rng.choice(metrics)["role"] = "primary"
        return self._shuffled(metrics, metric_events)

    def change(self, metrics: list[Row], metric_events: list[Row]) -> Declarations:
        """The declarations of the next build."""
        fates = ["gone", "gone", "anew", "number", "number", "number", "event", "event", "event"]
        fates += ["words", "words", "said otherwise", "said otherwise"]
        order = self.rng.sample(range(len(metrics)), len(metrics))
        fate_of = dict(zip(order, fates, strict=False))
        kept: list[Row] = []
        events: list[Row] = []
        for number, metric in enumerate(metrics):
            name = str(metric["metric_name"])
            own = [dict(row) for row in metric_events if row["metric_name"] == name]
            fate = fate_of.get(number, "as it was")
            if fate == "gone":
                continue
            if fate == "anew":
                made, own = self.rng.choice(self.kinds)()
                made[0]["role"] = metric["role"]
                self._add(kept, events, name, (made, own))
                continue
            metric = dict(metric)
            if fate == "number":
                self._change_number(metric, own)
            elif fate == "event":
                self._change_event(metric, own)
            elif fate == "words":
                self._change_words(metric)
            elif fate == "said otherwise":
                self._say_otherwise([metric, *own])
            kept.append(metric)
            events.extend(own)
        taken = frozenset(str(row["metric_name"]) for row in metrics)
        new, new_events = self.declare(self.rng.choice((1, 2, 3)), taken)
        return self._shuffled(kept + new, events + new_events)

    # --- kinds of metrics

    def _conversion(self) -> Declarations:
        metric = self._metric("conversion", window_hours=self._rarely(HOURS))
        return [metric], self._part("event", min_count=self._min_count())

    def _count(self) -> Declarations:
        metric = self._metric("count", value="events", window_hours=self._rarely(HOURS))
        return [metric], self._part("event")

    def _sum(self) -> Declarations:
        metric = self._metric("sum", value=self._value(), window_hours=self._rarely(HOURS))
        return [metric], self._part("event")

    def _capped(self) -> Declarations:
        [metric], events = self.rng.choice((self._count, self._sum))()
        return [metric | {"cap_quantile": self.rng.choice(QUANTILES)}], events

    def _ratio(self) -> Declarations:
        value = self.rng.choice(("events", "revenue", "value", "quantity"))
        metric = self._metric("ratio", value=value, window_hours=self._rarely(HOURS))
        return [metric], self._part("numerator") + self._part("denominator")

    def _compound(self) -> Declarations:
        scope = self.rng.choice((None, "visitor", "session"))
        metric = self._metric("compound", scope=scope, window_hours=self._rarely(HOURS))
        sizes = self.rng.choice(
            ((1, 0, 0), (2, 0, 0), (0, 1, 0), (0, 2, 0), (0, 2, 1), (1, 0, 1), (1, 1, 1), (2, 2, 2))
        )
        events: list[Row] = []
        for clause, size in zip(("all_of", "any_of", "none_of"), sizes, strict=True):
            for position in range(1, size + 1):
                min_count = self._min_count()
                if clause == "none_of" and self.rng.random() < 0.5:
                    min_count = self.rng.choice(("2", "3"))
                events += self._part(clause, position, min_count)
        return [metric], events

    def _retention(self) -> Declarations:
        metric = self._metric(
            "retention",
            window_hours=self.rng.choice(HOURS),
            within_seconds=self._mostly(SECONDS),
        )
        return [metric], self._part("event", min_count=self._min_count())

    def _any_funnel(self) -> Declarations:
        """Steps that have little to do with each other, some with alternatives."""
        events: list[Row] = []
        for step in range(1, self.rng.choice((2, 3, 3, 4, 6)) + 1):
            events += self._part("step", step)
        return [self._funnel(self._mostly(SECONDS))], events

    def _repeating_funnel(self) -> Declarations:
        """A, then A, then A, and now and then something else."""
        match = self._match()
        length = self.rng.choice((2, 3, 3, 4, 5))
        steps = [match] * length
        if self.rng.random() < 0.4:
            steps[self.rng.randrange(length)] = self._match()
        return [self._funnel(self._mostly(SECONDS))], self._steps(steps)

    def _overlapping_funnel(self) -> Declarations:
        """Any event of a type, then an event that may be of that type itself, or the reverse."""
        steps = [self._type(), self._event(), self._type(), self._event()]
        first = self.rng.randrange(2)
        return [self._funnel(self._mostly(SECONDS))], self._steps(
            steps[first : first + self.rng.choice((2, 3))]
        )

    def _returning_funnel(self) -> Declarations:
        """One event serves step 1 and step 3, another one steps 2 and 4: A, B, A, B."""
        one, other = self._event(), self.rng.choice((self._event, self._type))()
        steps = [one, other, one, other]
        return [self._funnel(self._mostly(SECONDS))], self._steps(steps[: self.rng.choice((3, 4))])

    def _long_funnel(self) -> Declarations:
        """Mostly five or six steps, and now and then as many as hardly anybody goes."""
        length = self.rng.choice((5, 6, LONG_FUNNEL))
        wide = [self._event(), self._event(), self._type()]
        funnel = self._funnel(self._rarely(SECONDS[-2:]))
        return [funnel], self._steps([self.rng.choice(wide) for _ in range(length)])

    def _rare(self) -> Declarations:
        """Nothing but an event that comes and goes, or that there never is."""
        match = self._unusual()
        if self.rng.random() < 0.5:
            return [self._metric("conversion")], [row | match for row in self._part("event")[:1]]
        return [self._funnel(None)], self._steps([match, self._match()])

    def _funnel(self, within: str | None) -> Row:
        """A funnel's row: limited from its first step, from the exposure, or not at all."""
        is_limited = within not in (None, "", "0")
        return self._metric(
            "funnel",
            window_hours=self._none() if self.rng.random() < 0.5 else self._rarely(HOURS),
            within_seconds=within,
            within_from=(
                self.rng.choice((None, "first_step", "first_step", "exposure", "exposure"))
                if is_limited
                else None
            ),
            scope=self.rng.choice((None, "", "visitor", "session")),
        )

    # --- pieces

    def _metric(self, metric_type: str, **cells: str | None) -> Row:
        """A row of `metrics`, without its name."""
        row: Row = {name: self.rng.choice((None, "")) for name in METRIC_COLUMNS}
        for name in NUMBERS:
            if name in row:
                row[name] = self._none()
        row["metric_type"] = metric_type
        row["direction"] = self.rng.choice((None, "", "increase", "decrease"))
        row["role"] = self.rng.choice((None, "", "secondary", "guardrail"))
        row["description"] = self.rng.choice(DESCRIPTIONS)
        return row | cells

    def _part(
        self, clause: str, position: int | None = None, min_count: str | None = None
    ) -> list[Row]:
        """The rows of one part: one, or a few alternatives."""
        rows: list[Row] = []
        for match in self._alternatives():
            # Where a position means nothing, it may be anything.
            place = str(position) if position else self.rng.choice((self._none(), "1", "2"))
            rows.append({"clause": clause, "position": place, "min_count": min_count} | match)
        return rows

    def _steps(self, matches: list[Row]) -> list[Row]:
        """One row for each step."""
        return [
            {"clause": "step", "position": str(step), "min_count": self._none()} | match
            for step, match in enumerate(matches, start=1)
        ]

    def _alternatives(self) -> list[Row]:
        """One match, now and then up to three."""
        return [self._match() for _ in range(self.rng.choice((1, 1, 1, 2, 3)))]

    def _match(self) -> Row:
        """One event that is meant, now and then on a condition."""
        match = self.rng.choices(
            (self._event, self._entity, self._type, self._unusual), weights=(60, 15, 15, 10)
        )[0]()
        if self.rng.random() < 0.2:
            match["tag_name"], match["tag_value"] = self.rng.choice(TAG_CONDITIONS)
        return match

    def _event(self) -> Row:
        return self._matching("event_name", self.rng.choice(FREQUENT))

    def _entity(self) -> Row:
        return self._matching("entity_id", self.rng.choice(ENTITIES))

    def _type(self) -> Row:
        return self._matching("event_type", self.rng.choice(TYPES))

    def _unusual(self) -> Row:
        """An event that comes and goes, or that there never is."""
        if self.rng.random() < 0.6:
            return self._matching(self.rng.choice(("event_name", "entity_id")), RARE_EVENT)
        return self._matching("event_name", self.rng.choice(ABSENT_EVENTS))

    def _matching(self, field: str, value: str) -> Row:
        blanks = (self.rng.choice((None, "")), self.rng.choice((None, "")))
        row: Row = {"match_field": field, "match_value": value}
        return row | {"tag_name": blanks[0], "tag_value": blanks[1]}

    def _value(self) -> str:
        return self.rng.choice(("revenue", "value", "quantity"))

    def _min_count(self) -> str | None:
        return self.rng.choice((self._none(), "1", "2", "3"))

    def _none(self) -> str | None:
        return self.rng.choice((None, "", "0"))

    def _rarely(self, numbers: tuple[str, ...]) -> str | None:
        return self.rng.choice(numbers) if self.rng.random() < 0.4 else self._none()

    def _mostly(self, numbers: tuple[str, ...]) -> str | None:
        return self.rng.choice(numbers) if self.rng.random() < 0.7 else self._none()

    def _name(self, taken: frozenset[str] | set[str]) -> str:
        """A name that is not taken, half of them awkward."""
        free = [name for name in AWKWARD_NAMES if name not in taken]
        if free and self.rng.random() < 0.5:
            return self.rng.choice(free)
        while (name := f"metric {self.rng.randrange(1000)}") in taken:
            pass
        return name

    def _add(
        self, metrics: list[Row], metric_events: list[Row], name: str, made: Declarations
    ) -> None:
        """Put what was made under a name."""
        for target, rows, columns in (
            (metrics, made[0], METRIC_COLUMNS),
            (metric_events, made[1], EVENT_COLUMNS),
        ):
            for row in rows:
                named = row | {"metric_name": name}
                target.append({column: named[column] for column in columns})

    def _shuffled(self, metrics: list[Row], metric_events: list[Row]) -> Declarations:
        """The order of the rows means nothing."""
        return (
            self.rng.sample(metrics, len(metrics)),
            self.rng.sample(metric_events, len(metric_events)),
        )

    # --- changes

    def _change_number(self, metric: Row, events: list[Row]) -> None:
        """Another window, limit, cap or count, or another choice beside them."""
        kind = metric["metric_type"]
        changes: list[Callable[[], None]] = [
            lambda: self._set(
                metric, "window_hours", HOURS if kind == "retention" else ("0", *HOURS)
            )
        ]
        if kind in ("funnel", "retention"):
            changes.append(lambda: self._set(metric, "within_seconds", SECONDS))
        if kind == "funnel" and metric["within_seconds"] not in (None, "", "0"):
            changes.append(lambda: self._set(metric, "within_from", ("first_step", "exposure")))
        if kind in ("funnel", "compound"):
            changes.append(lambda: self._set(metric, "scope", ("visitor", "session")))
        if kind in ("count", "sum"):
            changes.append(lambda: self._set(metric, "cap_quantile", QUANTILES))
        if kind in ("sum", "ratio"):
            changes.append(lambda: self._set(metric, "value", ("revenue", "value", "quantity")))
        if kind in ("conversion", "retention", "compound"):
            changes.append(lambda: self._change_min_count(events))
        self.rng.choice(changes)()

    def _set(self, row: Row, column: str, choices: tuple[str, ...]) -> None:
        """Another value in a cell."""
        row[column] = self.rng.choice([choice for choice in choices if choice != row[column]])

    def _change_min_count(self, events: list[Row]) -> None:
        """Another count for one part."""
        part = self._rows_of_a_part(events)
        count = "2" if part[0]["min_count"] != "2" else "1"
        for row in part:
            row["min_count"] = count

    def _change_event(self, metric: Row, events: list[Row]) -> None:
        """Another match, an alternative more or less, another order of steps, a step more."""
        part = self._rows_of_a_part(events)
        choice = self.rng.choice(("match", "match", "more", "less", "steps"))
        if choice == "more":
            events.append(dict(part[0]) | self._match())
        elif choice == "less" and len(part) > 1:
            events.remove(self.rng.choice(part))
        elif choice == "steps" and metric["metric_type"] == "funnel":
            last = max(int(str(row["position"])) for row in events)
            if last < LONG_FUNNEL and self.rng.random() < 0.5:
                events += [dict(row) | {"position": str(last + 1)} for row in self._part("step", 1)]
                for row in events:
                    row.setdefault("metric_name", metric["metric_name"])
            else:
                for row in events:
                    row["position"] = str(last + 1 - int(str(row["position"])))
        else:
            self.rng.choice(part).update(self._match())

    def _rows_of_a_part(self, events: list[Row]) -> list[Row]:
        """All rows of one part."""
        one = self.rng.choice(events)
        alone = ("event", "numerator", "denominator")
        return [
            row
            for row in events
            if row["clause"] == one["clause"]
            and (row["clause"] in alone or row["position"] == one["position"])
        ]

    def _change_words(self, metric: Row) -> None:
        """What no number depends on."""
        metric["description"] = f"Changed, {self.rng.randrange(1000)}."
        if self.rng.random() < 0.5:
            is_up = metric["direction"] != "decrease"
            metric["direction"] = "decrease" if is_up else "increase"
        if metric["role"] != "primary" and self.rng.random() < 0.5:
            metric["role"] = "guardrail" if metric["role"] != "guardrail" else "secondary"

    def _say_otherwise(self, rows: list[Row]) -> None:
        """The same in other words: a blank for '0', '5.0' for '5', the default for a blank."""
        defaults = {"scope": "visitor", "direction": "increase"}
        min_count = self._none()
        for row in rows:
            for name in NUMBERS:
                cell = row.get(name)
                if cell in (None, "", "0") and name in row:
                    row[name] = min_count if name == "min_count" else self._none()
                elif cell is not None and "." in cell:
                    row[name] = cell + "0"
            for name, default in defaults.items():
                is_blank = name in row and row[name] in (None, "")
                if is_blank and (name != "scope" or row["metric_type"] in ("funnel", "compound")):
                    row[name] = default
