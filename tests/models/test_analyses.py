"""The queries in `analyses/`: compiled by dbt, run, and compared with plain Python."""

import re
from collections import Counter, defaultdict
from datetime import date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from loader.demo import write_export
from tests.models.analyses import FOLDER, QUERIES, Built, Row, blank_columns
from tests.models.project import Project
from tests.models.twin import Twin
from tests.models.twin_inputs import exported_rows, seeded_names

Key = tuple[str, str]
"""Experiment and visitor."""

ASKED = {
    "experiment_id": "21000000003",
    "variation_id": "21000001006",
    "metric_name": "purchase: revenue",
    "event_key": "purchase",
    "entity_id": "21000002011",
    "export_type": "events",
    "segment": "plan",
    "suspicious_session_events": 40,
}
"""Every var but the visitor, for whom most queries have no row."""


class Facts:
    """What the queries ask about, from the exported rows, by Python alone."""

    def __init__(self, export: Path) -> None:
        self.decisions, self.conversions = exported_rows(export)
        self.twin = Twin(self.decisions, self.conversions, seeds=seeded_names())
        self.names = {row["variation_id"]: row["variation_name"] for row in self.twin.variations}

    @cached_property
    def exposures(self) -> dict[Key, Row]:
        """The exposures that count."""
        return {
            (row["experiment_id"], row["visitor_id"]): row
            for row in self.twin.exposures
            if row["exposure_status"] in ("valid", "crossover")
            and row["exposure_source"] in ("decision", "both")
        }

    @cached_property
    def conversions_of(self) -> dict[Key, dict[str, list[Row]]]:
        """The conversions that count, by their event, in time."""
        found: dict[Key, dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
        for row in sorted(
            self.twin.attributed_conversions, key=lambda row: str(row["occurred_at"])
        ):
            key = row["experiment_id"], row["visitor_id"]
            is_derived = row["attribution_source"] in ("derived", "both")
            if is_derived and not row["is_bot"] and key in self.exposures:
                found[key][row["event_name"] or row["entity_id"]].append(row)
        return found

    def seconds(self, key: Key, moment: datetime) -> float:
        """From the exposure to a moment."""
        return float((moment - self.exposures[key]["exposed_at"]).total_seconds())

    @cached_property
    def largest_experiment(self) -> str:
        """The experiment that is taken where none is asked for."""
        experiments = sorted(
            self.twin.experiments, key=lambda row: (-row["visitor_count"], row["experiment_id"])
        )
        return str(experiments[0]["experiment_id"])


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "export"
    write_export(folder, days=10, visitors=400, events=8_000)
    add_odd_visitors(folder)
    return folder


def add_odd_visitors(export: Path) -> None:
    """Adds to one day what the queries must tell apart and the demo does not hold."""
    noon = datetime(2023, 10, 8, 12)
    saw = {
        # Visitor → variations seen, a minute after each other; '-' where they were held back.
        "odd-held-back": ("-21000001005", "-21000001006"),
        "odd-held-back-between": ("21000001005", "-21000001006", "21000001007"),
        "odd-three": ("21000001007", "21000001006", "21000001005"),
        "odd-half-a-bot": ("21000001006",),
    }
    decisions = [
        {
            "visitor_id": visitor_id,
            "timestamp": noon + timedelta(minutes=minute),
            "experiment_id": "21000000003",
            "variation_id": variation_id.removeprefix("-"),
            "is_holdback": variation_id.startswith("-"),
        }
        for visitor_id, variation_ids in saw.items()
        for minute, variation_id in enumerate(variation_ids)
    ]
    conversions = [
        {
            "visitor_id": visitor_id,
            "timestamp": moment,
            "event_name": event,
            "entity_id": "21000002011",
            "revenue": 100,
            "attributes": [{"name": "$opt_bot_filtering", "value": str(is_bot).lower()}],
        }
        for visitor_id, moment, event, is_bot in (
            ("odd-half-a-bot", noon + timedelta(hours=2), "purchase", False),
            ("odd-half-a-bot", noon + timedelta(hours=2), "add_to_cart", True),
            # The client's clock runs ahead, beside others of that day that come late.
            ("odd-three", noon + timedelta(hours=13), "product_viewed", False),
        )
    ]
    for export_type, rows in (("decisions", decisions), ("events", conversions)):
        [day] = export.rglob(f"type={export_type}/date=2023-10-08")
        model = next(path for path in day.rglob("*.parquet") if not path.name.startswith("."))
        for number, row in enumerate(rows):
            row["uuid"] = f"00000000-0000-4000-8000-{number:012}"
            row["process_timestamp"] = noon + timedelta(hours=3)
        table = pa.Table.from_pylist(rows, schema=pq.read_schema(model))
        pq.write_table(table, model.with_name("part-odd.snappy.parquet"))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, export: Path) -> Project:
    project = Project(tmp_path_factory.mktemp("analyses"))
    project.pull(export)
    project.build()
    return project


