"""The twin of declared metrics, worked out by hand.

Every expected number of the examples is worked out by hand from docs/metrics.md, whose sections
the tests are named after. A second oracle of funnels tries every order of a few events.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from fractions import Fraction
from itertools import pairwise, permutations
from random import Random
from typing import Any

import pytest

from .metric_twin import (
    Metric,
    at,
    cap,
    last_moment,
    percentile,
    reached_steps,
    read_metrics,
    segment_value,
)
from .test_twin import NOON, conversion, decision, element, flagged, only
from .twin import Event, Twin

Row = dict[str, Any]

MS = timedelta(milliseconds=1)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


# --- examples


def metric(metric_type: str, **cells: str | None) -> Row:
    """A row of `metrics`: the metric m."""
    return {"metric_name": "m", "metric_type": metric_type} | cells


def match(value: str = "buy", clause: str = "event", **cells: str | None) -> Row:
    """A row of `metric_events`: an event of the metric m, by its name."""
    name = {"metric_name": "m", "match_field": "event_name", "match_value": value}
    return name | {"clause": clause} | cells


def declared(
    conversions: Sequence[Row],
    row: Row,
    *matches: Row,
    decisions: Sequence[Row] = (),
    **options: Any,
) -> Twin:
    """A twin of the one metric m; visitor v is exposed at noon unless decisions are given."""
    return Twin(
        decisions or [decision(0)],
        conversions,
        metrics=[row],
        metric_events=matches or [match()],
        automatic_metrics=False,
        **options,
    )


def value(conversions: Sequence[Row], row: Row, *matches: Row, **options: Any) -> float | None:
    """The observation of visitor v; None where the metric has no rows."""
    found = declared(conversions, row, *matches, **options).observations
    values: dict[str, float] = {r["visitor_id"]: r["value"] for r in found}
    return values.get("v")


def purchases(*times: datetime, **columns: Any) -> list[Row]:
    """Purchases of visitor v."""
    return [conversion(number, time, **columns) for number, time in enumerate(times, start=1)]


def test_1_blank_and_0_are_none() -> None:
    """None, '' and 0 in a number's cell, and a column that is missing, mean the same."""
    plain = read_metrics([metric("count")], [match()])
    for none in (None, "", "0", "0.0", "0e3"):
        row = metric("count")
        row |= dict.fromkeys(("window_hours", "within_seconds", "cap_quantile"), none)
        if not none:
            row |= dict.fromkeys(("within_from", "scope", "direction", "role", "value"), none)
        event = match(min_count=none, position=none, tag_name=None, tag_value="")
        assert read_metrics([row], [event]) == plain
    [found] = plain
    assert (found.window, found.within, found.cap_quantile) == (None, None, None)
    assert (found.within_from, found.scope) == ("first_step", "visitor")
    assert (found.direction, found.role) == ("increase", "secondary")
    assert found.parts[0].min_count == 1


def test_1_what_cannot_be_read_is_refused() -> None:
    with pytest.raises(ValueError, match="metric_type is blank"):
        read_metrics([metric("")], [])
    with pytest.raises(ValueError, match="do not agree in min_count"):
        read_metrics([metric("conversion")], [match(min_count="2"), match("sign", min_count="")])
    with pytest.raises(ValueError, match="metric_type is 'conversation'"):
        value(purchases(NOON), metric("conversation"))


@pytest.mark.parametrize(
    ("field", "wanted", "columns", "count"),
    [
        ("event_name", "buy", {}, 1.0),
        ("event_name", "Buy", {}, None),
        ("event_name", "buy ", {}, None),
        ("event_name", "11", {"event_name": None}, None),
        ("entity_id", "11", {}, 1.0),
        ("entity_id", "1", {}, None),
        ("event_type", "custom", {"event_type": "custom"}, 1.0),
        ("event_type", "custom", {"event_type": "Custom"}, None),
        ("event_type", "custom", {"event_type": None}, None),
    ],
)
def test_2_a_column_letter_by_letter(
    field: str, wanted: str, columns: Row, count: float | None
) -> None:
    assert (
        value(purchases(NOON, **columns), metric("count"), match(wanted, match_field=field))
        == count
    )


@pytest.mark.parametrize(
    ("tags", "name", "wanted", "count"),
    [
        (None, "plan", None, None),
        ({}, "plan", None, None),
        ({"plan": "gold"}, "plan", None, 1.0),
        ({"plan": "gold"}, "plan", "", 1.0),
        ({"plan": "gold"}, "plan", "gold", 1.0),
        ({"plan": "gold"}, "plan", "Gold", None),
        ({"plan": "gold"}, "Plan", None, None),
        ({"plan": None}, "plan", None, None),
        ({"plan": ""}, "plan", None, 1.0),
        ([("plan", "gold")], "plan", "gold", 1.0),
    ],
)
def test_2_tags(tags: Any, name: str, wanted: str | None, count: float | None) -> None:
    """The key has to be there with a value, of which '' is one; a blank condition means any."""
    condition = match(tag_name=name, tag_value=wanted)
    assert value(purchases(NOON, tags=tags), metric("count"), condition) == count


def test_2_parts() -> None:
    """An event matches a part by any of its rows, and counts once if it matches two."""
    events = [*purchases(NOON, NOON), conversion(3, event_name="sign", entity_id="12")]
    rows = [match(position="1"), match("11", match_field="entity_id", position="2")]
    assert value(events, metric("count"), *rows) == 2.0
    assert value(events, metric("count"), *rows, match("sign")) == 3.0
    # Rows of another metric are none of its business.
    other = match("sign") | {"metric_name": "another"}
    assert value(events, metric("count"), match(), other) == 2.0


