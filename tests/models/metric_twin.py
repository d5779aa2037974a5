"""The brute-force twin of declared metrics: docs/metrics.md read literally, in plain Python.

The rows of the two seeds come in as text cells, the events of one visitor that count for one
experiment as `Event`s of the twin, and every answer is worked out by looking at all of them. Slow
and obvious: a funnel is answered by searching for chains of events, not by a formula.

Section numbers (§) are those of docs/metrics.md.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .twin import Event

Cells = Mapping[str, str | None]
"""One row of a seed: column → text. A column that is missing is blank."""

AUTOMATIC_METRICS: dict[str, tuple[str, str | None]] = {
    "unique conversions": ("conversion", None),
    "total conversions": ("count", "events"),
    "revenue": ("sum", "revenue"),
    "value": ("sum", "value"),
}
"""Measure of an event → type and value of the metric `<event>: <measure>`."""

COLUMN_OF_VALUE = {"revenue": "revenue", "value": "value", "quantity": "quantity"}
"""§1: what can be added up → the landed column that holds it."""

TYPED_VALUE_MARK = "\ue000"
NO_SEGMENT = "(none)"
EVERYONE = ("all", "all")


# --- §1, §2: what is declared


@dataclass(frozen=True)
class Match:
    """One row of `metric_events`: which events it means."""

    field: str
    value: str
    tag_name: str | None
    tag_value: str | None

    def matches(self, event: "Event") -> bool:
        """Whether the event is meant; the column is compared letter by letter."""
        if event.row.get(self.field) != self.value:
            return False
        if self.tag_name is None:
            return True
        # Landing gives a map as a dict, pyarrow as a list of pairs.
        found: str | None = dict(event.row.get("tags") or {}).get(self.tag_name)
        if found is None:
            return False
        return self.tag_value is None or found == self.tag_value


@dataclass(frozen=True)
class Part:
    """§2: the rows of one metric with the same clause and position."""

    clause: str
    position: int | None
    rows: tuple[Match, ...]
    min_count: int

    def matches(self, event: "Event") -> bool:
        """Whether one of the part's rows means the event."""
        return any(row.matches(event) for row in self.rows)

    def count(self, events: Iterable["Event"]) -> int:
        """How many of the events match."""
        return sum(1 for event in events if self.matches(event))


@dataclass(frozen=True)
class Metric:
    """One row of `metrics` with its rows of `metric_events`; None where nothing is given."""

    name: str
    type: str
    value: str | None
    window: timedelta | None
    within: timedelta | None
    within_from: str
    scope: str
    direction: str
    role: str
    cap_quantile: Fraction | None
    parts: tuple[Part, ...]

    def clause(self, name: str) -> list[Part]:
        """The parts of one clause, in the order of their positions."""
        parts = [part for part in self.parts if part.clause == name]
        return sorted(parts, key=lambda part: part.position or 0)

    def matches(self, event: "Event") -> bool:
        """Whether the event matches any row of the metric."""
        return any(part.matches(event) for part in self.parts)


def read_metrics(metrics: Iterable[Cells], metric_events: Iterable[Cells]) -> list[Metric]:
    """The declared metrics, from the rows of both seeds."""
    rows_of: dict[str, list[Cells]] = defaultdict(list)
    for row in metric_events:
        rows_of[_needed(row, "metric_name")].append(row)
    found: list[Metric] = []
    for row in metrics:
        name = _needed(row, "metric_name")
        quantile = _number(row, "cap_quantile")
        found.append(
            Metric(
                name=name,
                type=_needed(row, "metric_type"),
                value=_text(row, "value"),
                window=_duration(_number(row, "window_hours"), 3600),
                within=_duration(_number(row, "within_seconds"), 1),
                within_from=_text(row, "within_from") or "first_step",
                scope=_text(row, "scope") or "visitor",
                direction=_text(row, "direction") or "increase",
                role=_text(row, "role") or "secondary",
                cap_quantile=None if quantile is None else Fraction(quantile),
                parts=tuple(_parts(rows_of[name])),
            )
        )
    return found