@pytest.fixture(scope="module")
def demo(project: Project) -> Built:
    return Built(project)


@pytest.fixture(scope="module")
def facts(export: Path) -> Facts:
    return Facts(export)


def test_every_query_says_what_it_answers_and_which_vars_narrow_it() -> None:
    described = yaml.safe_load((FOLDER / "_analyses.yml").read_text(encoding="utf-8"))["analyses"]
    assert sorted(analysis["name"] for analysis in described) == sorted(QUERIES)
    for name, sql in QUERIES.items():
        question, grain, variables = re.split(
            "\n--\n-- (?=One row per |Vars: )", sql.split("\nwith\n")[0]
        )
        assert re.fullmatch(r"-- [^.?]+\?", question), name
        assert grain.startswith("One row per "), name
        assert set(re.findall(r"`(\w+)`", variables)) >= vars_of(sql) > set(), name


def vars_of(sql: str) -> set[str]:
    """The vars that a query reads, by itself and by its macros."""
    used = set(re.findall(r"asked_for\('(?:\w+\.)?(\w+)'\)", sql))
    used |= set(re.findall(r"\bvar\('(\w+)'", sql))
    for columns in re.findall(r"is_any_asked_for\(\[(.+?)\]\)", sql):
        used |= set(re.findall(r"\w+", columns))
    if "experiment_in_question()" in sql:
        used.add("experiment_id")
    if "is_in_measured_window(" in sql:
        used |= {"measures_from_ms", "measures_until_ms"}
    return used


def test_every_query_runs_as_it_stands(demo: Built) -> None:
    answers = demo.answers()
    assert all(answers.values())
    assert blank_columns(answers) == set()


def test_queries_are_narrowed_by_what_is_asked_for(demo: Built) -> None:
    for query, sql in QUERIES.items():
        if query == "where_do_funnels_lose_visitors":
            continue  # The metric that is asked for is no funnel.
        rows = demo.answer(query, **ASKED)
        assert rows, query
        for name in vars_of(sql) & ASKED.keys() & rows[0].keys():
            # Decisions have no event, and conversions name no experiment.
            allowed = {ASKED[name], None if query == "what_late_events_changed" else ASKED[name]}
            assert {row[name] for row in rows} <= allowed, query


def test_a_visitor_can_be_asked_for(demo: Built, facts: Facts) -> None:
    visitor_id = next(
        visitor_id
        for (experiment_id, visitor_id), row in facts.exposures.items()
        if row["exposure_status"] == "crossover"
        and experiment_id == facts.largest_experiment
        and facts.conversions_of[experiment_id, visitor_id]
    )
    for query, sql in QUERIES.items():
        if "visitor_id" in vars_of(sql):
            asked = {"visitor_id": visitor_id, "suspicious_session_events": 1}
            assert {row["visitor_id"] for row in demo.answer(query, **asked)} == {visitor_id}


