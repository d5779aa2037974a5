"""The brute-force twin: docs/counting.md read literally, in plain Python.

The models are one reading of that page, this module is the other. It shares no code, no idea of
"incremental" and no engine with them: every answer is worked out from all landed rows, one visitor,
one event and one rule at a time. Slow and obvious beats fast and clever here, because a mistake
that both readings share is a mistake nobody finds. What docs/metrics.md says of declared metrics is
read in metric_twin.py.

Section numbers (§) are those of docs/counting.md. The order of the returned rows means nothing:
compare them as sets of rows.
"""

import csv
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

from .metric_twin import (
    AUTOMATIC_METRICS,
    EVERYONE,
    Cells,
    Metric,
    Step,
    cap,
    conversion_count,
    is_mature,
    observation,
    percentile,
    reached_steps,
    read_metrics,
    segment_value,
    step_names,
)

Row = dict[str, Any]
Observed = tuple[float, float]
"""An observation and its denominator, which is 0 where it has none."""
ObservedDays = list[tuple[date, float, float]]
"""Days in their order, and the observation and denominator at the end of each."""

EPOCH = datetime(1970, 1, 1)
SESSION_GAP = timedelta(minutes=30)
SESSION_LIMIT = timedelta(hours=24)

BLANK_IS_NULL = (
    "uuid",
    "visitor_id",
    "session_id",
    "experiment_id",
    "campaign_id",
    "variation_id",
    "entity_id",
    "event_name",
)
"""§1: the columns in which '' means NULL; the same names count inside `experiments`."""

BOT_REASONS = ("attribute", "user_agent", "rate")
"""§1: in this order, the first that holds is the reason."""
BOT_KEY = "$opt_bot_filtering"
TYPED_VALUE_MARK = "\ue000"
ABSURD_VALUE = 1e150
"""§1: a `value` of this size or more means NULL."""


@dataclass
class Event:
    """One decision or conversion that survived §1, with what §2 adds to it."""

    event_id: str
    visitor_id: str | None
    occurred_at: datetime | None
    processed_at: datetime | None
    row: Row
    bot_reason: str | None = None
    session_key: str | None = None

    @property
    def is_bot(self) -> bool:
        """§1: whether the event is flagged, for whichever reason."""
        return self.bot_reason is not None


@dataclass(frozen=True)
class Evidence:
    """§3: one sign that a visitor saw an experiment: a decision, or an element of `experiments`."""

    event: Event
    is_decision: bool
    campaign_id: str | None
    variation_id: str | None
    is_holdback: bool


@dataclass(frozen=True)
class Sighting:
    """Wherever the data speaks of an experiment: a decision of it, or an element that names it.

    Unlike evidence (§3) a sighting needs neither a visitor nor a timestamp.
    """

    is_decision: bool
    experiment_id: str
    campaign_id: str | None
    variation_id: str | None
    occurred_at: datetime | None


@dataclass(frozen=True)
class Exposure:
    """§3: what all evidence of one experiment and visitor comes to."""

    experiment_id: str
    visitor_id: str
    campaign_id: str | None
    variation_id: str | None
    event_id: str
    exposed_at: datetime
    source: str
    status: str
    variation_count: int
    decision_count: int
    is_holdback: bool
    bot_reason: str | None
    session_key: str | None
    attributes: list[Row | None] | None


@dataclass(frozen=True)
class Attribution:
    """§4: one conversion that counts for one experiment."""

    conversion: Event
    experiment_id: str
    variation_id: str | None
    vendor_variation_id: str | None
    source: str
    seconds_since_exposure: float | None


@dataclass(frozen=True)
class Names:
    """§7: what one source says of experiments (by id) and variations (by both ids)."""

    experiments: dict[str, Row] = field(default_factory=dict)
    variations: dict[tuple[str, str], Row] = field(default_factory=dict)


NO_NAMES = Names()


def _shipped_patterns() -> list[str | None]:
    """The patterns of the seed `bot_user_agents` as it stands in the project."""
    seed = Path(__file__).parents[2] / "seeds" / "bot_user_agents.csv"
    with seed.open(encoding="utf-8", newline="") as file:
        return [row["pattern"] for row in csv.DictReader(file)]