def test_3_who() -> None:
    """The counted visitors, as the vars say; one who did nothing has 0."""
    decisions = [
        decision(0),
        decision(1, visitor_id="idle", variation="2"),
        decision(2, visitor_id="bot", attributes=flagged()),
        decision(3, visitor_id="holdback", is_holdback=True),
        decision(4, visitor_id="unassigned", variation=None),
        decision(5, visitor_id="crossing"),
        decision(6, NOON + MS, visitor_id="crossing", variation="2"),
    ]
    events = [*purchases(NOON), conversion(7, visitor_id="web", experiments=[element("3")])]

    def observed(**options: Any) -> dict[str, tuple[str, float]]:
        twin = declared(events, metric("count"), decisions=decisions, **options)
        return {r["visitor_id"]: (r["variation_id"], r["value"]) for r in twin.observations}

    everyone = {"v": ("1", 1.0), "idle": ("2", 0.0), "crossing": ("1", 0.0)}
    assert observed() == everyone
    assert observed(crossovers="exclude").keys() == {"v", "idle"}
    assert observed(visitor_counting="web", attribution="vendor") == everyone | {
        "v": ("1", 0.0),
        "web": ("3", 1.0),
    }


def test_3_which_events() -> None:
    """Attribution as the vars say; no bots; not before the exposure; not without a time."""
    events = [
        conversion(1, NOON + 2 * HOUR, experiments=[element()]),
        conversion(2, NOON + HOUR),
        conversion(3, NOON - MS, experiments=[element()]),
        conversion(4, None, experiments=[element()]),
        conversion(5, attributes=flagged()),
        conversion(6, visitor_id="w"),
    ]
    assert value(events, metric("count")) == 2.0
    assert value(events, metric("count"), attribution_window_hours=1) == 1.0
    assert value(events, metric("count"), attribution="vendor") == 1.0


def test_3_the_window_ends_within() -> None:
    """At its end an event counts, a millisecond later it does not."""
    for metric_type in ("conversion", "count"):
        row = metric(metric_type, window_hours="0.5")
        assert value(purchases(NOON + 30 * MINUTE), row) == 1.0
        assert value(purchases(NOON + 30 * MINUTE + MS), row) == 0.0
    # 0.1666666666666667 hours are 600.00000000000012 seconds, 0.16666666 are 599.999976.
    for hours, count in (("0.1666666666666667", 1.0), ("0.16666666", 0.0)):
        assert value(purchases(NOON + 10 * MINUTE), metric("count", window_hours=hours)) == count


def test_4_conversion() -> None:
    """At least min_count events; more do not make it more."""
    for count, found in (("", [1, 1, 1]), ("2", [0, 1, 1]), ("3", [0, 0, 1])):
        for number in (1, 2, 3):
            events = purchases(*[NOON] * number)
            assert value(events, metric("conversion"), match(min_count=count)) == found[number - 1]
    assert value(purchases(NOON, NOON), metric("count")) == 2.0


def test_4_sum() -> None:
    """Revenue, value or quantity; NULL adds nothing."""
    events = [
        conversion(1, revenue=500, value=0.5, quantity=None),
        conversion(2, revenue=-100, value=None, quantity=3),
        conversion(3, revenue=None, value=0.25, quantity=2),
        conversion(4, revenue=7, value=7.0, quantity=7, event_name="sign"),
    ]
    for column, total in (("revenue", 400.0), ("value", 0.75), ("quantity", 5.0)):
        assert value(events, metric("sum", value=column)) == total
    assert value([conversion(1)], metric("sum", value="value")) == 0.0


def test_4_ratio() -> None:
    """Numerator: events or values; denominator: events. An event may be in both."""
    events = [
        conversion(1, revenue=500, value=0.5, quantity=None, tags={"big": "yes"}),
        conversion(2, revenue=-100, value=None, quantity=3),
        conversion(3, revenue=1000, event_name="view"),
        conversion(4, NOON + 2 * HOUR, revenue=1000),
    ]
    matches = [
        match(clause="numerator", tag_name="big"),
        match("view", clause="numerator", position="9"),
        match(clause="denominator"),
    ]
    for column, above in (("events", 2.0), ("revenue", 1500.0), ("value", 0.5), ("quantity", 0.0)):
        row = metric("ratio", value=column, window_hours="1")
        found = only(declared(events, row, *matches).observations)
        assert (found["value"], found["denominator"]) == (above, 2.0)
    # Of no other type.
    assert only(declared(events, metric("count")).observations)["denominator"] is None


COMPOUND = [
    match("a", "all_of", position="1", min_count="2"),
    match("b", "all_of", position="2"),
    match("c", "any_of", position="1"),
    match("d", "any_of", position="2"),
    match("e", "any_of", position="2"),
    match("x", "none_of", position="1", min_count="2"),
    match("y", "none_of", position="2"),
]
"""Two a AND b AND (c OR (d or e)) AND NOT (two x) AND NOT y."""


@pytest.mark.parametrize(
    ("events", "found"),
    [
        ("aabc", 1),
        ("cbaa", 1),
        ("aabd", 1),
        ("aabe", 1),
        ("abc", 0),
        ("aac", 0),
        ("aab", 0),
        ("aabcx", 1),
        ("aabcxx", 0),
        ("aabcy", 0),
        ("y", 0),
    ],
)
def test_4_compound(events: str, found: float) -> None:
    """All of `all_of`, one of `any_of`, none of `none_of`, each with its count, in any order."""
    rows = [conversion(n, NOON + n * SECOND, event_name=name) for n, name in enumerate(events, 1)]
    assert value(rows, metric("compound"), *COMPOUND) == found