def test_six_measures_of_the_demo(demo: Built, facts: Facts) -> None:
    """Without a window: every experiment and entity, from the exported rows."""
    visitors: dict[tuple[str, bool], set[str]] = defaultdict(set)
    entities: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in facts.twin.decisions:
        if row["experiment_id"] and not row["is_holdback"]:
            visitors[row["experiment_id"], True].add(row["visitor_id"])
            visitors[row["experiment_id"], False].add(row["visitor_id"])
    for row in facts.twin.conversions:
        for experiment_id in elements(row):
            visitors[experiment_id, False].add(row["visitor_id"])
            entities[experiment_id, row["entity_id"]].append(row)
    found = {
        (row.pop("experiment_id"), row.pop("entity_id")): list(row.values())
        for row in demo.answer("six_measures")
    }
    assert found == {
        (experiment_id, entity_id): [
            len(visitors[experiment_id, True]),
            len(visitors[experiment_id, False]),
            len({row["visitor_id"] for row in rows}),
            len(rows),
            sum(row["revenue_cents"] or 0 for row in rows),
            pytest.approx(sum(row["value"] or 0 for row in rows)),
        ]
        for (experiment_id, entity_id), rows in entities.items()
    }


def elements(conversion: Row) -> dict[str, set[str]]:
    """The experiments that the vendor attributes a conversion to, and their variations."""
    found: dict[str, set[str]] = defaultdict(set)
    for element in conversion["experiments"] or []:
        if not element["is_holdback"]:
            found[element["experiment_id"]].add(element["variation_id"])
    return found


def test_who_converted(demo: Built, facts: Facts) -> None:
    found = {
        row["visitor_id"]: (
            row["variation_id"],
            row["variation_name"],
            row["value"],
            row["exposed_at"],
            row["first_event_at"],
            row["last_event_at"],
        )
        for row in demo.answer("who_converted")
        if row["metric_name"] == "purchase: revenue"
    }
    expected = {}
    for (experiment_id, visitor_id), events in facts.conversions_of.items():
        bought = events.get("purchase")
        if experiment_id == facts.largest_experiment and bought:
            exposure = facts.exposures[experiment_id, visitor_id]
            expected[visitor_id] = (
                exposure["variation_id"],
                facts.names[exposure["variation_id"]],
                sum(row["revenue_cents"] for row in bought),
                exposure["exposed_at"],
                bought[0]["occurred_at"],
                bought[-1]["occurred_at"],
            )
    assert found == expected


def test_a_funnel_is_converted_with_its_last_step(demo: Built, facts: Facts) -> None:
    found = {
        row["visitor_id"]: (row["first_event_at"], row["last_event_at"])
        for row in demo.answer("who_converted")
        if row["metric_name"] == "checkout"
    }
    expected = {}
    for key in facts.exposures:
        moments = checkout_steps(facts, key)
        if key[0] == facts.largest_experiment and len(moments) == len(CHECKOUT):
            expected[key[1]] = (moments[0], moments[-1])
    assert found == expected


CHECKOUT = ("product_viewed", "add_to_cart", "checkout: started", "purchase")


def checkout_steps(facts: Facts, key: Key) -> list[datetime]:
    """When a visitor reached the steps of the funnel `checkout`.

    It is made of different events and has no limit: for each step, the next event in time will do.
    """
    moments: list[datetime] = []
    for event in CHECKOUT:
        since = moments[-1] if moments else facts.exposures[key]["exposed_at"]
        times = [row["occurred_at"] for row in facts.conversions_of[key].get(event, [])]
        times = [time for time in times if time >= since]
        if not times:
            break
        moments.append(min(times))
    return moments


def test_who_converted_is_the_numerator_of_every_metric(demo: Built, project: Project) -> None:
    totals: Counter[tuple[str, str]] = Counter()
    for row in demo.answer("who_converted"):
        totals[row["metric_name"], row["variation_id"]] += row["value"]
    for metric_name, variation_id, numerator in project.query(
        """
        select metric_name, variation_id, numerator from experiment_results
        where experiment_id = (
            select experiment_id from dim_experiments order by visitor_count desc, 1 limit 1
        )
        """
    ):
        assert totals[metric_name, variation_id] == pytest.approx(numerator), metric_name