def _parts(rows: list[Cells]) -> list[Part]:
    """§2: the parts that the rows of one metric make up."""
    rows_of: dict[tuple[str, int | None], list[Cells]] = defaultdict(list)
    for row in rows:
        clause = _needed(row, "clause")
        position = _number(row, "position")
        if clause in ("event", "numerator", "denominator") or position is None:
            rows_of[clause, None].append(row)
        else:
            rows_of[clause, int(position)].append(row)
    parts: list[Part] = []
    for (clause, number), same in rows_of.items():
        counts = {int(_number(row, "min_count") or 1) for row in same}
        if len(counts) > 1:
            raise ValueError(f"The rows of one part do not agree in min_count: {same}")
        parts.append(
            Part(
                clause=clause,
                position=number,
                rows=tuple(
                    Match(
                        field=_needed(row, "match_field"),
                        value=_needed(row, "match_value"),
                        tag_name=_text(row, "tag_name"),
                        tag_value=_text(row, "tag_value"),
                    )
                    for row in same
                ),
                min_count=counts.pop(),
            )
        )
    return parts


def _text(row: Cells, column: str) -> str | None:
    """A cell; blank means none."""
    return row.get(column) or None


def _needed(row: Cells, column: str) -> str:
    """A cell that cannot be blank."""
    found = _text(row, column)
    if found is None:
        raise ValueError(f"{column} is blank in {dict(row)}.")
    return found


def _number(row: Cells, column: str) -> Decimal | None:
    """A cell that holds a number; blank and 0 mean none."""
    found = _text(row, column)
    return (Decimal(found) or None) if found is not None else None


def _duration(number: Decimal | None, seconds: int) -> timedelta | None:
    """§3: a number of units of so many seconds, rounded to microseconds."""
    if number is None:
        return None
    microseconds = (number * seconds * 1_000_000).to_integral_value(ROUND_HALF_UP)
    return timedelta(microseconds=int(microseconds))


# --- §4: one visitor of one experiment


def observation(
    metric: Metric, exposed_at: datetime, events: Sequence["Event"]
) -> tuple[float, float | None]:
    """What a counted visitor comes to, before any cap, and a ratio's denominator; no funnels.

    Args:
        metric: What is observed.
        exposed_at: The visitor's exposure to the experiment.
        events: All of the visitor's events that count for the experiment, in any order.
    """
    denominator: float | None = None
    if metric.type == "retention":
        [part] = metric.clause("event")
        begin = exposed_at + (metric.window or timedelta(0))
        returns = [event for event in events if at(event) >= begin]
        if metric.within is not None:
            returns = [event for event in returns if at(event) < begin + metric.within]
        value = float(part.count(returns) >= part.min_count)
    else:
        inside = in_window(metric, exposed_at, events)
        if metric.type == "conversion":
            [part] = metric.clause("event")
            value = float(part.count(inside) >= part.min_count)
        elif metric.type == "count":
            [part] = metric.clause("event")
            value = float(part.count(inside))
        elif metric.type == "sum":
            [part] = metric.clause("event")
            value = _total(metric.value, part, inside)
        elif metric.type == "ratio":
            [numerator], [below] = metric.clause("numerator"), metric.clause("denominator")
            value = _total(metric.value, numerator, inside)
            denominator = float(below.count(inside))
        elif metric.type == "compound":
            value = float(_compound(metric, inside))
        else:
            raise ValueError(f"metric_type is {metric.type!r}.")
    return value, denominator


def conversion_count(metric: Metric, exposed_at: datetime, events: Sequence["Event"]) -> int | None:
    """How many events make up an observation; None where it is not made up of events.

    Args:
        metric: What is observed.
        exposed_at: The visitor's exposure to the experiment.
        events: All of the visitor's events that count for the experiment, in any order.
    """
    if metric.type in ("funnel", "compound"):
        return None
    clause = "numerator" if metric.type == "ratio" else "event"
    if metric.type == "retention":
        begin = exposed_at + (metric.window or timedelta(0))
        end = datetime.max if metric.within is None else begin + metric.within
        counted = [event for event in events if begin <= at(event) < end]
    else:
        counted = list(in_window(metric, exposed_at, events))
    return sum(any(part.matches(event) for part in metric.clause(clause)) for event in counted)


