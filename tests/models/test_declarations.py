"""The random declarations are themselves tested: valid by docs/metrics.md, and for coverage."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from random import Random
from typing import Any

from .declarations import (
    EVENT_COLUMNS,
    LONG_FUNNEL,
    METRIC_COLUMNS,
    Declarations,
    changed,
    declarations,
)
from .histories import State, conversions_landed_until, history, landed_rows
from .metric_twin import (
    Metric,
    at,
    in_window,
    last_moment,
    observation,
    reached_steps,
    read_metrics,
)
from .test_metric_twin import tried
from .twin import Event, Twin

Row = dict[str, Any]

DAY = timedelta(days=1)


# --- what is declared


def complaints(metrics: list[Row], metric_events: list[Row]) -> Iterator[str]:
    """What is wrong with some declarations by docs/metrics.md, sections 1 and 2."""
    clauses = {
        "funnel": {"step"},
        "compound": {"all_of", "any_of", "none_of"},
        "ratio": {"numerator", "denominator"},
    }
    columns = ("revenue", "value", "quantity")
    values = {"sum": columns, "ratio": (*columns, "events"), "count": ("events",)}
    automatic = (": unique conversions", ": total conversions", ": revenue", ": value")
    names = [row["metric_name"] for row in metrics]
    yield from (f"{name} twice" for name, count in Counter(names).items() if count > 1)
    if sum(1 for row in metrics if row["role"] == "primary") > 1:
        yield "two primary metrics"
    if {row["metric_name"] for row in metric_events} != set(names):
        yield "metrics without events, or events without a metric"
    for row in metrics:
        kind, name = row["metric_type"], row["metric_name"]
        assert list(row) == list(METRIC_COLUMNS)
        if not name or name.endswith(automatic):
            yield f"{name} is no name"
        allowed = {
            "value": values.get(kind, ()),
            "within_from": ("first_step", "exposure") if kind == "funnel" else (),
            "scope": ("visitor", "session") if kind in ("funnel", "compound") else (),
            "direction": ("increase", "decrease"),
            "role": ("primary", "secondary", "guardrail"),
        }
        yield from (
            f"{name}: {column} is {row[column]}"
            for column, choices in allowed.items()
            if row[column] not in (None, "", *choices)
        )
        if kind in values and not row["value"]:
            yield f"{name}: nothing to add up"
        for column, kinds in {
            "window_hours": None,
            "within_seconds": ("funnel", "retention"),
            "cap_quantile": ("count", "sum"),
        }.items():
            number = Fraction(row[column] or 0)
            if number < 0 or (number > 0 and kinds is not None and kind not in kinds):
                yield f"{name}: {column} is {row[column]}"
        if Fraction(row["cap_quantile"] or 0) >= 1:
            yield f"{name}: a cap of everything"
        if row["within_from"] and not Fraction(row["within_seconds"] or 0):
            yield f"{name}: no limit to count from anywhere"

        own = [event for event in metric_events if event["metric_name"] == name]
        found = {event["clause"] for event in own}
        if not found <= clauses.get(kind, {"event"}) or (kind == "ratio" and len(found) < 2):
            yield f"{name}: clauses {found}"
        if kind == "compound" and found == {"none_of"}:
            yield f"{name}: nothing that has to be"
        if kind == "funnel":
            places = {int(event["position"] or 0) for event in own}
            if places != set(range(1, len(places) + 1)) or not 2 <= len(places) <= LONG_FUNNEL:
                yield f"{name}: steps {places}"
        counts: dict[tuple[str, str], set[int]] = {}
        for event in own:
            assert set(event) == set(EVENT_COLUMNS)
            count = int(event["min_count"] or 0)
            if count > 1 and kind not in ("conversion", "retention", "compound"):
                yield f"{name}: min_count {count}"
            if event["match_field"] not in ("event_name", "entity_id", "event_type"):
                yield f"{name}: match_field {event['match_field']}"
            if not event["match_value"] or (event["tag_value"] and not event["tag_name"]):
                yield f"{name}: match {event}"
            if kind == "compound" and not int(event["position"] or 0):
                yield f"{name}: a part without a number"
            position = event["position"] or "" if kind in ("funnel", "compound") else ""
            counts.setdefault((event["clause"], position), set()).add(count or 1)
        if any(len(found) > 1 for found in counts.values()):
            yield f"{name}: a part does not agree in min_count"


def meaning(found: Declarations) -> dict[str, tuple[Any, ...]]:
    """What the numbers of each metric depend on."""
    return {
        metric.name: (
            (metric.type, metric.value, metric.window, metric.within, metric.within_from),
            (metric.scope, metric.cap_quantile),
            {(part.clause, part.position, part.min_count, part.rows) for part in metric.parts},
        )
        for metric in read_metrics(*found)
    }


def as_sets(found: Declarations) -> tuple[set[tuple[Any, ...]], ...]:
    """The cells as they stand, in no order of rows."""
    return tuple({tuple(row.items()) for row in rows} for rows in found)


def declaration_situations(random: Random) -> Iterator[str]:
    """Names of what stands in one sequence of declarations, and of what changes in it."""
    found = declarations(random)
    for _ in range(3):
        assert not list(complaints(*found)), list(complaints(*found))
        for metric in read_metrics(*found):
            yield f"{metric.type} of scope {metric.scope}, limit {metric.within is not None}"
            yield f"value {metric.value} of {metric.type}"
            yield f"role {metric.role}"
            yield f"direction {metric.direction}"
            if metric.type == "funnel":
                yield f"{len(metric.clause('step'))} steps"
                if metric.within is not None:
                    yield f"limit from {metric.within_from}"
            for part in metric.parts:
                yield f"{part.clause} of {metric.type}, min_count {part.min_count}"
                yield f"{min(len(part.rows), 2)} rows of {part.clause}"
                for row in part.rows:
                    yield f"match by {row.field}"
                    yield f"tag {row.tag_name is not None}, value {row.tag_value is not None}"
        after = changed(random, *found)
        old, new = meaning(found), meaning(after)
        yield from ("metric gone" for _ in old.keys() - new.keys())
        yield from ("metric new" for _ in new.keys() - old.keys())
        for name in old.keys() & new.keys():
            before_rows, after_rows = (
                as_sets(tuple([r for r in rows if r["metric_name"] == name] for rows in both))  # type: ignore[arg-type]
                for both in (found, after)
            )
            kinds = [metric[0][0] for metric in (old[name], new[name])]
            if before_rows == after_rows:
                yield "metric untouched"
            elif old[name] == new[name]:
                yield "metric changed in words alone"
            elif kinds[0] != kinds[1]:
                yield "metric of another type"
            elif old[name][2] == new[name][2]:
                yield "metric changed in a number"
            else:
                yield "metric changed in its events"
        found = after


DECLARED = [
    *(f"{kind} of scope visitor, limit False" for kind in ("conversion", "count", "sum", "ratio")),
    *(f"compound of scope {scope}, limit False" for scope in ("visitor", "session")),
    *(f"retention of scope visitor, limit {limit}" for limit in (True, False)),
    *(
        f"funnel of scope {scope}, limit {limit}"
        for scope in ("visitor", "session")
        for limit in (True, False)
    ),
    *(
        f"value {name} of {kind}"
        for name in ("revenue", "value", "quantity")
        for kind in ("sum", "ratio")
    ),
    "value events of ratio",
    *(f"role {role}" for role in ("primary", "secondary", "guardrail")),
    *(f"direction {direction}" for direction in ("increase", "decrease")),
    *(f"{number} steps" for number in (2, 3, 4, 5, 6, 15)),
    *(f"limit from {start}" for start in ("first_step", "exposure")),
    *(f"event of {kind}, min_count {n}" for kind in ("conversion", "retention") for n in (1, 2, 3)),
    *(
        f"{clause} of compound, min_count {n}"
        for clause in ("all_of", "any_of", "none_of")
        for n in (1, 2, 3)
    ),
    *(
        f"{n} rows of {clause}"
        for n in (1, 2)
        for clause in ("event", "step", "numerator", "denominator")
    ),
    *(f"{n} rows of {clause}" for n in (1, 2) for clause in ("all_of", "any_of", "none_of")),
    *(f"match by {field}" for field in ("event_name", "entity_id", "event_type")),
    *(f"tag {tag}, value {value}" for tag, value in ((True, True), (True, False), (False, False))),
    "metric gone",
    "metric new",
    "metric untouched",
    "metric changed in words alone",
    "metric of another type",
    "metric changed in a number",
    "metric changed in its events",
]
"""What the declarations promise."""


def test_declarations_are_valid_and_hold_everything() -> None:
    """Also after changes; and the same for the same seed."""
    counts: Counter[str] = Counter()
    for seed in range(200):
        counts.update(declaration_situations(Random(seed)))
    rare = {name: counts[name] for name in DECLARED if counts[name] < 5}
    assert not rare, rare
    assert declarations(Random(7)) == declarations(Random(7)) != declarations(Random(8))
    assert len(declarations(Random(7), count=3)[0]) == 3


# --- what it meets in the histories

SEGMENTS = ("plan", "device")


def metric_situations(state: State, found: Declarations) -> Iterator[str]:
    """Names of the awkward situations that the rules of metrics meet in one state."""
    twin = Twin(
        *landed_rows(state),
        metrics=found[0],
        metric_events=found[1],
        segments=SEGMENTS,
        conversions_landed_until=conversions_landed_until(state),
    )
    assert_grain(twin)
    metrics = {metric.name: metric for metric in read_metrics(*found)}
    exposures = {(r["experiment_id"], r["visitor_id"]): r["exposed_at"] for r in twin.exposures}
    landed_until = conversions_landed_until(state)
    with_rows: set[str] = set()
    for row in twin.observations:
        if row["metric_name"] not in metrics:
            continue
        metric = metrics[row["metric_name"]]
        with_rows.add(metric.name)
        if row["value"] > 0:
            yield f"{metric.type} above 0"
        if row["value"] < row["uncapped_value"]:
            yield "observation cut"
        moment = last_moment(metric, exposures[row["experiment_id"], row["visitor_id"]])
        if moment is not None:
            yield f"{metric.type} mature {row['is_mature']}"
            if landed_until and moment == datetime.combine(landed_until, datetime.min.time()) + DAY:
                yield "matures with the very end of the data"
    yield from ("metric without rows" for _ in metrics.keys() - with_rows)
    for row in twin.funnel_steps:
        metric = metrics[row["metric_name"]]
        yield f"step {row['step']} reached"
        limited_from = "exposure" if metric.within_from == "exposure" else "first_step"
        seconds = row[f"seconds_since_{limited_from}"]
        if metric.within is not None and timedelta(seconds=seconds) == metric.within:
            yield f"step {min(row['step'], 2)} at the end of the limit from {limited_from}"
        if row["step"] > 1 and row["seconds_since_first_step"] == 0:
            yield "chain of one instant"
        if row["step"] > 2 and row["seconds_since_first_step"] == 0:
            yield "longer chain of one instant"
    for row in twin.results:
        if row["metric_name"] in metrics and metrics[row["metric_name"]].type == "ratio":
            yield f"ratio, mean {row['mean'] is not None}, lift {row['lift'] is not None}"
        if row["segment_name"] != "all":
            yield f"segment {row['segment_name']} {row['segment_value']}"
    for row in twin.funnel_report:
        rate = row["rate_of_previous"]
        yield f"rate of {'NULL' if rate is None else 'nobody' if rate == 0 else 'somebody'}"
    for metric in metrics.values():
        for (experiment_id, visitor_id), events in twin._counted_conversions.items():
            yield from visitor_situations(metric, exposures[experiment_id, visitor_id], events)


def visitor_situations(metric: Metric, exposed_at: datetime, events: list[Event]) -> Iterator[str]:
    """Names of what one visitor's events are to a metric: where a careless reading goes wrong."""
    matching = [event for event in events if metric.matches(event)]
    times = {at(event) - exposed_at for event in matching}
    if metric.type == "retention":
        begin = metric.window or timedelta(0)
        if begin in times:
            yield "event at the beginning of the return period"
        if metric.within is not None and begin + metric.within in times:
            yield "event at the end of the return period"
    elif metric.window is not None:
        yield from (f"event {time - metric.window} from the window" for time in times)
    if metric.type == "compound":
        fewer = [part for part in metric.parts if part.clause != "none_of"]
        for name, other in (
            ("none_of", replace(metric, parts=tuple(fewer))),
            ("session", replace(metric, scope="visitor")),
        ):
            if observation(metric, exposed_at, events) != observation(other, exposed_at, events):
                yield f"compound decided by {name}"
    if metric.type == "funnel":
        right = reached_steps(metric, exposed_at, events)
        if right != reached_steps(replace(metric, scope="visitor"), exposed_at, events):
            yield "funnel decided by the session"
        careless = greedy(metric, exposed_at, events, again=False)
        if careless != [step.reached_at for step in right]:
            yield "funnel that the first event of each step answers wrongly"
        if greedy(metric, exposed_at, events, again=True) != careless:
            yield "funnel that one event would walk through twice"
        if any(one.chain_started_at != other.chain_started_at for one, other in pairwise(right)):
            yield "funnel with chains of several starts"
    named = [part for part in metric.parts if any(part.matches(event) for event in matching)]
    if any(sum(part.matches(event) for part in named) > 1 for event in matching):
        yield f"event of several parts of a {metric.type}"