def test_how_long_to_convert(demo: Built, facts: Facts) -> None:
    visitors = Counter((key[0], row["variation_id"]) for key, row in facts.exposures.items())
    seconds_of: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for key, events in facts.conversions_of.items():
        for event, rows in events.items():
            seconds = facts.seconds(key, rows[0]["occurred_at"])
            seconds_of[key[0], event, facts.exposures[key]["variation_id"]].append(seconds)
    found = {
        (row["experiment_id"], row["event_key"], row["variation_id"]): [
            row["variation_name"],
            row["visitors"],
            row["converted_visitors"],
            row["converted_within_hour"],
            row["converted_within_day"],
            row["converted_within_week"],
            row["median_seconds"],
            row["p90_seconds"],
            row["longest_seconds"],
        ]
        for row in demo.answer("how_long_to_convert")
    }
    assert found == {
        (experiment_id, event, variation_id): [
            facts.names[variation_id],
            visitors[experiment_id, variation_id],
            len(seconds),
            *(sum(second <= limit for second in seconds) for limit in (3600, 86400, 604800)),
            pytest.approx(np.percentile(seconds, 50)),
            pytest.approx(np.percentile(seconds, 90)),
            max(seconds),
        ]
        for (experiment_id, event, variation_id), seconds in seconds_of.items()
    }


def test_from_which_session(demo: Built, facts: Facts) -> None:
    starts = {row["session_key"]: row["started_at"] for row in facts.twin.sessions}
    starts_of: dict[str, list[datetime]] = defaultdict(list)
    for row in facts.twin.sessions:
        starts_of[row["visitor_id"]].append(row["started_at"])
    expected = []
    for (experiment_id, visitor_id), events in facts.conversions_of.items():
        if experiment_id == facts.largest_experiment:
            exposed_in = facts.exposures[experiment_id, visitor_id]["session_key"]
            for row in (row for rows in events.values() for row in rows):
                later = [
                    start
                    for start in starts_of[visitor_id]
                    if starts[exposed_in] < start <= starts[row["session_key"]]
                ]
                same = exposed_in == row["session_key"]
                expected.append((row["event_id"], exposed_in, row["session_key"], same, len(later)))
    found = [
        (
            row["event_id"],
            row["exposure_session_key"],
            row["conversion_session_key"],
            row["is_same_session"],
            row["sessions_later"],
        )
        for row in demo.answer("from_which_session")
    ]
    assert sorted(found) == sorted(expected)
    assert {row[4] for row in found} > {0, 1}


def test_which_days_are_missing(demo: Built, facts: Facts, export: Path) -> None:
    expected = []
    for export_type, landed in (("decisions", facts.decisions), ("events", facts.conversions)):
        counts = Counter(row["_export_date"] for row in landed)
        marks = export.rglob(f"type={export_type}/date=*/_SUCCESS")
        ready = {date.fromisoformat(mark.parent.name.removeprefix("date=")) for mark in marks}
        for ordinal in range(min(ready).toordinal(), max(ready).toordinal() + 1):
            day = date.fromordinal(ordinal)
            if not counts[day]:
                problem, rows = ("empty", 0) if day in ready else ("missing", None)
                expected.append((day, export_type, problem, rows))
    found = [
        (row["export_date"], row["export_type"], row["problem"], row["row_count"])
        for row in demo.answer("which_days_are_missing")
    ]
    assert found == sorted(expected, key=lambda row: row[:2])
    assert {row[2] for row in found} == {"missing", "empty"}


def test_a_day_in_part_is_not_in_order(demo: Built, project: Project) -> None:
    day = "export_type = 'events' and export_date = '2023-10-05'"
    project.execute(f"update export_days set is_complete = false where {day}")
    try:
        rows = demo.answer("which_days_are_missing")
    finally:
        project.execute(f"update export_days set is_complete = true where {day}")
    assert [row["export_date"] for row in rows if row["problem"] == "landed in part"] == [
        date(2023, 10, 5)
    ]