class Twin:
    """Every mart, from the landed rows alone.

    `decisions` and `conversions` hold one dict per landed row: the columns of the specification
    (a column that is missing is None) and `_export_date`, `_file_id`, `_file_row`. `seeds` and
    `fetched` hold names; `metrics` and `metric_events` are the rows of those seeds as text;
    `bot_user_agents` are the patterns of that seed, by default the shipped ones.
    `conversions_landed_until` is the newest landed day of conversions, which may have no rows; by
    default, the newest that has. The other keyword arguments are the project's variables of the
    same names.
    """

    def __init__(
        self,
        decisions: Iterable[Row],
        conversions: Iterable[Row],
        *,
        attribution: str = "derived",
        visitor_counting: str = "full_stack",
        crossovers: str = "first",
        attribution_window_hours: float = 0,
        bot_events_per_minute: int = 0,
        bot_user_agents: Iterable[str | None] | None = None,
        seeds: Names = NO_NAMES,
        fetched: Names = NO_NAMES,
        metrics: Sequence[Cells] = (),
        metric_events: Sequence[Cells] = (),
        segments: Sequence[str] = (),
        automatic_metrics: bool = True,
        cuped_days: int = 0,
        conversions_landed_until: date | None = None,
    ) -> None:
        _require("attribution", attribution, ("derived", "vendor"))
        _require("visitor_counting", visitor_counting, ("full_stack", "web"))
        _require("crossovers", crossovers, ("first", "exclude"))
        self.attribution = attribution
        self.visitor_counting = visitor_counting
        self.crossovers = crossovers
        self.attribution_window_hours = attribution_window_hours
        self.seeds = seeds
        self.fetched = fetched
        self.segments = segments
        self.automatic_metrics = automatic_metrics
        self.cuped_days = cuped_days
        self._declared = read_metrics(metrics, metric_events)
        decisions, conversions = list(decisions), list(conversions)
        if conversions_landed_until is None:
            conversions_landed_until = _greatest(row["_export_date"] for row in conversions)
        self._conversions_landed_until = conversions_landed_until
        self._steps_found: dict[tuple[str, str, str], list[Step]] = {}
        # §1: duplicates are searched for within one table; the same uuid in both is two events.
        self._decisions = _first_of_duplicates(decisions)
        self._conversions = _first_of_duplicates(conversions)
        # §1: who sends too much in a minute is found over both tables together.
        if bot_user_agents is None:
            bot_user_agents = _shipped_patterns()
        _set_bot_reasons(
            self._decisions + self._conversions, list(bot_user_agents), bot_events_per_minute
        )
        # §2: sessions are cut over both tables together.
        _set_session_keys(self._decisions + self._conversions)

    @cached_property
    def decisions(self) -> list[Row]:
        """One row per decision."""
        return [
            {
                "event_id": event.event_id,
                "visitor_id": event.visitor_id,
                "session_key": event.session_key,
                "vendor_session_id": event.row.get("session_id"),
                "account_id": event.row.get("account_id"),
                "occurred_at": event.occurred_at,
                "processed_at": event.processed_at,
                "export_date": event.row["_export_date"],
                "campaign_id": event.row.get("campaign_id"),
                "experiment_id": event.row.get("experiment_id"),
                "variation_id": event.row.get("variation_id"),
                "is_holdback": bool(event.row.get("is_holdback")),
                "is_bot": event.is_bot,
                "bot_reason": event.bot_reason,
                "user_ip": event.row.get("user_ip"),
                "user_agent": event.row.get("user_agent"),
                "referer": event.row.get("referer"),
                "revision": event.row.get("revision"),
                "client_engine": event.row.get("client_engine"),
                "client_version": event.row.get("client_version"),
                "attributes": event.row.get("attributes"),
            }
            for event in self._decisions
        ]

    @cached_property
    def conversions(self) -> list[Row]:
        """One row per conversion."""
        return [
            {
                "event_id": event.event_id,
                "visitor_id": event.visitor_id,
                "session_key": event.session_key,
                "vendor_session_id": event.row.get("session_id"),
                "account_id": event.row.get("account_id"),
                "occurred_at": event.occurred_at,
                "processed_at": event.processed_at,
                "export_date": event.row["_export_date"],
                "entity_id": event.row.get("entity_id"),
                "event_name": event.row.get("event_name"),
                "event_type": event.row.get("event_type"),
                "revenue_cents": event.row.get("revenue"),
                "value": event.row.get("value"),
                "quantity": event.row.get("quantity"),
                "is_bot": event.is_bot,
                "bot_reason": event.bot_reason,
                "user_ip": event.row.get("user_ip"),
                "user_agent": event.row.get("user_agent"),
                "referer": event.row.get("referer"),
                "revision": event.row.get("revision"),
                "client_engine": event.row.get("client_engine"),
                "client_version": event.row.get("client_version"),
                "attributes": event.row.get("attributes"),
                "experiments": event.row.get("experiments"),
                "tags": event.row.get("tags"),
                "properties": event.row.get("properties"),
            }
            for event in self._conversions
        ]

    @cached_property
    def sessions(self) -> list[Row]:
        """One row per session (§2)."""
        events_of: dict[str, list[Event]] = defaultdict(list)
        decision_count: dict[str, int] = defaultdict(int)
        conversion_count: dict[str, int] = defaultdict(int)
        revenue_cents: dict[str, int] = defaultdict(int)
        for event in self._decisions:
            if event.session_key is not None:
                events_of[event.session_key].append(event)
                decision_count[event.session_key] += 1
        for event in self._conversions:
            if event.session_key is not None:
                events_of[event.session_key].append(event)
                conversion_count[event.session_key] += 1
                revenue_cents[event.session_key] += event.row.get("revenue") or 0
        rows: list[Row] = []
        for session_key, events in events_of.items():
            started_at = min(_time(event) for event in events)
            ended_at = max(_time(event) for event in events)
            rows.append(
                {
                    "session_key": session_key,
                    "visitor_id": events[0].visitor_id,
                    "started_at": started_at,
                    "ended_at": ended_at,
                    "duration_seconds": _milliseconds(ended_at - started_at) / 1000,
                    "decision_count": decision_count[session_key],
                    "conversion_count": conversion_count[session_key],
                    "revenue_cents": revenue_cents[session_key],
                    "is_bot": any(event.is_bot for event in events),
                }
            )
        return rows

    @cached_property
    def exposures(self) -> list[Row]:
        """One row per experiment and visitor (§3)."""
        return [
            {
                "experiment_id": exposure.experiment_id,
                "visitor_id": exposure.visitor_id,
                "campaign_id": exposure.campaign_id,
                "variation_id": exposure.variation_id,
                "event_id": exposure.event_id,
                "exposed_at": exposure.exposed_at,
                "exposure_source": exposure.source,
                "exposure_status": exposure.status,
                "variation_count": exposure.variation_count,
                "decision_count": exposure.decision_count,
                "is_holdback": exposure.is_holdback,
                "is_bot": exposure.bot_reason is not None,
                "bot_reason": exposure.bot_reason,
                "session_key": exposure.session_key,
                "attributes": exposure.attributes,
            }
            for exposure in self._exposures.values()
        ]

    @cached_property
    def attributed_conversions(self) -> list[Row]:
        """One row per conversion and experiment (§4)."""
        return [
            {
                "event_id": attribution.conversion.event_id,
                "visitor_id": attribution.conversion.visitor_id,
                "experiment_id": attribution.experiment_id,
                "variation_id": attribution.variation_id,
                "vendor_variation_id": attribution.vendor_variation_id,
                "session_key": attribution.conversion.session_key,
                "event_name": attribution.conversion.row.get("event_name"),
                "entity_id": attribution.conversion.row.get("entity_id"),
                "event_type": attribution.conversion.row.get("event_type"),
                "occurred_at": attribution.conversion.occurred_at,
                "revenue_cents": attribution.conversion.row.get("revenue"),
                "value": attribution.conversion.row.get("value"),
                "quantity": attribution.conversion.row.get("quantity"),
                "is_bot": attribution.conversion.is_bot,
                "attribution_source": attribution.source,
                "seconds_since_exposure": attribution.seconds_since_exposure,
            }
            for attribution in self._attributions
        ]

    @cached_property
    def experiments(self) -> list[Row]:
        """One row per experiment seen in the data, with a variation or without."""
        sightings_of: dict[str, list[Sighting]] = defaultdict(list)
        for sighting in self._sightings:
            sightings_of[sighting.experiment_id].append(sighting)
        rows: list[Row] = []
        for experiment_id, sightings in sightings_of.items():
            statuses = [
                exposure.status
                for exposure in self._exposures.values()
                if exposure.experiment_id == experiment_id
            ]
            rows.append(
                {
                    "experiment_id": experiment_id,
                    "campaign_id": _greatest(item.campaign_id for item in sightings),
                    "experiment_name": self._named("experiments", experiment_id, "experiment_name"),
                    "experiment_key": self._named("experiments", experiment_id, "experiment_key"),
                    "status": self._named("experiments", experiment_id, "status"),
                    "variation_count": len(
                        {item.variation_id for item in sightings if item.variation_id is not None}
                    ),
                    "decision_count": sum(1 for item in sightings if item.is_decision),
                    "visitor_count": len(statuses),
                    "counted_visitor_count": len(self._counted_visitors.get(experiment_id, {})),
                    "crossover_count": statuses.count("crossover"),
                    "holdback_count": statuses.count("holdback"),
                    "bot_count": statuses.count("bot"),
                    "first_seen_at": _least(item.occurred_at for item in sightings),
                    "last_seen_at": _greatest(item.occurred_at for item in sightings),
                }
            )
        return rows

    @cached_property
    def variations(self) -> list[Row]:
        """One row per experiment and variation seen in the data."""
        sightings_of: dict[tuple[str, str], list[Sighting]] = defaultdict(list)
        for sighting in self._sightings:
            if sighting.variation_id is not None:
                sightings_of[sighting.experiment_id, sighting.variation_id].append(sighting)
        return [
            {
                "experiment_id": experiment_id,
                "variation_id": variation_id,
                "campaign_id": _greatest(item.campaign_id for item in sightings),
                "variation_name": self._named(
                    "variations", (experiment_id, variation_id), "variation_name"
                ),
                "weight": self._named("variations", (experiment_id, variation_id), "weight"),
                "decision_count": sum(1 for item in sightings if item.is_decision),
                "visitor_count": sum(
                    exposure.variation_id == variation_id
                    for exposure in self._counted_visitors.get(experiment_id, {}).values()
                ),
                "first_seen_at": _least(item.occurred_at for item in sightings),
                "last_seen_at": _greatest(item.occurred_at for item in sightings),
            }
            for (experiment_id, variation_id), sightings in sightings_of.items()
        ]

    def _named(self, kind: str, key: str | tuple[str, str], name: str) -> Any:
        """§7: what the seeds say, else what was fetched, else nothing."""
        for names in (self.seeds, self.fetched):
            found = getattr(names, kind).get(key, {}).get(name)
            if found is not None:
                return found
        return None

    @cached_property
    def events(self) -> list[Row]:
        """One row per entity id and event name, of which one may be NULL, but not both."""
        conversions_of: dict[tuple[str | None, str | None], list[Event]] = defaultdict(list)
        for event in self._conversions:
            entity_id, event_name = event.row.get("entity_id"), event.row.get("event_name")
            if entity_id is not None or event_name is not None:
                conversions_of[entity_id, event_name].append(event)
        return [
            {
                "event_key": entity_id if event_name is None else event_name,
                "entity_id": entity_id,
                "event_name": event_name,
                "event_type": _greatest(event.row.get("event_type") for event in conversions),
                "conversion_count": len(conversions),
                "visitor_count": len(
                    {event.visitor_id for event in conversions if event.visitor_id is not None}
                ),
                "revenue_cents": sum(event.row.get("revenue") or 0 for event in conversions),
                "value": sum((event.row.get("value") or 0.0 for event in conversions), start=0.0),
                "first_seen_at": _least(event.occurred_at for event in conversions),
                "last_seen_at": _greatest(event.occurred_at for event in conversions),
            }
            for (entity_id, event_name), conversions in conversions_of.items()
        ]

    @cached_property
    def observations(self) -> list[Row]:
        """One row per experiment, counted visitor and metric (§5, and §4 of docs/metrics.md)."""
        return self._automatic_observations + self.declared_observations

    @cached_property
    def _automatic_observations(self) -> list[Row]:
        """§5: every event that counts for an experiment is four metrics of it."""
        if not self.automatic_metrics:
            return []
        # (experiment, event key) → visitor → the conversions that count. An entry exists only
        # where a conversion counts: that is what lets a metric exist for an experiment.
        counted: dict[tuple[str, str], dict[str, list[Row]]] = defaultdict(
            lambda: defaultdict(list)
        )
        for (experiment_id, visitor_id), conversions in self._counted_conversions.items():
            for conversion in conversions:
                # An event's key: its name, or its entity where it has no name.
                event_key = conversion.row.get("event_name") or conversion.row.get("entity_id")
                if event_key is not None:
                    counted[experiment_id, event_key][visitor_id].append(conversion.row)

        rows: list[Row] = []
        for (experiment_id, event_key), conversions_of in counted.items():
            for visitor_id, exposure in self._counted_visitors[experiment_id].items():
                found = conversions_of.get(visitor_id, [])
                values = {
                    "unique conversions": 1 if found else 0,
                    "total conversions": len(found),
                    "revenue": sum(row.get("revenue") or 0 for row in found),
                    "value": sum(row.get("value") or 0.0 for row in found),
                }
                for measure, value in values.items():
                    rows.append(
                        {
                            "experiment_id": experiment_id,
                            "visitor_id": visitor_id,
                            "metric_name": f"{event_key}: {measure}",
                            "variation_id": exposure.variation_id,
                            "value": float(value),
                            "uncapped_value": float(value),
                            "denominator": None,
                            "is_mature": True,
                        }
                    )
        return rows

    @cached_property
    def declared_observations(self) -> list[Row]:
        """§4 and §5 of docs/metrics.md."""
        horizon: datetime | None = None
        if self._conversions_landed_until is not None:
            horizon = datetime.combine(self._conversions_landed_until, datetime.min.time())
            horizon += timedelta(days=1)

        rows: list[Row] = []
        for metric in self._metrics_with_rows:
            for experiment_id, exposures in self._counted_visitors.items():
                observed = {
                    visitor_id: self._observation(metric, experiment_id, visitor_id, exposure)
                    for visitor_id, exposure in exposures.items()
                }
                limit = cap((value for value, _ in observed.values()), metric.cap_quantile)
                for visitor_id, (value, denominator) in observed.items():
                    exposure = exposures[visitor_id]
                    rows.append(
                        {
                            "experiment_id": experiment_id,
                            "visitor_id": visitor_id,
                            "metric_name": metric.name,
                            "variation_id": exposure.variation_id,
                            "value": value if limit is None else min(value, limit),
                            "uncapped_value": value,
                            "denominator": denominator,
                            "is_mature": is_mature(metric, exposure.exposed_at, horizon),
                        }
                    )
        return rows

    @cached_property
    def funnel_steps(self) -> list[Row]:
        """One row per experiment, funnel, counted visitor and step reached."""
        return [
            {
                "experiment_id": experiment_id,
                "metric_name": metric.name,
                "visitor_id": visitor_id,
                "variation_id": exposure.variation_id,
                "step": number,
                "reached_at": step.reached_at,
                "chain_started_at": step.chain_started_at,
                "seconds_since_exposure": _seconds_between(exposure.exposed_at, step.reached_at),
                "seconds_since_first_step": _seconds_between(
                    step.chain_started_at, step.reached_at
                ),
                "seconds_since_previous_step": _seconds_between(step.previous_at, step.reached_at),
            }
            for metric in self._metrics_with_rows
            if metric.type == "funnel"
            for experiment_id, exposures in self._counted_visitors.items()
            for visitor_id, exposure in exposures.items()
            for number, step in enumerate(
                self._reached_steps(metric, experiment_id, visitor_id, exposure), start=1
            )
        ]

    @cached_property
    def funnel_report(self) -> list[Row]:
        """One row per experiment, funnel, variation and step, step 0 being the exposure."""
        seconds_of: dict[tuple[str, str, str, int], list[float]] = defaultdict(list)
        for row in self.funnel_steps:
            key = (row["experiment_id"], row["metric_name"], row["variation_id"], row["step"])
            seconds_of[key].append(row["seconds_since_previous_step"])

        rows: list[Row] = []
        for metric in self._metrics_with_rows:
            if metric.type != "funnel":
                continue
            for experiment_id, exposures in self._counted_visitors.items():
                variations = [str(exposure.variation_id) for exposure in exposures.values()]
                for variation_id in set(variations):
                    exposed = variations.count(variation_id)
                    before: int | None = None
                    for step, step_name in enumerate(step_names(metric)):
                        seconds = seconds_of[experiment_id, metric.name, variation_id, step]
                        visitors = len(seconds) if step > 0 else exposed
                        rows.append(
                            {
                                "experiment_id": experiment_id,
                                "metric_name": metric.name,
                                "variation_id": variation_id,
                                "step": step,
                                "step_name": step_name,
                                "visitors": visitors,
                                "rate_of_exposed": visitors / exposed,
                                "rate_of_previous": visitors / before if before else None,
                                "lost_visitors": None if before is None else before - visitors,
                                "median_seconds": (
                                    percentile(seconds, Fraction(1, 2)) if seconds else None
                                ),
                                "p90_seconds": (
                                    percentile(seconds, Fraction(9, 10)) if seconds else None
                                ),
                            }
                        )
                        before = visitors
        return rows

    @cached_property
    def metrics(self) -> list[Row]:
        """One row per metric that has observations or is declared."""
        rows: list[Row] = []
        for name in {row["metric_name"] for row in self._automatic_observations}:
            metric_type, value = AUTOMATIC_METRICS[name.rsplit(": ", 1)[1]]
            rows.append(
                {
                    "metric_name": name,
                    "metric_type": metric_type,
                    "measure": value if metric_type in ("count", "sum") else None,
                    "direction": "increase",
                    "role": None,
                    "metric_origin": "automatic",
                }
            )
        for metric in self._declared:
            rows.append(
                {
                    "metric_name": metric.name,
                    "metric_type": metric.type,
                    "measure": (
                        (metric.value or "events")
                        if metric.type in ("count", "sum", "ratio")
                        else None
                    ),
                    "direction": metric.direction,
                    "role": metric.role,
                    "metric_origin": "declared",
                }
            )
        return rows

    @cached_property
    def summary(self) -> list[Row]:
        """One row per experiment, metric, variation and segment (§6)."""
        observations_of: dict[tuple[str, str, str, str, str], list[Row]] = defaultdict(list)
        for row in self.observations:
            for segment in self._segments_of[row["experiment_id"], row["visitor_id"]]:
                key = (row["experiment_id"], row["metric_name"], row["variation_id"], *segment)
                observations_of[key].append(row)
        rows: list[Row] = []
        for key, observations in observations_of.items():
            experiment_id, metric_name, variation_id, segment_name, segment_value = key
            values = [row["value"] for row in observations]
            # All observations of a ratio have a denominator, and no other has.
            pairs = [(row["value"], row["denominator"]) for row in observations]
            is_ratio = observations[0]["denominator"] is not None
            rows.append(
                {
                    "experiment_id": experiment_id,
                    "metric_name": metric_name,
                    "variation_id": variation_id,
                    "segment_name": segment_name,
                    "segment_value": segment_value,
                    "visitors": len(observations),
                    "mature_visitors": sum(1 for row in observations if row["is_mature"]),
                    "unique_conversions": sum(1 for value in values if value != 0),
                    "total_conversions": self._total_conversions(observations),
                    "value_sum": sum(values),
                    "value_sum_squares": sum(value * value for value in values),
                    "denominator_sum": sum(below for _, below in pairs) if is_ratio else None,
                    "denominator_sum_squares": (
                        sum(below * below for _, below in pairs) if is_ratio else None
                    ),
                    "cross_product_sum": (
                        sum(value * below for value, below in pairs) if is_ratio else None
                    ),
                }
                | self._covariate_sums(experiment_id, metric_name, observations)
            )
        return rows

    def _total_conversions(self, observations: list[Row]) -> int | None:
        """§6: the events that observations of one metric are made up of."""
        metrics = {metric.name: metric for metric in self._metrics_with_rows}
        total = 0
        for row in observations:
            experiment_id, visitor_id = row["experiment_id"], row["visitor_id"]
            conversions = self._counted_conversions.get((experiment_id, visitor_id), [])
            if row["metric_name"] in metrics:
                exposed_at = self._counted_visitors[experiment_id][visitor_id].exposed_at
                count = conversion_count(metrics[row["metric_name"]], exposed_at, conversions)
                if count is None:
                    return None
                total += count
            else:
                event_key = row["metric_name"].rpartition(": ")[0]
                for conversion in conversions:
                    name = conversion.row.get("event_name")
                    key = conversion.row.get("entity_id") if name is None else name
                    total += key == event_key
        return total

    def _covariate_sums(
        self, experiment_id: str, metric_name: str, observations: list[Row]
    ) -> dict[str, float | None]:
        """docs/statistics.md, §6; NULL where nobody of the experiment has the covariate."""
        found = self.covariates.get((experiment_id, metric_name))
        pairs = [(row["value"], (found or {}).get(row["visitor_id"], 0.0)) for row in observations]
        return {
            "covariate_sum": sum(w for _, w in pairs) if found else None,
            "covariate_sum_squares": sum(w * w for _, w in pairs) if found else None,
            "covariate_product_sum": sum(y * w for y, w in pairs) if found else None,
        }

    @cached_property
    def covariates(self) -> dict[tuple[str, str], dict[str, float]]:
        """(experiment, metric) → visitor → what the metric is of the days before the exposure."""
        events_of: dict[str, list[Event]] = defaultdict(list)
        for event in self._conversions:
            if event.visitor_id is not None and event.occurred_at is not None and not event.is_bot:
                events_of[event.visitor_id].append(event)
        found: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
        for experiment_id, exposures in self._counted_visitors.items():
            for visitor_id, exposure in exposures.items():
                earliest = exposure.exposed_at - timedelta(days=self.cuped_days)
                before = [
                    event
                    for event in events_of[visitor_id]
                    if earliest <= _time(event) < exposure.exposed_at
                ]
                values: dict[str, float] = {}
                if self.automatic_metrics:
                    values |= {
                        name: value for name, (value, _) in _automatic_values(before).items()
                    }
                for metric in self._declared:
                    if metric.type in ("conversion", "count", "sum") and any(
                        metric.matches(event) for event in before
                    ):
                        value, _ = observation(
                            replace(metric, window=None), exposure.exposed_at, before
                        )
                        limit = self._caps.get((experiment_id, metric.name))
                        values[metric.name] = value if limit is None else min(value, limit)
                for metric_name, value in values.items():
                    found[experiment_id, metric_name][visitor_id] = value
        return dict(found)

    @cached_property
    def _caps(self) -> dict[tuple[str, str], float | None]:
        """§5 of docs/metrics.md: (experiment, metric) → cap of the observations, if any."""
        uncapped: dict[tuple[str, str], list[float]] = defaultdict(list)
        for row in self.declared_observations:
            uncapped[row["experiment_id"], row["metric_name"]].append(row["uncapped_value"])
        return {
            (experiment_id, metric.name): cap(
                uncapped[experiment_id, metric.name], metric.cap_quantile
            )
            for metric in self._metrics_with_rows
            for experiment_id in self._counted_visitors
        }

    @cached_property
    def daily_summary(self) -> list[Row]:
        """One row per experiment, metric, variation, way of counting and day (§7, metrics.md)."""
        rows: list[Row] = []
        for experiment_id, exposures in self._counted_visitors.items():
            exposed_on = {visitor: item.exposed_at.date() for visitor, item in exposures.items()}
            observed = [
                (metric_name, days_of)
                for (experiment, metric_name), days_of in self._observed_days.items()
                if experiment == experiment_id
            ]
            changed = {
                day
                for _, days_of in observed
                for visitor_id in days_of
                for day, before, after in _changes(days_of[visitor_id])
                if before != after
            }
            for metric_name, days_of in observed:
                for counted_by, days in (
                    ("day_of_exposure", set(exposed_on.values())),
                    ("day_of_observation", changed | set(exposed_on.values())),
                ):
                    for day in days:
                        until = day if counted_by == "day_of_observation" else date.max
                        counted: dict[str | None, int] = Counter()
                        known: dict[str | None, list[Observed]] = defaultdict(list)
                        for visitor_id, exposure in exposures.items():
                            if exposed_on[visitor_id] <= day:
                                counted[exposure.variation_id] += 1
                                if visitor_id in days_of:
                                    at_end = _at_end(days_of[visitor_id], until)
                                    known[exposure.variation_id].append(at_end)
                        for variation_id, visitors in counted.items():
                            key = {
                                "experiment_id": experiment_id,
                                "metric_name": metric_name,
                                "variation_id": variation_id,
                                "counted_by": counted_by,
                                "day": day,
                            }
                            is_ratio = metric_name in self._ratios
                            sums = _sums(known[variation_id], is_ratio)
                            rows.append(key | {"visitors": visitors} | sums)
        return rows

    @cached_property
    def novelty_summary(self) -> list[Row]:
        """One row per experiment, metric, variation and day since the exposure (§7, metrics.md)."""
        rows: list[Row] = []
        landed_until = self._conversions_landed_until
        for (experiment_id, metric_name), days_of in self._observed_days.items():
            followed: dict[tuple[str | None, int], int] = Counter()
            added: dict[tuple[str | None, int], list[Observed]] = defaultdict(list)
            for visitor_id, exposure in self._counted_visitors[experiment_id].items():
                for number in range(28):
                    day = exposure.exposed_at.date() + timedelta(days=number)
                    if landed_until is None or day > landed_until:
                        break
                    followed[exposure.variation_id, number] += 1
                    if visitor_id in days_of:
                        value, below = _at_end(days_of[visitor_id], day)
                        value_before, below_before = _at_end(
                            days_of[visitor_id], day - timedelta(days=1)
                        )
                        added[exposure.variation_id, number].append(
                            (value - value_before, below - below_before)
                        )
            for (variation_id, number), visitors in followed.items():
                key = {
                    "experiment_id": experiment_id,
                    "metric_name": metric_name,
                    "variation_id": variation_id,
                    "days_since_exposure": number,
                }
                sums = _sums(added[variation_id, number], metric_name in self._ratios)
                rows.append(key | {"visitors": visitors} | sums)
        return rows

    @cached_property
    def _ratios(self) -> set[str]:
        return {metric.name for metric in self._declared if metric.type == "ratio"}

    @cached_property
    def _observed_days(self) -> dict[tuple[str, str], dict[str, ObservedDays]]:
        """(experiment, metric) → visitor → the observation at the end of each day with an event.

        It is the same observation as ever, of the events until then.
        """
        observed: dict[tuple[str, str], dict[str, ObservedDays]] = {}
        for row in self.observations:
            observed.setdefault((row["experiment_id"], row["metric_name"]), {})
        for (experiment_id, visitor_id), conversions in self._counted_conversions.items():
            exposure = self._counted_visitors[experiment_id][visitor_id]
            days = sorted({_time(event).date() for event in conversions})
            for day in days:
                until_then = [event for event in conversions if _time(event).date() <= day]
                found: dict[str, Observed] = {}
                if self.automatic_metrics:
                    found |= _automatic_values(until_then)
                for metric in self._metrics_with_rows:
                    if not any(metric.matches(event) for event in until_then):
                        continue
                    value, below = self._observed(metric, exposure, until_then)
                    limit = self._caps[experiment_id, metric.name]
                    if limit is not None:
                        value = min(value, limit)
                    found[metric.name] = (value, below or 0.0)
                for metric_name, both in found.items():
                    days_of = observed[experiment_id, metric_name]
                    days_of.setdefault(visitor_id, []).append((day, *both))
        return observed

    @cached_property
    def results(self) -> list[Row]:
        """One row per experiment, metric, variation and segment, beside the baseline (§6)."""
        arms_of: dict[tuple[str, str, str, str], dict[str, Row]] = defaultdict(dict)
        for row in self.summary:
            names = ("experiment_id", "metric_name", "segment_name", "segment_value")
            experiment_id, metric_name, segment_name, value = (row[name] for name in names)
            arms = arms_of[experiment_id, metric_name, segment_name, value]
            arms[row["variation_id"]] = row

        ids: dict[str, set[str]] = defaultdict(set)
        for row in self.summary:
            ids[row["experiment_id"]].add(row["variation_id"])

        rows: list[Row] = []
        for (experiment_id, metric_name, segment_name, value), arms in arms_of.items():
            # Ids are numbers that only grow: shorter first, then by text.
            baseline_id = min(ids[experiment_id], key=lambda name: (len(name), name))
            baseline_mean = _mean(arms[baseline_id])[1] if baseline_id in arms else None
            for variation_id, arm in arms.items():
                denominator, mean = _mean(arm)
                adjusted, adjusted_baseline = mean, baseline_mean
                if baseline_id in arms:
                    adjusted, adjusted_baseline = _adjusted(arm, arms[baseline_id])
                difference = (
                    adjusted - adjusted_baseline
                    if adjusted is not None and adjusted_baseline is not None
                    else None
                )
                rows.append(
                    {
                        "experiment_id": experiment_id,
                        "metric_name": metric_name,
                        "variation_id": variation_id,
                        "segment_name": segment_name,
                        "segment_value": value,
                        "baseline_variation_id": baseline_id,
                        "visitors": arm["visitors"],
                        "unique_conversions": arm["unique_conversions"],
                        "total_conversions": arm["total_conversions"],
                        "numerator": arm["value_sum"],
                        "denominator": float(denominator),
                        "mean": mean,
                        "baseline_mean": baseline_mean,
                        "difference": difference,
                        "lift": (
                            difference / adjusted_baseline
                            if difference is not None
                            and adjusted_baseline is not None
                            and adjusted_baseline > 0
                            else None
                        ),
                    }
                )
        return rows

    @cached_property
    def _counted_visitors(self) -> dict[str, dict[str, Exposure]]:
        """§5, who is counted: experiment → visitor → exposure."""
        counted: dict[str, dict[str, Exposure]] = defaultdict(dict)
        for exposure in self._exposures.values():
            if self._is_counted_visitor(exposure):
                counted[exposure.experiment_id][exposure.visitor_id] = exposure
        return dict(counted)

    @cached_property
    def _counted_conversions(self) -> dict[tuple[str, str], list[Event]]:
        """§5, what is counted: (experiment, counted visitor) → conversions, if there are any."""
        counted: dict[tuple[str, str], list[Event]] = defaultdict(list)
        for attribution in self._attributions:
            visitor_id = attribution.conversion.visitor_id
            if visitor_id is None:
                continue
            visitors = self._counted_visitors.get(attribution.experiment_id, {})
            exposure = visitors.get(visitor_id)
            if exposure is not None and self._is_counted_conversion(attribution, exposure):
                counted[attribution.experiment_id, visitor_id].append(attribution.conversion)
        return dict(counted)

    @cached_property
    def _metrics_with_rows(self) -> list[Metric]:
        """§4 of docs/metrics.md: the declared metrics that anybody's events have brought about."""
        return [
            metric
            for metric in self._declared
            if (
                any(
                    self._reached_steps(metric, experiment_id, visitor_id, exposure)
                    for experiment_id, exposures in self._counted_visitors.items()
                    for visitor_id, exposure in exposures.items()
                )
                if metric.type == "funnel"
                else any(
                    metric.matches(conversion)
                    for conversions in self._counted_conversions.values()
                    for conversion in conversions
                )
            )
        ]

    def _observation(
        self, metric: Metric, experiment_id: str, visitor_id: str, exposure: Exposure
    ) -> tuple[float, float | None]:
        """What a counted visitor comes to, before any cap, and a ratio's denominator."""
        if metric.type == "funnel":
            reached = self._reached_steps(metric, experiment_id, visitor_id, exposure)
            return float(len(reached) == len(metric.clause("step"))), None
        conversions = self._counted_conversions.get((experiment_id, visitor_id), [])
        return observation(metric, exposure.exposed_at, conversions)

    def _observed(
        self, metric: Metric, exposure: Exposure, conversions: list[Event]
    ) -> tuple[float, float | None]:
        """What these of a counted visitor's conversions come to."""
        if metric.type == "funnel":
            reached = reached_steps(metric, exposure.exposed_at, conversions)
            return float(len(reached) == len(metric.clause("step"))), None
        return observation(metric, exposure.exposed_at, conversions)

    def _reached_steps(
        self, metric: Metric, experiment_id: str, visitor_id: str, exposure: Exposure
    ) -> list[Step]:
        """The steps of a funnel that a counted visitor reached; searched for once."""
        key = (metric.name, experiment_id, visitor_id)
        if key not in self._steps_found:
            conversions = self._counted_conversions.get((experiment_id, visitor_id), [])
            self._steps_found[key] = reached_steps(metric, exposure.exposed_at, conversions)
        return self._steps_found[key]

    @cached_property
    def _segments_of(self) -> dict[tuple[str, str], list[tuple[str, str]]]:
        """§6 of docs/metrics.md: (experiment, counted visitor) → name and value of each segment."""
        return {
            (experiment_id, visitor_id): [
                EVERYONE,
                *((name, segment_value(exposure.attributes, name)) for name in self.segments),
            ]
            for experiment_id, exposures in self._counted_visitors.items()
            for visitor_id, exposure in exposures.items()
        }

    @cached_property
    def _sightings(self) -> list[Sighting]:
        """Every decision, holdback included, and every element that names an experiment."""
        sightings: list[Sighting] = []
        for event in self._decisions:
            experiment_id = event.row.get("experiment_id")
            if experiment_id is not None:
                sightings.append(
                    Sighting(
                        is_decision=True,
                        experiment_id=experiment_id,
                        campaign_id=event.row.get("campaign_id"),
                        variation_id=event.row.get("variation_id"),
                        occurred_at=event.occurred_at,
                    )
                )
        for event in self._conversions:
            for element in _experiments(event):
                if element["experiment_id"] is not None:
                    sightings.append(
                        Sighting(
                            is_decision=False,
                            experiment_id=element["experiment_id"],
                            campaign_id=element["campaign_id"],
                            variation_id=element["variation_id"],
                            occurred_at=event.occurred_at,
                        )
                    )
        return sightings

    @cached_property
    def _exposures(self) -> dict[tuple[str, str], Exposure]:
        """§3: (experiment, visitor) → exposure."""
        evidence_of: dict[tuple[str, str], list[Evidence]] = defaultdict(list)
        for event in self._decisions:
            experiment_id = event.row.get("experiment_id")
            if event.visitor_id is None or event.occurred_at is None or experiment_id is None:
                continue
            evidence_of[experiment_id, event.visitor_id].append(
                Evidence(
                    event=event,
                    is_decision=True,
                    campaign_id=event.row.get("campaign_id"),
                    variation_id=event.row.get("variation_id"),
                    is_holdback=bool(event.row.get("is_holdback")),
                )
            )
        for event in self._conversions:
            if event.visitor_id is None or event.occurred_at is None:
                continue
            for element in _experiments(event):
                if element["experiment_id"] is None:
                    continue
                evidence_of[element["experiment_id"], event.visitor_id].append(
                    Evidence(
                        event=event,
                        is_decision=False,
                        campaign_id=element["campaign_id"],
                        variation_id=element["variation_id"],
                        is_holdback=element["is_holdback"],
                    )
                )
        return {
            (experiment_id, visitor_id): _exposure(experiment_id, visitor_id, evidence)
            for (experiment_id, visitor_id), evidence in evidence_of.items()
        }

    @cached_property
    def _attributions(self) -> list[Attribution]:
        """§4: every pair of conversion and experiment that either rule brings together."""
        exposures_of: dict[str, list[Exposure]] = defaultdict(list)
        for exposure in self._exposures.values():
            exposures_of[exposure.visitor_id].append(exposure)

        attributions: list[Attribution] = []
        for conversion in self._conversions:
            derived: dict[str, Exposure] = {}
            if conversion.visitor_id is not None:
                for exposure in exposures_of[conversion.visitor_id]:
                    if self._is_derived(conversion, exposure):
                        derived[exposure.experiment_id] = exposure

            # Vendor attribution needs neither a visitor nor a timestamp: the element alone names
            # the experiment.
            vendor: dict[str, list[str | None]] = defaultdict(list)
            for element in _experiments(conversion):
                if element["experiment_id"] is not None and not element["is_holdback"]:
                    vendor[element["experiment_id"]].append(element["variation_id"])

            for experiment_id in sorted({*derived, *vendor}):
                # Several elements are one attribution, of the smallest variation. Unlike the
                # baseline of §6, which says "shorter first", this is the plain order of text.
                known = [v for v in vendor.get(experiment_id, []) if v is not None]
                vendor_variation_id = min(known) if known else None
                if experiment_id in derived and experiment_id in vendor:
                    source = "both"
                elif experiment_id in derived:
                    source = "derived"
                else:
                    source = "vendor"
                attributions.append(
                    Attribution(
                        conversion=conversion,
                        experiment_id=experiment_id,
                        variation_id=(
                            derived[experiment_id].variation_id
                            if experiment_id in derived
                            else vendor_variation_id
                        ),
                        vendor_variation_id=vendor_variation_id,
                        source=source,
                        seconds_since_exposure=self._seconds(conversion, experiment_id),
                    )
                )
        return attributions

    def _is_derived(self, conversion: Event, exposure: Exposure) -> bool:
        """§4: whether derived attribution brings this conversion and this exposure together.

        The caller has seen to it that both are of one visitor. A conversion without a timestamp is
        not known to be at or after the exposure.
        """
        if exposure.source not in ("decision", "both") or exposure.is_holdback:
            return False
        if conversion.occurred_at is None or conversion.occurred_at < exposure.exposed_at:
            return False
        if self.attribution_window_hours == 0:
            return True
        window = timedelta(hours=self.attribution_window_hours)
        return conversion.occurred_at <= exposure.exposed_at + window

    def _seconds(self, conversion: Event, experiment_id: str) -> float | None:
        """§4: seconds from the visitor's exposure to the conversion; negative if it came before."""
        if conversion.visitor_id is None or conversion.occurred_at is None:
            return None
        exposure = self._exposures.get((experiment_id, conversion.visitor_id))
        if exposure is None:
            return None
        return _seconds_between(exposure.exposed_at, conversion.occurred_at)

    def _is_counted_visitor(self, exposure: Exposure) -> bool:
        """§5, who is counted."""
        if exposure.status in ("holdback", "bot", "no_variation"):
            return False
        if self.visitor_counting == "full_stack" and exposure.source not in ("decision", "both"):
            return False
        return not (self.crossovers == "exclude" and exposure.status == "crossover")

    def _is_counted_conversion(self, attribution: Attribution, exposure: Exposure) -> bool:
        """§5, what is counted: `exposure` is the counted exposure of the conversion's visitor.

        A conversion without a timestamp is left out: nobody can say that it was not before.
        """
        conversion = attribution.conversion
        if conversion.is_bot:
            return False
        if attribution.source not in (self.attribution, "both"):
            return False
        return conversion.occurred_at is not None and conversion.occurred_at >= exposure.exposed_at