def greedy(
    metric: Metric, exposed_at: datetime, events: list[Event], *, again: bool
) -> list[datetime]:
    """When the steps are reached by one who takes the first event that fits, and never looks back.

    With `again`, one event may fill several steps.
    """
    left = sorted(in_window(metric, exposed_at, events), key=at)
    is_visitor = metric.scope == "visitor"
    chain: list[Event] = []
    for step in metric.clause("step"):
        start = exposed_at
        if chain and metric.within_from != "exposure":
            start = at(chain[0])
        fitting = [
            event
            for event in left
            if step.matches(event)
            and (not chain or at(event) >= at(chain[-1]))
            and (again or all(event is not used for used in chain))
            and (
                metric.within is None
                or (not chain and metric.within_from != "exposure")
                or at(event) - start <= metric.within
            )
            and (is_visitor or not chain or event.session_key == chain[0].session_key)
        ]
        if not fitting:
            break
        chain.append(fitting[0])
    return [at(event) for event in chain]


GRAIN = {
    "funnel_steps": ("experiment_id", "metric_name", "visitor_id", "step"),
    "funnel_report": ("experiment_id", "metric_name", "variation_id", "step"),
    "observations": ("experiment_id", "visitor_id", "metric_name"),
    "summary": ("experiment_id", "metric_name", "variation_id", "segment_name", "segment_value"),
    "results": ("experiment_id", "metric_name", "variation_id", "segment_name", "segment_value"),
    "metrics": ("metric_name",),
}