def test_4_compound_clauses_left_out() -> None:
    """Without `any_of` nothing of it is asked; alternatives in one part count together."""
    rows = [conversion(1, event_name="a"), conversion(2, event_name="b")]
    either = [match("a", "all_of", position="1", min_count="2")]
    assert value(rows, metric("compound"), *either) == 0.0
    either.append(match("b", "all_of", position="1", min_count="2"))
    assert value(rows, metric("compound"), *either) == 1.0
    assert value(rows, metric("compound"), match("c", "any_of"), match("a", "any_of")) == 1.0
    # One event for two parts.
    both = [match("a", "all_of", position="1"), match("11", "all_of", position="2")]
    both[1]["match_field"] = "entity_id"
    assert value(rows[:1], metric("compound"), *both) == 1.0


def test_4_compound_within_a_session() -> None:
    """All of it within one session, also what must not be: half an hour opens the next one."""
    row = metric("compound", scope="session")
    both = [match("a", "all_of", position="1"), match("b", "all_of", position="2")]

    def events(*named: tuple[str, timedelta]) -> list[Row]:
        return [
            conversion(n, NOON + after, event_name=name) for n, (name, after) in enumerate(named, 1)
        ]

    zero, later = timedelta(0), 30 * MINUTE
    assert value(events(("a", zero), ("b", later - MS)), row, *both) == 1.0
    assert value(events(("a", zero), ("b", later)), row, *both) == 0.0
    assert value(events(("a", zero), ("b", later)), metric("compound"), *both) == 1.0
    # An x in the first session leaves the second one alone.
    strict = [*both, match("x", "none_of", position="1")]
    two = (("x", zero), ("a", zero), ("b", later), ("a", later))
    assert value(events(*two), row, *strict) == 1.0
    assert value(events(*two), metric("compound"), *strict) == 0.0
    assert value(events(*two, ("x", later)), row, *strict) == 0.0
    # A session's events before the exposure or after the window are not looked at.
    early = [conversion(9, NOON - MINUTE, event_name="x"), *events(("a", zero), ("b", zero))]
    assert value(early, row, *strict) == 1.0
    late = events(("a", zero), ("b", zero), ("x", 15 * MINUTE + MS))
    assert value(late, row | {"window_hours": "0.25"}, *strict) == 1.0


@pytest.mark.parametrize(
    ("hours", "seconds", "after", "found"),
    [
        ("24", "3600", DAY - MS, 0),
        ("24", "3600", DAY, 1),
        ("24", "3600", DAY + HOUR - MS, 1),
        ("24", "3600", DAY + HOUR, 0),
        ("24", "", DAY - MS, 0),
        ("24", "", 30 * DAY, 1),
        ("", "3600", timedelta(0), 1),
        ("", "3600", HOUR, 0),
        ("0", "0", 30 * DAY, 1),
    ],
)
def test_4_retention(hours: str, seconds: str, after: timedelta, found: float) -> None:
    """The beginning is within, the end is not; without an end it does not end."""
    row = metric("retention", window_hours=hours, within_seconds=seconds)
    assert value(purchases(NOON + after), row) == found


def test_4_retention_counts_within_the_period() -> None:
    row = metric("retention", window_hours="24", within_seconds="3600")
    twice = match(min_count="2")
    assert value(purchases(NOON, NOON + DAY), row, twice) == 0.0
    assert value(purchases(NOON + DAY, NOON + DAY + MINUTE), row, twice) == 1.0


# --- funnels


def steps(letters: str, **cells: str | None) -> tuple[Row, list[Row]]:
    """A funnel: a step for each letter, which matches the events that are tagged with it."""
    return metric("funnel", **cells), [
        match("e", "step", position=str(number), tag_name=letter)
        for number, letter in enumerate(letters, start=1)
    ]


def tagged(text: str) -> list[Row]:
    """Events of visitor v: `AB:5` is one that matches both A and B, 5 seconds after noon."""
    events: list[Row] = []
    for number, word in enumerate(text.split(), start=1):
        letters, seconds = word.split(":")
        tags = dict.fromkeys(letters, "yes")
        after = timedelta(seconds=float(seconds))
        events.append(conversion(number, NOON + after, event_name="e", tags=tags))
    return events


def walk(letters: str, text: str, **cells: str | None) -> list[tuple[float, float, float]]:
    """The steps reached: when, the start of the chain, and how long after the event before."""
    row, matches = steps(letters, **cells)
    twin = declared(tagged(text), row, *matches)
    found = sorted(twin.funnel_steps, key=lambda r: int(r["step"]))
    assert [r["step"] for r in found] == list(range(1, len(found) + 1))
    values = [r["value"] for r in twin.observations]
    assert values == ([float(len(found) == len(letters))] if found else [])
    for r in found:
        assert r["seconds_since_exposure"] == (r["reached_at"] - NOON) / SECOND
        assert r["seconds_since_first_step"] == (r["reached_at"] - r["chain_started_at"]) / SECOND
    return [
        (
            r["seconds_since_exposure"],
            (r["chain_started_at"] - NOON) / SECOND,
            r["seconds_since_previous_step"],
        )
        for r in found
    ]


def test_4_a_funnel_starts_again() -> None:
    """The limit runs from the first event of the chain, which need not be the first of all."""
    assert walk("AB", "A:0 A:100 B:105", within_seconds="10") == [(0, 0, 0), (105, 100, 5)]
    # Step 2 is reached by one chain, step 3 only by another.
    assert walk("ABC", "A:0 B:1 A:8 B:9 C:15", within_seconds="10") == [
        (0, 0, 0),
        (1, 0, 1),
        (15, 8, 6),
    ]
    # The latest start does not serve: from 8 no B is left before C.
    assert walk("ABC", "A:0 B:5 A:8 C:9", within_seconds="10") == [(0, 0, 0), (5, 0, 5), (9, 0, 4)]