def _require(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Refuse a misspelt option: it would silently mean the other reading."""
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}; use one of {', '.join(allowed)}.")


def _first_of_duplicates(rows: Iterable[Row]) -> list[Event]:
    """§1: the events of one table: of the rows with one visitor and one event_id, the first."""
    copies: dict[tuple[str | None, str], list[Row]] = defaultdict(list)
    for raw in rows:
        row = _with_nulls(raw)
        copies[row.get("visitor_id"), _event_id(row)].append(row)
    events: list[Event] = []
    for (visitor_id, event_id), same_event in copies.items():
        first = min(same_event, key=_landing_order)
        events.append(
            Event(
                event_id=event_id,
                visitor_id=visitor_id,
                occurred_at=first.get("timestamp"),
                processed_at=first.get("process_timestamp"),
                row=first,
            )
        )
    return events


def _with_nulls(row: Row) -> Row:
    """§1: the row with NULL for whatever means NULL. `experiments` is read by _experiments."""
    result = {
        column: None if column in BLANK_IS_NULL and value == "" else value
        for column, value in row.items()
    }
    value: float | None = result.get("value")
    if value is not None and (math.isnan(value) or abs(value) >= ABSURD_VALUE):
        result["value"] = None
    return result


def _event_id(row: Row) -> str:
    """§1: the lower-cased uuid; a row without one is its own event."""
    uuid: str | None = row.get("uuid")
    if uuid is None:
        return f"row-{row['_file_id']}-{row['_file_row']}"
    return uuid.lower()


def _landing_order(row: Row) -> tuple[Any, ...]:
    """§1: the order in which copies of one event are looked at, NULLs last."""
    export_date: date = row["_export_date"]
    return (
        export_date,
        _nulls_last(row.get("process_timestamp")),
        _nulls_last(row.get("timestamp")),
        row["_file_id"],
        row["_file_row"],
    )


def _nulls_last(value: Any) -> tuple[bool, Any]:
    """A sort key: None after everything. Two Nones are equal, so they are never compared by <."""
    return value is None, value


def _least(values: Iterable[Any]) -> Any:
    """The least of the values that are known; NULL where none is."""
    return min((value for value in values if value is not None), default=None)


def _greatest(values: Iterable[Any]) -> Any:
    """The greatest of the values that are known, ids as text; NULL where none is."""
    return max((value for value in values if value is not None), default=None)


def _set_bot_reasons(
    events: list[Event], patterns: list[str | None], events_per_minute: int
) -> None:
    """§1: say of each event whether, and why, it is a bot's."""
    rapid_visitors = _rapid_visitors(events, events_per_minute)
    for event in events:
        if _is_flagged(event.row.get("attributes")):
            event.bot_reason = "attribute"
        elif _contains_any(event.row.get("user_agent"), patterns):
            event.bot_reason = "user_agent"
        elif event.visitor_id in rapid_visitors:
            event.bot_reason = "rate"


def _contains_any(user_agent: str | None, patterns: list[str | None]) -> bool:
    """§1: whether any pattern that is not blank is in the user agent, in capitals or not."""
    text = (user_agent or "").lower()
    for pattern in patterns:
        if pattern is None or pattern.strip(" ") in ("", "None"):
            continue
        if pattern.lower() in text:
            return True
    return False


def _rapid_visitors(events: list[Event], events_per_minute: int) -> set[str]:
    """§1: visitors with more events than that in one minute of the clock; nobody where it is 0."""
    if events_per_minute == 0:
        return set()
    minutes: Counter[tuple[str, datetime]] = Counter()
    for event in events:
        if event.visitor_id is not None and event.occurred_at is not None:
            minute = event.occurred_at.replace(second=0, microsecond=0)
            minutes[event.visitor_id, minute] += 1
    return {visitor_id for (visitor_id, _), count in minutes.items() if count > events_per_minute}


def _is_flagged(attributes: list[Row | None] | None) -> bool:
    """§1: whether the vendor's bot flag is among the attributes and says true."""
    for attribute in attributes or []:
        if attribute is None:
            continue
        key = attribute.get("name")
        if key is None:
            key = attribute.get("id")
        value: str = attribute.get("value") or ""
        if key == BOT_KEY and value.lstrip(TYPED_VALUE_MARK).lower() == "true":
            return True
    return False


def _experiments(conversion: Event) -> list[Row]:
    """The elements of `experiments`: '' is NULL (§1), is_holdback NULL is false (§3)."""
    elements: list[Row] = []
    for raw in conversion.row.get("experiments") or []:
        if raw is None:
            continue
        elements.append(
            {
                "campaign_id": raw.get("campaign_id") or None,
                "experiment_id": raw.get("experiment_id") or None,
                "variation_id": raw.get("variation_id") or None,
                "is_holdback": bool(raw.get("is_holdback")),
            }
        )
    return elements


def _set_session_keys(events: list[Event]) -> None:
    """§2: cut each visitor's events into sessions."""
    events_of: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        if event.visitor_id is not None and event.occurred_at is not None:
            events_of[event.visitor_id].append(event)

    for visitor_id, visitor_events in events_of.items():
        session_start: datetime | None = None
        previous: datetime | None = None
        # Events in one instant follow each other with a gap of 0, so in whichever order they come
        # only the first of them can open a session.
        for event in sorted(visitor_events, key=_time):
            occurred_at = _time(event)
            if (
                session_start is None
                or previous is None
                or occurred_at - previous >= SESSION_GAP
                or occurred_at - session_start > SESSION_LIMIT
            ):
                session_start = occurred_at
            event.session_key = f"{visitor_id}:{_milliseconds(session_start - EPOCH)}"
            previous = occurred_at


def _exposure(experiment_id: str, visitor_id: str, evidence: list[Evidence]) -> Exposure:
    """§3: what all evidence of one experiment and visitor comes to."""
    without_holdback = [item for item in evidence if not item.is_holdback]
    counted = without_holdback or evidence
    is_holdback = not without_holdback
    decisions = [item for item in counted if item.is_decision]
    if len(decisions) == len(counted):
        source = "decision"
    elif not decisions:
        source = "vendor"
    else:
        source = "both"

    # A decision goes before any element, however early the element is.
    first = min(
        decisions or counted,
        key=lambda item: (
            _time(item.event),
            _nulls_last(item.event.processed_at),
            item.event.event_id,
            _nulls_last(item.variation_id),
            _nulls_last(item.campaign_id),
        ),
    )
    variation_count = len({item.variation_id for item in counted if item.variation_id is not None})
    reasons = {item.event.bot_reason for item in counted}
    bot_reason = next((reason for reason in BOT_REASONS if reason in reasons), None)

    if is_holdback:
        status = "holdback"
    elif bot_reason is not None:
        status = "bot"
    elif first.variation_id is None:
        status = "no_variation"
    elif variation_count > 1:
        status = "crossover"
    else:
        status = "valid"

    return Exposure(
        experiment_id=experiment_id,
        visitor_id=visitor_id,
        campaign_id=first.campaign_id,
        variation_id=first.variation_id,
        event_id=first.event.event_id,
        exposed_at=_time(first.event),
        source=source,
        status=status,
        variation_count=variation_count,
        decision_count=len(decisions),
        is_holdback=is_holdback,
        bot_reason=bot_reason,
        session_key=first.event.session_key,
        attributes=first.event.row.get("attributes"),
    )


def _mean(arm: Row) -> tuple[float, float | None]:
    """§6: what the sum of a variation is divided by, and the mean; a ratio may have none."""
    denominator: float = arm["visitors"]
    if arm["denominator_sum"] is not None:
        denominator = arm["denominator_sum"]
    return denominator, arm["value_sum"] / denominator if denominator else None


def _adjusted(arm: Row, baseline: Row) -> tuple[float | None, float | None]:
    """docs/statistics.md, §6: both means, adjusted where there is a covariate that varies."""
    _, mean = _mean(arm)
    _, baseline_mean = _mean(baseline)
    if mean is None or baseline_mean is None or arm["covariate_sum"] is None:
        return mean, baseline_mean
    both = {
        name: arm[name] + baseline[name]
        for name in (
            *("visitors", "value_sum", "value_sum_squares"),
            *("covariate_sum", "covariate_sum_squares", "covariate_product_sum"),
        )
    }
    for name in ("value_sum", "covariate_sum"):
        # Nothing varies within either of them.
        if all(
            side[f"{name}_squares"] - side[name] ** 2 / side["visitors"]
            <= 1e-12 * side[f"{name}_squares"]
            for side in (arm, baseline)
        ):
            return mean, baseline_mean
    overall = both["covariate_sum"] / both["visitors"]
    products = both["covariate_product_sum"] - both["value_sum"] * overall
    squares = both["covariate_sum_squares"] - both["covariate_sum"] * overall
    value_squares = both["value_sum_squares"] - both["value_sum"] ** 2 / both["visitors"]
    is_rounding = abs(products) <= 1e-12 * math.sqrt(squares * value_squares)
    slope = 0.0 if is_rounding else products / squares
    return (
        mean - slope * (arm["covariate_sum"] / arm["visitors"] - overall),
        baseline_mean - slope * (baseline["covariate_sum"] / baseline["visitors"] - overall),
    )


def _automatic_values(conversions: list[Event]) -> dict[str, Observed]:
    """§5: the automatic metrics of the events among a visitor's conversions."""
    rows_of: dict[str, list[Row]] = defaultdict(list)
    for conversion in conversions:
        event_key = conversion.row.get("event_name") or conversion.row.get("entity_id")
        if event_key is not None:
            rows_of[event_key].append(conversion.row)
    found: dict[str, Observed] = {}
    for event_key, rows in rows_of.items():
        found[f"{event_key}: unique conversions"] = 1.0, 0.0
        found[f"{event_key}: total conversions"] = float(len(rows)), 0.0
        found[f"{event_key}: revenue"] = float(sum(row.get("revenue") or 0 for row in rows)), 0.0
        found[f"{event_key}: value"] = float(sum(row.get("value") or 0.0 for row in rows)), 0.0
    return found


def _at_end(days: ObservedDays, day: date) -> Observed:
    """What is observed at the end of a day: what the last of the days until then says."""
    until_then = [(value, below) for when, value, below in days if when <= day]
    return until_then[-1] if until_then else (0.0, 0.0)


def _changes(days: ObservedDays) -> list[tuple[date, Observed, Observed]]:
    """Each of the days, with what was observed at the end of the one before, and at its own."""
    return [
        (day, _at_end(days, day - timedelta(days=1)), (value, below)) for day, value, below in days
    ]


def _sums(observed: list[Observed], is_ratio: bool) -> Row:
    """§6: the sums that statistics need; those of denominators of a ratio only."""
    return {
        "value_sum": sum((value for value, _ in observed), start=0.0),
        "value_sum_squares": sum((value * value for value, _ in observed), start=0.0),
        "denominator_sum": sum((below for _, below in observed), start=0.0) if is_ratio else None,
        "denominator_sum_squares": (
            sum((below * below for _, below in observed), start=0.0) if is_ratio else None
        ),
        "cross_product_sum": (
            sum((value * below for value, below in observed), start=0.0) if is_ratio else None
        ),
    }


def _seconds_between(start: datetime, end: datetime) -> float:
    """Seconds from one moment to another."""
    return _milliseconds(end - start) / 1000


def _time(event: Event) -> datetime:
    """When an event happened, for events that are only here because they have a timestamp."""
    assert event.occurred_at is not None
    return event.occurred_at


def _milliseconds(duration: timedelta) -> int:
    """Whole milliseconds; every timestamp of the export is whole milliseconds."""
    return duration // timedelta(milliseconds=1)