def assert_grain(twin: Twin) -> None:
    """One row for each key, and segments that add up to everyone."""
    for mart, key in GRAIN.items():
        found = getattr(twin, mart)
        assert len({tuple(r[name] for name in key) for r in found}) == len(found), mart
    totals: dict[tuple[str, ...], Counter[str]] = {}
    for row in twin.summary:
        key = (row["experiment_id"], row["metric_name"], row["variation_id"])
        totals.setdefault(key, Counter())[row["segment_name"]] += row["value_sum"]
        totals[key][f"visitors of {row['segment_name']}"] += row["visitors"]
    for sums in totals.values():
        for name in SEGMENTS:
            assert sums[name] == sums["all"]
            assert sums[f"visitors of {name}"] == sums["visitors of all"]


MET = [
    *(f"{kind} above 0" for kind in ("conversion", "count", "sum", "ratio", "compound")),
    *(f"{kind} above 0" for kind in ("retention", "funnel")),
    *(
        f"{kind} mature {known}"
        for kind in ("count", "retention", "funnel")
        for known in (True, False)
    ),
    "metric without rows",
    "observation cut",
    "matures with the very end of the data",
    *(f"step {number} reached" for number in range(1, 16)),
    *(f"step 2 at the end of the limit from {start}" for start in ("first_step", "exposure")),
    "step 1 at the end of the limit from exposure",
    "chain of one instant",
    "longer chain of one instant",
    *(
        f"ratio, mean {mean}, lift {lift}"
        for mean, lift in ((True, True), (True, False), (False, False))
    ),
    *(f"segment plan {value}" for value in ("(none)", "gold", "silver")),
    *(f"segment device {value}" for value in ("(none)", "desktop", "iphone", "")),
    *(f"rate of {whom}" for whom in ("NULL", "nobody", "somebody")),
    *(f"event at the {where} of the return period" for where in ("beginning", "end")),
    "event 0:00:00 from the window",
    "event 0:00:00.001000 from the window",
    "event -1 day, 23:59:59.999000 from the window",
    *(f"compound decided by {what}" for what in ("none_of", "session")),
    "funnel decided by the session",
    "funnel that the first event of each step answers wrongly",
    "funnel that one event would walk through twice",
    "funnel with chains of several starts",
    *(f"event of several parts of a {kind}" for kind in ("funnel", "ratio", "compound")),
    "metric appeared",
    "metric gone",
]
"""What the declarations meet in the histories; declarations gone soft fail by name."""