def test_4_earliest_end_latest_start() -> None:
    """Without a limit too, the chain that is shown starts as late as one that ends then can."""
    assert walk("AB", "A:3 A:100 B:105 A:106 B:107") == [(3, 3, 3), (105, 100, 5)]
    assert walk("ABC", "A:0 B:10 A:20 C:30") == [(0, 0, 0), (10, 0, 10), (30, 0, 20)]
    assert walk("ABC", "A:0 B:10 A:20 B:25 C:30") == [(0, 0, 0), (10, 0, 10), (30, 20, 5)]
    # A later B is nearer to C, though it is of no shorter chain.
    assert walk("ABC", "A:0 B:10 B:25 C:30") == [(0, 0, 0), (10, 0, 10), (30, 0, 5)]
    assert walk("AB", "B:0 A:1") == [(1, 1, 1)]
    assert walk("AB", "B:0") == []


@pytest.mark.parametrize(
    ("cells", "reached"),
    [
        ({"within_seconds": "10"}, 2),
        ({"within_seconds": "9.999"}, 1),
        ({"within_seconds": "13", "within_from": "exposure"}, 2),
        ({"within_seconds": "12.999", "within_from": "exposure"}, 1),
        ({"within_seconds": "2.999", "within_from": "exposure"}, 0),
        ({"within_seconds": "3", "within_from": "exposure"}, 1),
        ({"within_seconds": "0", "within_from": ""}, 2),
        ({"window_hours": "0.0036111111111"}, 2),
        ({"window_hours": "0.0036108"}, 1),
        ({"window_hours": "0.0036111111111", "within_seconds": "9.999"}, 1),
        ({"window_hours": "0.0036108", "within_seconds": "99", "within_from": "exposure"}, 1),
    ],
)
def test_4_limits_hit_exactly(cells: dict[str, str], reached: int) -> None:
    """A at 3 and B at 13 seconds: exactly at the limit is within it; window and limit both hold."""
    assert len(walk("AB", "A:3 B:13", **cells)) == reached


def test_4_events_of_one_instant() -> None:
    """They are in any order that serves, whatever the order in which they come."""
    for text in ("A:0 B:0 C:0", "C:0 B:0 A:0"):
        assert walk("ABC", text) == [(0, 0, 0)] * 3
    assert walk("ABC", "C:0 A:0 B:1") == [(0, 0, 0), (1, 0, 1)]
    assert walk("AB", "A:0 A:5 B:5") == [(0, 0, 0), (5, 5, 0)]
    # A millisecond is an order.
    assert walk("AB", "B:0 A:0.001") == [(0.001, 0.001, 0.001)]


def test_4_one_event_never_fills_two_steps() -> None:
    assert walk("AB", "AB:0") == [(0, 0, 0)]
    assert walk("AB", "AB:0 AB:0") == [(0, 0, 0), (0, 0, 0)]
    assert walk("AB", "AB:0 AB:7") == [(0, 0, 0), (7, 0, 7)]
    # The event at 5 is needed as B: it cannot be the start as well.
    assert walk("AB", "A:0 AB:5") == [(0, 0, 0), (5, 0, 5)]
    # e matches 1 and 3, f matches 2: in one instant e could be before and after f, but not both.
    assert walk("ABC", "AC:0 B:0") == [(0, 0, 0), (0, 0, 0)]
    assert walk("ABC", "AC:0 B:0 C:0") == [(0, 0, 0)] * 3
    assert walk("ABC", "AC:0 B:0 AC:0") == [(0, 0, 0)] * 3
    # The first choice is a dead end: B has to be the event that is no A.
    assert walk("ABA", "AB:0 A:0 B:0")[2:] == [(0, 0, 0)]
    assert walk("ABAB", "AB:0 A:0 B:0")[2:] == [(0, 0, 0)]
    assert walk("ABAB", "AB:0 A:0 B:0 AB:0")[3:] == [(0, 0, 0)]
    assert walk("ABC", "A:0 ABC:5 BC:5")[2:] == [(5, 0, 0)]


def test_4_a_step_again_and_again() -> None:
    """A, then A, then A takes three events."""
    assert walk("AAA", "A:0") == [(0, 0, 0)]
    assert walk("AAA", "A:0 A:0") == [(0, 0, 0)] * 2
    assert walk("AAA", "A:0 A:0 A:7") == [(0, 0, 0), (0, 0, 0), (7, 0, 7)]
    assert walk("AAA", "A:0 A:4 A:8 A:10", within_seconds="6") == [(0, 0, 0), (4, 0, 4), (10, 4, 2)]
    fifteen = " ".join(f"A:{number}" for number in range(20))
    assert walk("A" * 15, fifteen)[14] == (14, 0, 1)
    assert len(walk("A" * 15, "A:0 " * 14)) == 14
    many = " ".join(f"A:{number}" for number in range(250))
    assert len(walk("A" * 14 + "B", many)) == 14


def test_4_steps_with_alternatives() -> None:
    """The second step is a B or a C."""
    row, matches = steps("AB")
    matches.append(matches[1] | {"tag_name": "C"})
    for text, reached in (("A:0 C:1", 2), ("A:0 B:1", 2), ("A:0 D:1", 1)):
        assert len(declared(tagged(text), row, *matches).funnel_steps) == reached


def test_4_a_chain_within_a_session() -> None:
    """All events of a chain are of one session; what keeps it open need not match."""
    for scope, reached in (("session", 1), ("visitor", 2), ("", 2)):
        assert len(walk("AB", "A:0 B:1800", scope=scope)) == reached
    assert len(walk("AB", "A:0 B:1799.999", scope="session")) == 2
    assert walk("AB", "A:0 X:1200 B:2400", scope="session") == [(0, 0, 0), (2400, 0, 2400)]
    assert walk("AB", "A:0 A:1800 B:1810", scope="session") == [(0, 0, 0), (1810, 1800, 10)]
    assert walk("ABC", "A:0 B:1 A:1801 C:1802", scope="session") == [(0, 0, 0), (1, 0, 1)]