def test_which_visitors_saw_two_variations(demo: Built, facts: Facts) -> None:
    seen: dict[Key, dict[str, datetime]] = defaultdict(dict)
    for row in facts.twin.decisions:
        if row["experiment_id"] and not row["is_holdback"]:
            moments = seen[row["experiment_id"], row["visitor_id"]]
            moment = moments.get(row["variation_id"], row["occurred_at"])
            moments[row["variation_id"]] = min(moment, row["occurred_at"])
    for row in facts.twin.conversions:
        for experiment_id, variation_ids in elements(row).items():
            for variation_id in variation_ids:
                moments = seen[experiment_id, row["visitor_id"]]
                moment = moments.get(variation_id, row["occurred_at"])
                moments[variation_id] = min(moment, row["occurred_at"])
    expected = {}
    firsts = {(row["experiment_id"], row["visitor_id"]): row for row in facts.twin.exposures}
    for key, moments in seen.items():
        if len(moments) > 1:
            first = firsts[key]["variation_id"]
            at, other = min((at, other) for other, at in moments.items() if other != first)
            expected[key] = (first, other, len(moments), at)
    found = {
        (row["experiment_id"], row["visitor_id"]): (
            row["variation_id"],
            row["other_variation_id"],
            row["variation_count"],
            row["other_seen_at"],
        )
        for row in demo.answer("which_visitors_saw_two_variations")
    }
    assert found == expected
    assert len(found) > 5


def test_where_do_funnels_lose_visitors(demo: Built, facts: Facts) -> None:
    reached: Counter[tuple[str, str, int]] = Counter()
    for key, exposure in facts.exposures.items():
        for step in range(len(checkout_steps(facts, key)) + 1):
            reached[key[0], exposure["variation_id"], step] += 1
    found = [
        row
        for row in demo.answer("where_do_funnels_lose_visitors")
        if row["metric_name"] == "checkout"
    ]
    assert len(found) == 4 * len({key[:2] for key in reached})
    losses: dict[Key, list[int]] = defaultdict(list)
    for row in found:
        arm, step = (row["experiment_id"], row["variation_id"]), row["step"]
        before, now = reached[*arm, step - 1], reached[*arm, step]
        assert row["step_name"] == CHECKOUT[step - 1]
        assert (row["previous_visitors"], row["visitors"]) == (before, now)
        assert row["lost_visitors"] == before - now
        assert row["lost_share"] == pytest.approx((before - now) / before)
        losses[arm].append(before - now)
    for row in found:
        lost = losses[row["experiment_id"], row["variation_id"]]
        assert row["is_largest_loss"] == (lost.index(max(lost)) == row["step"] - 1)


def test_what_changed_by_segment(demo: Built, facts: Facts) -> None:
    experiment_id = ASKED["experiment_id"]
    cents: dict[tuple[str, str], list[int]] = defaultdict(list)
    for key, exposure in facts.exposures.items():
        if key[0] == experiment_id:
            plans = [
                item["value"] for item in exposure["attributes"] or [] if item["name"] == "plan"
            ]
            plan = plans[0].lstrip("\ue000") if plans and plans[0] is not None else "(none)"
            bought = facts.conversions_of[key].get("purchase", [])
            revenue = sum(row["revenue_cents"] for row in bought)
            cents[plan, exposure["variation_id"]].append(revenue)
    asked = {name: value for name, value in ASKED.items() if name != "variation_id"}
    baseline = "21000001005"
    found = {
        (row["segment_value"], row["variation_id"]): (row["visitors"], row["mean"], row["lift"])
        for row in demo.answer("what_changed_by_segment", **asked)
    }
    assert found == {
        (plan, variation_id): (
            len(values),
            pytest.approx(np.mean(values)),
            pytest.approx(np.mean(values) / np.mean(cents[plan, baseline]) - 1),
        )
        for (plan, variation_id), values in cents.items()
    }
    assert {plan for plan, _ in found} > {"(none)"}
    everyone = {
        row["variation_id"]: row["lift"]
        for row in facts.twin.results
        if row["experiment_id"] == experiment_id and row["metric_name"] == ASKED["metric_name"]
    }
    for row in demo.answer("what_changed_by_segment", **asked):
        assert row["baseline_variation_id"] == baseline
        assert row["overall_lift"] == pytest.approx(everyone[row["variation_id"]])