def test_declarations_meet_every_awkward_situation_in_histories() -> None:
    """Over a few seeds, more than by a lucky accident."""
    counts: Counter[str] = Counter()
    for seed in range(1, 9):
        states = history(seed, visitors=120).states
        found = declarations(Random(seed), count=50)
        counts.update(metric_situations(states[-1], found))
        names: list[set[str]] = []
        for state in states:
            twin = Twin(*landed_rows(state), metrics=found[0], metric_events=found[1])
            names.append({metric.name for metric in twin._metrics_with_rows})
        for before, after in pairwise(names):
            counts.update(["metric appeared"] * len(after - before))
            counts.update(["metric gone"] * len(before - after))
    rare = {name: counts[name] for name in MET if counts[name] < 3}
    assert not rare, rare


def test_funnels_of_histories_tried_in_every_order() -> None:
    """Visitors of a few events: the search finds what trying everything finds."""
    lengths: Counter[int] = Counter()
    for seed in (1, 2, 3):
        found = declarations(Random(seed), count=50)
        twin = Twin(*landed_rows(history(seed, visitors=120).states[-1]))
        exposures = {(r["experiment_id"], r["visitor_id"]): r["exposed_at"] for r in twin.exposures}
        for key, events in twin._counted_conversions.items():
            for metric in read_metrics(*found):
                if metric.type == "funnel" and len(events) <= 5:
                    steps = reached_steps(metric, exposures[key], events)
                    lengths[len(steps)] += 1
                    assert tried(metric, exposures[key], events) == [
                        (step.reached_at, step.chain_started_at, step.previous_at) for step in steps
                    ]
    assert all(lengths[length] > 10 for length in range(4)), lengths