def test_4_times_are_from_the_exposure_of_the_experiment() -> None:
    """One visitor in two experiments has two chains: neither sees what was before."""
    row, matches = steps("AB")
    decisions = [
        decision(0),
        decision(9, NOON + 2 * SECOND, experiment_id="f", variation="7"),
    ]
    twin = declared(tagged("A:1 B:5 A:6 B:8"), row, *matches, decisions=decisions)
    names = ("variation_id", "step", "reached_at", "chain_started_at")
    times = ("seconds_since_exposure", "seconds_since_first_step", "seconds_since_previous_step")
    found = {(r["experiment_id"], *(r[n] for n in names + times)) for r in twin.funnel_steps}
    assert found == {
        ("e", "1", 1, NOON + SECOND, NOON + SECOND, 1.0, 0.0, 1.0),
        ("e", "1", 2, NOON + 5 * SECOND, NOON + SECOND, 5.0, 4.0, 4.0),
        ("f", "7", 1, NOON + 6 * SECOND, NOON + 6 * SECOND, 4.0, 0.0, 4.0),
        ("f", "7", 2, NOON + 8 * SECOND, NOON + 6 * SECOND, 6.0, 2.0, 2.0),
    }


def test_4_funnel_report() -> None:
    """Step 0 is the exposure; every step has a row for every variation, reached or not."""
    decisions = [
        *(decision(n, visitor_id=f"v{n}") for n in range(4)),
        decision(4, visitor_id="w", variation="2"),
        decision(5, visitor_id="x", variation="3", experiment_id="f"),
    ]
    seconds = {"v0": (0, 10), "v1": (2, 22), "v2": (4,), "v3": ()}
    events = [
        conversion(10 * int(visitor[1:]) + n, NOON + after * SECOND, visitor_id=visitor)
        | {"event_name": ("view", "buy")[n]}
        for visitor, times in seconds.items()
        for n, after in enumerate(times)
    ]
    matches = [
        match("view", "step", position="1"),
        match("buy", "step", position="2"),
        match("Order", "step", position="2"),
        match("buy", "step", position="2", tag_name="plan"),
        match("thank", "step", position="3"),
        match("return", "step", position="4"),
    ]
    twin = declared(events, metric("funnel"), *matches, decisions=decisions)
    names = ("step", "step_name", "visitors", "rate_of_exposed", "rate_of_previous")
    found = {
        (r["variation_id"], *(r[n] for n in (*names, "median_seconds", "p90_seconds")))
        for r in twin.funnel_report
    }
    # Step 1 after 0, 2 and 4 seconds: the 90th percentile is 0.8 of the way from 2 to 4. Step 2
    # after 10 and 20.
    assert found == {
        ("1", 0, "exposed", 4, 1.0, None, None, None),
        ("1", 1, "view", 3, 0.75, 0.75, 2.0, 3.6),
        ("1", 2, "Order or buy", 2, 0.5, 2 / 3, 15.0, 19.0),
        ("1", 3, "thank", 0, 0.0, 0.0, None, None),
        ("1", 4, "return", 0, 0.0, None, None, None),
        *(
            (variation, step, name, visitors, rate, of_previous, None, None)
            for variation in ("2", "3")
            for step, name, visitors, rate, of_previous in (
                (0, "exposed", 1, 1.0, None),
                (1, "view", 0, 0.0, 0.0),
                (2, "Order or buy", 0, 0.0, None),
                (3, "thank", 0, 0.0, None),
                (4, "return", 0, 0.0, None),
            )
        ),
    }
    assert len(twin.funnel_report) == 15
    assert {r["experiment_id"] for r in twin.funnel_report if r["variation_id"] == "3"} == {"f"}


def test_4_percentiles() -> None:
    """Interpolated between the two values that the place lies between."""
    assert percentile([7.0], Fraction(9, 10)) == 7.0
    assert percentile([0.0, 10.0], Fraction(9, 10)) == 9.0
    assert percentile([3.0, 1.0, 2.0], Fraction(1, 2)) == 2.0
    assert percentile([4.0, 1.0, 2.0, 3.0], Fraction(1, 2)) == 2.5
    assert percentile([float(n) for n in range(11)], Fraction(9, 10)) == 9.0


def test_4_when_a_metric_has_rows() -> None:
    """For everybody, as soon as anybody of any experiment has an event of any of its rows."""
    decisions = [
        decision(0),
        decision(1, visitor_id="w", experiment_id="f", variation="2"),
        decision(2, visitor_id="bot", attributes=flagged()),
    ]

    def rows(events: list[Row], row: Row, *matches: Row) -> int:
        return len(declared(events, row, *matches, decisions=decisions).observations)

    count = metric("count", window_hours="1")
    assert rows(purchases(NOON), count) == 2
    # Outside the window it counts too, though nobody has more than 0.
    assert rows(purchases(NOON + DAY), count) == 2
    assert value(purchases(NOON + DAY), count, decisions=decisions) == 0.0
    # Not before the exposure, nor by one who is not counted, nor another event.
    assert rows(purchases(NOON - MS), count) == 0
    assert rows(purchases(NOON, visitor_id="bot"), count) == 0
    assert rows(purchases(NOON, event_name="sign"), count) == 0
    # A row of any clause.
    for clause in ("numerator", "denominator"):
        other = {"numerator": "denominator", "denominator": "numerator"}[clause]
        matches = (match(clause=clause), match("never", other))
        assert rows(purchases(NOON), metric("ratio", value="events"), *matches) == 2
    clauses = (match("never", "all_of"), match("buy", "none_of"))
    assert rows(purchases(NOON), metric("compound"), *clauses) == 2
    assert rows(purchases(NOON), metric("retention", window_hours="24")) == 2