def test_which_events_exist(demo: Built, facts: Facts) -> None:
    tags: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    quantities: Counter[tuple[str, str]] = Counter()
    for row in facts.twin.conversions:
        tags[row["entity_id"], row["event_name"]].update(list(dict(row["tags"] or {})))
        quantities[row["entity_id"], row["event_name"]] += row["quantity"] or 0
    expected = {(row["entity_id"], row["event_name"]): row for row in facts.twin.events}
    found = demo.answer("which_events_exist")
    assert len(found) == len(expected) > 5
    for row in found:
        event = row["entity_id"], row["event_name"]
        for column in ("event_key", "event_type", "conversion_count", "visitor_count"):
            assert row[column] == expected[event][column]
        assert row["revenue_cents"] == expected[event]["revenue_cents"]
        assert row["quantity"] == quantities[event]
        most = sorted(tags[event], key=lambda name: (-tags[event][name], name))[:10]
        assert row["tag_names"] == (", ".join(sorted(most)) or None)
    metrics = {row["event_key"]: row["declared_metrics"] for row in found}
    assert metrics["add_to_cart"] == "cart left behind, checkout, checkout in one visit"
    assert metrics["client_activation"] is None


def test_what_late_events_changed(demo: Built, facts: Facts) -> None:
    events: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in facts.twin.decisions:
        day = row["occurred_at"].date()
        events[day, "decisions", row["experiment_id"], None].append(row)
    for row in facts.twin.conversions:
        day = row["occurred_at"].date()
        events[day, "conversions", None, row["event_name"] or row["entity_id"]].append(row)
    expected = {}
    for key, rows in events.items():
        on_time = [row for row in rows if row["export_date"] <= key[0]]
        if len(on_time) < len(rows):
            expected[key] = [
                len(on_time),
                len(rows),
                len({row["visitor_id"] for row in on_time}),
                len({row["visitor_id"] for row in rows}),
                sum(row.get("revenue_cents") or 0 for row in on_time),
                sum(row.get("revenue_cents") or 0 for row in rows),
                max(row["export_date"] for row in rows),
            ]
    found = {
        (row["occurred_date"], row["event_kind"], row["experiment_id"], row["event_key"]): [
            row["events_on_time"],
            row["events"],
            row["visitors_on_time"],
            row["visitors"],
            row["revenue_cents_on_time"],
            row["revenue_cents"],
            row["last_export_date"],
        ]
        for row in demo.answer("what_late_events_changed")
    }
    assert found == expected
    assert {key[1] for key in found} == {"decisions", "conversions"}


def test_which_visitors_are_bots(demo: Built, facts: Facts) -> None:
    sessions_of: dict[str, list[int]] = defaultdict(list)
    for row in facts.twin.sessions:
        size = row["decision_count"] + row["conversion_count"]
        sessions_of[row["visitor_id"]].append(size)
    flags = Counter(
        row["visitor_id"] for row in facts.twin.decisions + facts.twin.conversions if row["is_bot"]
    )
    counted = Counter(visitor_id for _, visitor_id in facts.exposures)
    found = {
        row["visitor_id"]: (
            row["is_flagged"],
            row["is_suspicious"],
            row["flagged_events"],
            row["bot_reason"],
            row["session_count"],
            row["largest_session_events"],
            row["counted_experiments"],
        )
        for row in demo.answer("which_visitors_are_bots", **ASKED)
    }
    assert found == {
        visitor_id: (
            flags[visitor_id] > 0,
            max(sizes) >= 40,
            flags[visitor_id],
            # The demo's user agents match no pattern.
            "attribute" if flags[visitor_id] else None,
            len(sizes),
            max(sizes),
            counted[visitor_id],
        )
        for visitor_id, sizes in sessions_of.items()
        if flags[visitor_id] or max(sizes) >= 40
    }
    assert {row[:2] for row in found.values()} >= {(True, False), (False, True)}