def in_window(metric: Metric, exposed_at: datetime, events: Sequence["Event"]) -> Sequence["Event"]:
    """§3: the events up to the end of the metric's window, that instant included."""
    if metric.window is None:
        return events
    return [event for event in events if at(event) <= exposed_at + metric.window]


def _total(value: str | None, part: Part, events: Iterable["Event"]) -> float:
    """The events that match, or their values added up; NULL adds nothing."""
    matching = [event for event in events if part.matches(event)]
    if value == "events":
        return float(len(matching))
    if value is None:
        raise ValueError("value says what is added up, and is blank.")
    column = COLUMN_OF_VALUE[value]
    return float(sum(event.row.get(column) or 0 for event in matching))


def _compound(metric: Metric, events: Sequence["Event"]) -> bool:
    """This AND that, over all events or within one of their sessions."""
    if metric.scope == "visitor":
        return _all_holds(metric, events)
    sessions = {event.session_key for event in events}
    return any(
        _all_holds(metric, [event for event in events if event.session_key == session])
        for session in sessions
    )


def _all_holds(metric: Metric, events: Sequence["Event"]) -> bool:
    """Whether all of a compound is so among these events."""

    def holds(part: Part) -> bool:
        return part.count(events) >= part.min_count

    any_of = metric.clause("any_of")
    return (
        all(holds(part) for part in metric.clause("all_of"))
        and (not any_of or any(holds(part) for part in any_of))
        and not any(holds(part) for part in metric.clause("none_of"))
    )


# --- §4: funnels


@dataclass(frozen=True)
class Step:
    """One step that a visitor reached."""

    reached_at: datetime
    chain_started_at: datetime
    previous_at: datetime
    """The event before, as late as a chain that ends at `reached_at` allows; for step 1, the
    exposure."""


Chains = dict[tuple[datetime, frozenset[int]], datetime]
"""Chains of one start and one number of steps. Two of them go on alike if they end in one instant
and hold the same events of it: (that instant, those events) → the latest event before the last."""


def reached_steps(metric: Metric, exposed_at: datetime, events: Sequence["Event"]) -> list[Step]:
    """The steps that there is a chain to, in order; all chains from every start are searched.

    A chain's events never go back in time. So whether an event is in it already is a question
    about the events of the chain's last instant alone, and an instant is left for good. An event
    of an earlier instant cannot be met again.
    """
    steps = metric.clause("step")
    ordered = sorted(in_window(metric, exposed_at, events), key=at)
    if metric.within is not None and metric.within_from == "exposure":
        ordered = [event for event in ordered if at(event) <= exposed_at + metric.within]
    fits = [[step.matches(event) for event in ordered] for step in steps]

    found: list[Step | None] = [None for _ in steps]
    for start in sorted({at(event) for event, fit in zip(ordered, fits[0], strict=True) if fit}):
        [session] = {event.session_key for event in ordered if at(event) == start}
        allowed = [
            number
            for number, event in enumerate(ordered)
            if at(event) >= start
            and (metric.scope == "visitor" or event.session_key == session)
            and (
                metric.within is None
                or metric.within_from == "exposure"
                or at(event) <= start + metric.within
            )
        ]
        chains: Chains = {
            (start, frozenset({number})): exposed_at
            for number in allowed
            if fits[0][number] and at(ordered[number]) == start
        }
        for index in range(len(steps)):
            if index > 0:
                last = found[-1]
                candidates = [
                    (number, at(ordered[number]))
                    for number in allowed
                    if fits[index][number]
                    # A chain beyond the end of the shortest one to the last step answers nothing.
                    and (last is None or at(ordered[number]) <= last.reached_at)
                ]
                chains = _longer(chains, candidates)
            if not chains:
                break
            found[index] = _better(found[index], start, chains)
    return [step for step in found if step is not None]