def test_4_when_a_funnel_has_rows() -> None:
    """As soon as anybody reached its first step, within window and limit; the last does not do."""
    row, matches = steps("AB")
    for text, count in (("A:5", 1), ("B:5", 0)):
        twin = declared(tagged(text), row, *matches)
        assert len(twin.observations) == len(twin.funnel_steps) == count
        assert len(twin.funnel_report) == 3 * count
    for cells in ({"window_hours": "0.001"}, {"within_seconds": "4", "within_from": "exposure"}):
        assert declared(tagged("A:5"), row | cells, *matches).observations == []


# --- caps and maturity


@pytest.mark.parametrize(
    ("values", "quantile", "limit"),
    [
        ([1, 2, 2, 10, 0, -5], "0.5", 2),
        ([1, 2, 2, 10, 0, -5], "0.75", 2),
        ([1, 2, 2, 10, 0, -5], "0.76", 10),
        ([1, 2, 2, 10, 0, -5], "0.25", 1),
        ([1, 2, 2, 10, 0, -5], "0.26", 2),
        ([3], "0.01", 3),
        ([0, -1], "0.5", None),
        ([], "0.5", None),
        # 0.55 of 100 is 55, though 0.55 * 100 of doubles is more.
        (range(1, 101), "0.55", 55),
    ],
)
def test_5_cap(values: Sequence[float], quantile: str, limit: float | None) -> None:
    """The smallest value whose rank among those above 0 is at least the quantile's share."""
    assert cap(values, Fraction(quantile)) == limit


def test_5_cap_is_one_for_the_experiment() -> None:
    """Over both variations; ties with the cap stay, what is below 0 stays; uncapped is kept."""
    money = {"a": 100, "b": 200, "c": 200, "d": 900, "g": 0, "h": -50}
    decisions = [decision(n, visitor_id=name, variation=str(n % 2)) for n, name in enumerate(money)]
    decisions.append(decision(8, visitor_id="d", experiment_id="f", variation="9"))
    events = [
        conversion(10 + n, visitor_id=name, revenue=cents)
        for n, (name, cents) in enumerate(money.items())
    ]
    row = metric("sum", value="revenue", cap_quantile="0.5")
    found = declared(events, row, decisions=decisions).observations
    pairs = {
        (r["experiment_id"], r["visitor_id"]): (r["value"], r["uncapped_value"]) for r in found
    }
    assert pairs == {
        ("e", "a"): (100.0, 100.0),
        ("e", "b"): (200.0, 200.0),
        ("e", "c"): (200.0, 200.0),
        ("e", "d"): (200.0, 900.0),
        ("e", "g"): (0.0, 0.0),
        ("e", "h"): (-50.0, -50.0),
        # Where nobody spends less, nothing is cut.
        ("f", "d"): (900.0, 900.0),
    }


@pytest.mark.parametrize(
    ("row", "hours"),
    [
        (metric("conversion", window_hours="12"), 12),
        (metric("count", window_hours="12"), 12),
        (metric("sum", value="value", window_hours="12"), 12),
        (metric("conversion"), None),
        (metric("retention", window_hours="10", within_seconds="7200"), 12),
        (metric("retention", window_hours="12"), 12),
        (metric("retention", within_seconds="43200"), 12),
        (metric("retention"), None),
        (metric("funnel", window_hours="12"), 12),
        (metric("funnel", within_seconds="43200", within_from="exposure"), 12),
        (metric("funnel", window_hours="12", within_seconds="99999", within_from="exposure"), 12),
        (metric("funnel", window_hours="99", within_seconds="43200", within_from="exposure"), 12),
        (metric("funnel", window_hours="12", within_seconds="60"), 12),
        (metric("funnel", within_seconds="43200"), None),
        (metric("compound", window_hours="12"), 12),
        (metric("ratio", value="events", window_hours="12"), 12),
    ],
)
def test_5_last_moment(row: Row, hours: int | None) -> None:
    """When an event could still change the observation, and no later."""
    [found] = read_metrics([row], [])
    moment = last_moment(found, NOON)
    assert moment == (None if hours is None else NOON + hours * HOUR)


def test_5_mature() -> None:
    """The last moment lies before the end of the landed days of conversions, not at it."""
    row = metric("count", window_hours="12")
    times = {"v": NOON - MS, "at": NOON, "late": NOON + MS}
    decisions = [decision(n, at, visitor_id=name) for n, (name, at) in enumerate(times.items())]
    events = [conversion(n + 5, at, visitor_id=name) for n, (name, at) in enumerate(times.items())]

    def mature(**options: Any) -> set[str]:
        twin = declared(events, row, decisions=decisions, **options)
        summary = only(twin.summary)
        found = {r["visitor_id"] for r in twin.observations if r["is_mature"]}
        assert (summary["visitors"], summary["mature_visitors"]) == (3, len(found))
        # The others are in the sums all the same.
        assert summary["value_sum"] == 3.0
        return found

    assert mature() == {"v"}
    assert mature(conversions_landed_until=date(2024, 3, 2)) == {"v", "at", "late"}
    assert mature(conversions_landed_until=date(2024, 2, 29)) == set()
    # A later day of decisions does not make it later.
    decisions.append(decision(9, None, _export_date=date(2024, 3, 9)))
    assert mature() == {"v"}
    row["window_hours"] = ""
    assert mature(conversions_landed_until=date(2024, 2, 29)) == {"v", "at", "late"}


# --- summaries and segments


def attribute(key: Any, name: Any, kind: Any, found: Any) -> Row:
    return {"id": key, "name": name, "type": kind, "value": found}


@pytest.mark.parametrize(
    ("attributes", "found"),
    [
        (None, "(none)"),
        ([], "(none)"),
        ([None, attribute(None, "plan", None, "gold")], "gold"),
        ([attribute(None, "plan", "custom", "gold")], "gold"),
        ([attribute("plan", None, "custom", "gold")], "gold"),
        ([attribute("plan", None, None, "gold")], "gold"),
        ([attribute("plan", "other", "custom", "gold")], "(none)"),
        ([attribute("plan", "", None, "gold")], "(none)"),
        ([attribute(None, "plan", "metadata", "gold")], "gold"),
        ([attribute("plan", None, "metadata", "gold")], "(none)"),
        ([attribute(None, "other", "plan", "gold")], "gold"),
        ([attribute(None, "plan", "device", "gold")], "(none)"),
        ([attribute(None, "plan", "", "gold")], "(none)"),
        ([attribute(None, "Plan", None, "gold")], "(none)"),
        ([attribute(None, "plan", None, "\ue000gold")], "gold"),
        ([attribute(None, "plan", None, "go\ue000ld")], "go\ue000ld"),
        ([attribute(None, "plan", None, "")], ""),
        ([attribute(None, "plan", None, None)], "(none)"),
        ([attribute(None, "x", None, "x"), attribute(None, "plan", None, "a")], "a"),
        ([attribute(None, "plan", None, "a"), attribute(None, "plan", None, "b")], "a"),
        ([attribute(None, "plan", None, None), attribute(None, "plan", None, "b")], "(none)"),
    ],
)
def test_6_segment_of_an_exposure(attributes: list[Row | None] | None, found: str) -> None:
    """The first element whose key is the name decides."""
    assert segment_value(attributes, "plan") == found


def in_segments() -> Twin:
    """Four visitors with plans, two variations, and a ratio of revenue by purchases."""
    plans = {"a": "gold", "b": "\ue000gold", "c": None, "d": "red"}
    decisions = [
        decision(
            n,
            visitor_id=name,
            variation="10" if name in "ac" else "9",
            attributes=[attribute(None, "plan", None, plan)] if plan else None,
        )
        for n, (name, plan) in enumerate(plans.items())
    ]
    money = {"a": (300, 100), "b": (50,), "c": (40, 20, 0)}
    events = [
        conversion(10 * n + k, NOON + k * SECOND, visitor_id=name, revenue=cents)
        for n, (name, amounts) in enumerate(money.items(), start=1)
        for k, cents in enumerate(amounts)
    ]
    # What a visitor is later is not what they were when exposed.
    later = [attribute(None, "plan", None, "green")]
    decisions.append(decision(9, NOON + HOUR, visitor_id="a", variation="10", attributes=later))
    row = metric("ratio", value="revenue")
    clauses = (match(clause="numerator"), match(clause="denominator"))
    segments = ("plan", "device")
    return declared(events, row, *clauses, decisions=decisions, segments=segments)


def test_6_summary_and_segments() -> None:
    """Sums, squares and products by hand; the values of a segment add up to everyone."""
    twin = in_segments()
    of_values = ("visitors", "value_sum", "value_sum_squares")
    of_both = ("denominator_sum", "denominator_sum_squares", "cross_product_sum")
    sums = (*of_values, *of_both)
    found = {
        (r["segment_name"], r["segment_value"], r["variation_id"]): tuple(r[name] for name in sums)
        for r in twin.summary
    }
    a, b, c, d = (400, 2), (50, 1), (60, 3), (0, 0)

    def added(*visitors: tuple[int, int]) -> tuple[int, ...]:
        return (
            len(visitors),
            sum(x for x, _ in visitors),
            sum(x * x for x, _ in visitors),
            sum(y for _, y in visitors),
            sum(y * y for _, y in visitors),
            sum(x * y for x, y in visitors),
        )

    assert added(a, c) == (2, 460, 163_600, 5, 13, 980)
    assert found == {
        ("all", "all", "10"): added(a, c),
        ("all", "all", "9"): added(b, d),
        ("plan", "gold", "10"): added(a),
        ("plan", "gold", "9"): added(b),
        ("plan", "(none)", "10"): added(c),
        ("plan", "red", "9"): added(d),
        ("device", "(none)", "10"): added(a, c),
        ("device", "(none)", "9"): added(b, d),
    }


def test_6_results_of_a_ratio_in_segments() -> None:
    """The baseline is of the experiment; a mean by 0 is NULL, and so is what follows from it."""
    own = ("baseline_variation_id", "visitors", "numerator", "denominator", "mean")
    names = (*own, "baseline_mean", "difference", "lift")
    found = {
        (r["segment_name"], r["segment_value"], r["variation_id"]): tuple(r[name] for name in names)
        for r in in_segments().results
    }
    assert len(found) == 8
    assert found["all", "all", "10"] == ("9", 2, 460.0, 5.0, 92.0, 50.0, 42.0, 0.84)
    assert found["all", "all", "9"] == ("9", 2, 50.0, 1.0, 50.0, 50.0, 0.0, 0.0)
    assert found["plan", "gold", "10"] == ("9", 1, 400.0, 2.0, 200.0, 50.0, 150.0, 3.0)
    # Nobody of 9 has no plan.
    assert found["plan", "(none)", "10"] == ("9", 1, 60.0, 3.0, 20.0, None, None, None)
    assert found["plan", "red", "9"] == ("9", 1, 0.0, 0.0, None, None, None, None)