def _longer(chains: Chains, candidates: list[tuple[int, datetime]]) -> Chains:
    """Every way to put one more event, of the candidates, at a chain's end."""
    ends = sorted({end for end, _ in chains})
    used_at: dict[datetime, list[frozenset[int]]] = defaultdict(list)
    for end, used in chains:
        used_at[end].append(used)
    longer: Chains = {}
    for number, instant in candidates:
        earlier = ends[: bisect_left(ends, instant)]
        if earlier:
            longer[instant, frozenset({number})] = earlier[-1]
        for used in used_at[instant]:
            if number not in used:
                longer[instant, used | {number}] = instant
    return longer


def _better(found: Step | None, start: datetime, chains: Chains) -> Step:
    """The step as the chains of another start show it: earliest end, latest start and previous."""
    reached_at = min(end for end, _ in chains)
    previous_at = max(previous for (end, _), previous in chains.items() if end == reached_at)
    if found is None or reached_at < found.reached_at:
        return Step(reached_at, start, previous_at)
    if reached_at > found.reached_at:
        return found
    return Step(reached_at, max(found.chain_started_at, start), max(found.previous_at, previous_at))


def step_names(metric: Metric) -> list[str]:
    """The names of the steps from step 0, the exposure, on."""
    values = [sorted({row.value for row in part.rows}) for part in metric.clause("step")]
    return ["exposed", *(" or ".join(names) for names in values)]


def percentile(values: Iterable[float], fraction: Fraction) -> float:
    """The percentile, interpolated between the two values it lies between."""
    ordered = sorted(Fraction(value) for value in values)
    place = (len(ordered) - 1) * fraction
    below = ordered[int(place)]
    above = ordered[min(int(place) + 1, len(ordered) - 1)]
    return float(below + (above - below) * (place - int(place)))


# --- §5: caps and maturity


def cap(values: Iterable[float], quantile: Fraction | None) -> float | None:
    """What larger observations are cut to; None where nothing is cut."""
    positive = sorted(value for value in values if value > 0)
    if quantile is None or not positive:
        return None
    for rank, value in enumerate(positive, start=1):
        if rank >= quantile * len(positive):
            return value
    raise ValueError(f"cap_quantile is {quantile}: more than 1.")


def last_moment(metric: Metric, exposed_at: datetime) -> datetime | None:
    """The last moment at which an event could still change the observation, if there is one."""
    if metric.type == "retention":
        limits = [metric.window, metric.within]
        duration = sum((limit for limit in limits if limit is not None), start=timedelta(0))
        is_limited = limits != [None, None]
        return exposed_at + duration if is_limited else None
    given = [metric.window]
    if metric.type == "funnel" and metric.within_from == "exposure":
        given.append(metric.within)
    known = [limit for limit in given if limit is not None]
    return exposed_at + min(known) if known else None


def is_mature(metric: Metric, exposed_at: datetime, horizon: datetime | None) -> bool:
    """Whether that moment lies before the end of the landed data."""
    moment = last_moment(metric, exposed_at)
    return moment is None or (horizon is not None and moment < horizon)


# --- §6: segments


def segment_value(attributes: Sequence[Mapping[str, Any] | None] | None, name: str) -> str:
    """The value of the first element whose key is that name, as it was at the exposure."""
    for element in attributes or []:
        if element is not None and _attribute_key(element) == name:
            value: str | None = element.get("value")
            return NO_SEGMENT if value is None else value.lstrip(TYPED_VALUE_MARK)
    return NO_SEGMENT


def _attribute_key(element: Mapping[str, Any]) -> str | None:
    """The key of an attribute, by its type."""
    kind: str | None = element.get("type")
    if kind is None or kind == "custom":
        key = element.get("name")
        return element.get("id") if key is None else key
    if kind == "metadata":
        return element.get("name")
    return kind


def at(event: "Event") -> datetime:
    """When an event that counts happened: it has a timestamp, or it would not count."""
    assert event.occurred_at is not None
    return event.occurred_at