def test_6_capped_observations_are_summed() -> None:
    decisions = [decision(n, visitor_id=name) for n, name in enumerate("abc")]
    events = [
        conversion(n + 5, visitor_id=name, revenue=cents)
        for n, (name, cents) in enumerate({"a": 1, "b": 2, "c": 90}.items())
    ]
    row = metric("sum", value="revenue", cap_quantile="0.5")
    found = only(declared(events, row, decisions=decisions).summary)
    assert (found["value_sum"], found["value_sum_squares"]) == (5.0, 9.0)
    assert found["denominator_sum"] is found["cross_product_sum"] is None


def test_automatic_metrics_have_segments_and_are_mature() -> None:
    attributes = [attribute(None, "plan", None, "gold")]
    twin = Twin([decision(0, attributes=attributes)], [conversion(1)], segments=["plan"])
    found = {r["metric_name"]: r for r in twin.observations}["buy: unique conversions"]
    assert (found["value"], found["uncapped_value"], found["denominator"]) == (1.0, 1.0, None)
    assert found["is_mature"]
    segments = {(r["segment_name"], r["segment_value"], r["mature_visitors"]) for r in twin.summary}
    assert segments == {("all", "all", 1), ("plan", "gold", 1)}
    assert len(twin.summary) == len(twin.results) == 8


def test_metrics() -> None:
    """What has observations, and what is declared, with observations or without."""
    rows = [
        metric("sum", value="revenue", direction="decrease", role="guardrail"),
        metric("conversion") | {"metric_name": "never", "role": ""},
    ]
    matches = [match(), match("never") | {"metric_name": "never"}]
    twin = Twin([decision(0)], [conversion(1)], metrics=rows, metric_events=matches)
    names = ("metric_type", "measure", "direction", "role", "metric_origin")
    assert {(r["metric_name"], *(r[name] for name in names)) for r in twin.metrics} == {
        ("buy: unique conversions", "conversion", None, "increase", None, "automatic"),
        ("buy: total conversions", "count", "events", "increase", None, "automatic"),
        ("buy: revenue", "sum", "revenue", "increase", None, "automatic"),
        ("buy: value", "sum", "value", "increase", None, "automatic"),
        ("m", "sum", "revenue", "decrease", "guardrail", "declared"),
        ("never", "conversion", None, "increase", "secondary", "declared"),
    }
    assert {r["metric_name"] for r in twin.observations} == {
        "m",
        *(r["metric_name"] for r in twin.metrics if r["metric_origin"] == "automatic"),
    }
    twin = Twin([decision(0)], [conversion(1)], automatic_metrics=False)
    assert twin.metrics == twin.observations == twin.summary == twin.results == []


# --- funnels again: every order of a few events


def tried(found: Metric, exposed_at: datetime, events: list[Event]) -> list[tuple[datetime, ...]]:
    """Reached, started and previous of each step: every order of every choice of events is tried.

    Nothing is left out early: an order is a chain if docs/metrics.md says so.
    """
    matchers = found.clause("step")
    answers: list[tuple[datetime, ...]] = []
    for number in range(1, len(matchers) + 1):
        chains: list[tuple[Event, ...]] = []
        for order in permutations(events, number):
            times = [at(event) for event in order]
            limit = timedelta.max
            since = times[0]
            if found.within is not None:
                limit = found.within
                if found.within_from == "exposure":
                    since = exposed_at
            if (
                all(step.matches(event) for step, event in zip(matchers, order, strict=False))
                and all(one <= other for one, other in pairwise(times))
                and all(time - since <= limit for time in times)
                and (found.window is None or times[-1] - exposed_at <= found.window)
                and (found.scope != "session" or len({event.session_key for event in order}) == 1)
            ):
                chains.append(order)
        if not chains:
            break
        reached_at = min(at(chain[-1]) for chain in chains)
        shortest = [chain for chain in chains if at(chain[-1]) == reached_at]
        previous = [at(chain[-2]) if number > 1 else exposed_at for chain in shortest]
        answers.append((reached_at, max(at(chain[0]) for chain in shortest), max(previous)))
    return answers


def small_funnel(random: Random) -> tuple[Metric, list[Event]]:
    """A funnel of a few letters, and up to seven events of a few instants."""
    letters = random.choice(("AB", "ABC"))
    length = random.choice((2, 3, 3, 4))
    row, matches = steps(
        "".join(random.choice(letters) for _ in range(length)),
        within_seconds=random.choice(("", "", "1", "2", "3")),
        within_from=random.choice(("", "first_step", "exposure")),
        window_hours=random.choice(("", "", "", "0.0013888888888889")),
        scope=random.choice(("", "", "session")),
    )
    if random.random() < 0.3:
        matches.append(random.choice(matches) | {"tag_name": random.choice(letters)})
    cut = random.randrange(8)
    events: list[Event] = []
    for number in range(random.choice((2, 3, 4, 5, 6, 6, 7))):
        second = random.choice((0, 0, 1, 2, 3, 4, 5, 6))
        size = random.choice((1, 1, 2, len(letters)))
        events.append(
            Event(
                event_id=str(number),
                visitor_id="v",
                occurred_at=NOON + second * SECOND,
                processed_at=None,
                row={"event_name": "e", "tags": dict.fromkeys(random.sample(letters, size), "")},
                session_key="first" if second < cut else "second",
            )
        )
    [found] = read_metrics([row], matches)
    return found, events


def test_every_order_of_a_few_events() -> None:
    """The search finds what trying everything finds, in thousands of small cases."""
    random = Random(1)
    lengths: Counter[int] = Counter()
    for _ in range(4_000):
        found, events = small_funnel(random)
        wanted = tried(found, NOON, events)
        lengths[len(wanted)] += 1
        answers = [
            (step.reached_at, step.chain_started_at, step.previous_at)
            for step in reached_steps(found, NOON, events)
        ]
        assert answers == wanted, (found, events)
    assert all(lengths[length] > 200 for length in range(5)), lengths
