"""The brute-force twin of the quality marts: docs/counting.md §8 read literally, in plain Python.

What §1 to §4 say (which events there are, exposures, attributions, sessions) comes from the twin of
the other marts, by the rows it gives; everything after that is worked out here, one row at a time.
No code is shared with the SQL.
"""

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any

from tests.models.twin import ABSURD_VALUE, BLANK_IS_NULL, Twin

Row = dict[str, Any]
Unit = tuple[str, date]

MARTS = (
    "export_days",
    "duplicate_events",
    "attribution_audit",
    "session_audit",
    "results_reconciliation",
)
"""The marts; the twin has a method of the same name for each."""

TYPES = {"decisions": "decisions", "events": "conversions"}
"""The export's types, and the tables that they are landed in."""

COMPARED = {
    "decisions": (
        "timestamp",
        "attributes",
        "campaign_id",
        "experiment_id",
        "variation_id",
        "is_holdback",
    ),
    "conversions": (
        "timestamp",
        "attributes",
        "entity_id",
        "event_name",
        "revenue",
        "value",
        "quantity",
        "experiments",
    ),
}
"""The columns in which copies of one event may differ so that it matters."""

CONVERSION_MEASURES = ("unique_conversions", "total_conversions", "revenue_cents", "value")


@dataclass(frozen=True)
class Ledger:
    """What the loader's ledger says: rows of its tables `days`, `loads`, `quarantined_files`."""

    days: Sequence[Row]
    loads: Sequence[Row]
    quarantined_files: Sequence[Row]


@dataclass(frozen=True)
class Mode:
    """One way to count."""

    visitor_counting: str
    crossovers: str
    attribution: str
    bots: str


MODES = [
    Mode(*choice)
    for choice in itertools.product(
        ("full_stack", "web"), ("first", "exclude"), ("derived", "vendor"), ("excluded", "included")
    )
]


@dataclass(frozen=True)
class QualityTwin:
    """Every quality mart.

    `decisions` and `conversions` are the landed rows that `twin` was made of; `vendor_results` are
    rows of the seed as its tests want them to be: ids and text or None, the value a number or None.
    """

    decisions: Sequence[Row]
    conversions: Sequence[Row]
    twin: Twin
    ledger: Ledger
    vendor_results: Sequence[Row] = field(default_factory=list)

    # --- export_days

    def export_days(self) -> list[Row]:
        """One row per type and date, from the first known day of any type to the last."""
        landed: dict[Unit, Row] = {_unit(row): row for row in self.ledger.days}
        loads: dict[Unit, list[Row]] = defaultdict(list)
        for row in self.ledger.loads:
            loads[_unit(row)].append(row)
        bad_files: dict[Unit, int] = defaultdict(int)
        for row in self.ledger.quarantined_files:
            bad_files[_unit(row)] += 1

        known = [day for _, day in (*loads, *bad_files)]
        rows: list[Row] = []
        for export_type in TYPES:
            once_landed = [day for of_type, day in loads if of_type == export_type]
            complete = [
                day
                for (of_type, day), row in landed.items()
                if of_type == export_type and row["is_complete"] is not False
            ]
            for day in _days(min(known), max(known)):
                unit = (export_type, day)
                here = landed.get(unit)
                history = sorted(loads.get(unit, []), key=lambda load: int(load["load_id"]))
                rows.append(
                    {
                        "export_type": export_type,
                        "export_date": day,
                        "row_count": here and here["row_count"],
                        "file_count": here and here["file_count"],
                        "byte_count": here and here["byte_count"],
                        **self._receipt(export_type, day, is_landed=here is not None),
                        "landing_count": sum(
                            load["reason"] in ("new", "changed", "widened", "forced")
                            for load in history
                        ),
                        "quarantined_file_count": bad_files.get(unit, 0),
                        "landed_after_hours": here
                        and _seconds(
                            here["landed_at"] - datetime.combine(day + timedelta(days=1), time.min)
                        )
                        / 3600,
                        "is_ready": bool(history) or unit in bad_files,
                        "is_landed": here is not None,
                        "is_complete": here is not None and here["is_complete"] is not False,
                        "is_pruned": bool(history) and history[-1]["reason"] == "pruned",
                        "is_missing": not history
                        and any(other < day for other in once_landed)
                        and any(other > day for other in once_landed),
                        "is_latest_complete": bool(complete) and day == max(complete),
                        "landed_at": here and here["landed_at"],
                    }
                )
        return rows

    def _receipt(self, export_type: str, day: date, *, is_landed: bool) -> Row:
        """What the landed rows of a day say of when they were received."""
        table = self.decisions if TYPES[export_type] == "decisions" else self.conversions
        rows = [row for row in table if row["_export_date"] == day]
        received = [row["process_timestamp"] for row in rows if row["process_timestamp"]]
        delays = [
            _seconds(row["process_timestamp"] - row["timestamp"])
            for row in rows
            if row["process_timestamp"] and row["timestamp"]
        ]
        return {
            "late_row_count": sum(_is_late(row["timestamp"], day) for row in rows)
            if is_landed
            else None,
            "longest_delay_seconds": max(delays, default=None),
            "first_processed_at": min(received, default=None),
            "last_processed_at": max(received, default=None),
        }

    # --- duplicate_events

    def duplicate_events(self) -> list[Row]:
        """One row per table, visitor and event id that is there more than once."""
        kept = {
            (table, row["visitor_id"], row["event_id"]): row["export_date"]
            for table, rows in (
                ("decisions", self.twin.decisions),
                ("conversions", self.twin.conversions),
            )
            for row in rows
        }
        result: list[Row] = []
        for table, landed in (("decisions", self.decisions), ("conversions", self.conversions)):
            copies: dict[tuple[str | None, str], list[Row]] = defaultdict(list)
            for raw in landed:
                row = _read(raw)
                # A row without a uuid is an event of its own.
                if row["uuid"] is not None:
                    copies[row["visitor_id"], row["uuid"].lower()].append(row)
            for (visitor_id, event_id), rows in copies.items():
                if len(rows) == 1:
                    continue
                dates = [row["_export_date"] for row in rows]
                contents = [[row.get(column) for column in COMPARED[table]] for row in rows]
                result.append(
                    {
                        "table_name": table,
                        "visitor_id": visitor_id,
                        "event_id": event_id,
                        "copy_count": len(rows),
                        "kept_export_date": kept[table, visitor_id, event_id],
                        "first_export_date": min(dates),
                        "last_export_date": max(dates),
                        "is_across_days": len(set(dates)) > 1,
                        "has_differences": any(content != contents[0] for content in contents),
                    }
                )
        return result

    # --- attribution_audit

    def attribution_agreement(self) -> list[Row]:
        """The rows of `attributed_conversions`, each with its agreement."""
        exposures = {(row["experiment_id"], row["visitor_id"]): row for row in self.twin.exposures}
        named = {
            (row["visitor_id"], row["event_id"]): _elements(row) for row in self.twin.conversions
        }
        return [
            row
            | {
                "agreement": _agreement(
                    row,
                    exposures.get((row["experiment_id"], row["visitor_id"])),
                    named[row["visitor_id"], row["event_id"]],
                )
            }
            for row in self.twin.attributed_conversions
        ]

    def attribution_audit(self) -> list[Row]:
        """One row per experiment and agreement."""
        rows_of: dict[str, list[Row]] = defaultdict(list)
        for row in self.attribution_agreement():
            rows_of[row["experiment_id"]].append(row)
        result: list[Row] = []
        for experiment_id, rows in rows_of.items():
            for agreement in {row["agreement"] for row in rows}:
                these = [row for row in rows if row["agreement"] == agreement]
                result.append(
                    {
                        "experiment_id": experiment_id,
                        "agreement": agreement,
                        "conversion_count": len(these),
                        "visitor_count": len({row["visitor_id"] for row in these} - {None}),
                        "share_of_conversions": len(these) / len(rows),
                    }
                )
        return result

    # --- session_audit

    def session_audit(self) -> list[Row]:
        """One row per day and agreement."""
        ours: dict[str, set[tuple[str, str]]] = defaultdict(set)
        theirs: dict[tuple[str, str], set[str]] = defaultdict(set)
        for event in (*self.twin.decisions, *self.twin.conversions):
            if event["session_key"] is not None and event["vendor_session_id"] is not None:
                vendor_session = (event["visitor_id"], event["vendor_session_id"])
                ours[event["session_key"]].add(vendor_session)
                theirs[vendor_session].add(event["session_key"])
        counts: dict[tuple[date, str], list[int]] = defaultdict(list)
        for session in self.twin.sessions:
            inside = ours[session["session_key"]]
            is_split = any(len(theirs[vendor_session]) > 1 for vendor_session in inside)
            is_joined = len(inside) > 1
            if not inside:
                agreement = "not_filled"
            elif is_split and is_joined:
                agreement = "split_and_joined"
            elif is_split:
                agreement = "split"
            elif is_joined:
                agreement = "joined"
            else:
                agreement = "agree"
            counts[session["started_at"].date(), agreement].append(
                session["decision_count"] + session["conversion_count"]
            )
        return [
            {
                "session_date": day,
                "agreement": agreement,
                "session_count": len(event_counts),
                "event_count": sum(event_counts),
            }
            for (day, agreement), event_counts in counts.items()
        ]

    # --- results_reconciliation

    def results_reconciliation(self) -> list[Row]:
        """One row per vendor's number and way to count."""
        configured = Mode(
            self.twin.visitor_counting, self.twin.crossovers, self.twin.attribution, "excluded"
        )
        agreements = self.attribution_agreement()
        export_days = self.export_days()
        rows: list[Row] = []
        for result in self.vendor_results:
            vendor_value: float | None = result["vendor_value"]
            counted = [(mode, self._counted(result, mode)) for mode in MODES]
            gaps = [
                abs(our_value - vendor_value)
                for _, our_value in counted
                if our_value is not None and vendor_value is not None
            ]
            known = self._known_differences(result, agreements, export_days)
            for mode, our_value in counted:
                row: Row = {
                    **result,
                    **vars(mode),
                    "our_value": our_value,
                    "difference": None,
                    "relative_difference": None,
                    "is_within_threshold": None,
                    "is_closest": False,
                    "is_configured": mode == configured,
                    "reasons": "this row of the seed has a mistake: "
                    "dbt test --select vendor_results",
                }
                if our_value is not None and vendor_value is not None:
                    difference = our_value - vendor_value
                    billionth = abs(vendor_value) * 1e-9
                    row |= {
                        "difference": difference,
                        "relative_difference": difference / vendor_value if vendor_value else None,
                        "is_within_threshold": abs(difference) * 10 <= abs(vendor_value),
                        "is_closest": abs(difference) <= min(gaps) + billionth,
                        "reasons": known if abs(difference) > billionth else None,
                    }
                rows.append(row)
        return rows

    def _counted(self, result: Row, mode: Mode) -> float | None:
        """Our number for one of the vendor's, in one way to count; None where nobody can tell."""
        is_of_visitors = result["measure"] == "visitors" and result["event_key"] is None
        is_of_events = result["measure"] in CONVERSION_MEASURES and result["event_key"] is not None
        if not is_of_visitors and not is_of_events:
            return None
        visitors = {
            row["visitor_id"]
            for row in self._exposures_of(result["experiment_id"])
            if result["variation_id"] in (None, row["variation_id"]) and _counts(row, mode)
        }
        if is_of_visitors:
            return float(len(visitors))
        conversions = [
            row
            for row in self._attributions_of(result["experiment_id"])
            if row["visitor_id"] in visitors
            and _event_key(row) == result["event_key"]
            and row["attribution_source"] in (mode.attribution, "both")
            and not (mode.bots == "excluded" and row["is_bot"])
            and row["seconds_since_exposure"] is not None
            and row["seconds_since_exposure"] >= 0
        ]
        if result["measure"] == "unique_conversions":
            return float(len({row["visitor_id"] for row in conversions}))
        if result["measure"] == "total_conversions":
            return float(len(conversions))
        if result["measure"] == "revenue_cents":
            return float(sum(row["revenue_cents"] or 0 for row in conversions))
        return float(sum(row["value"] or 0.0 for row in conversions))

    def _exposures_of(self, experiment_id: str) -> list[Row]:
        return [row for row in self.twin.exposures if row["experiment_id"] == experiment_id]

    def _attributions_of(self, experiment_id: str) -> list[Row]:
        return [
            row for row in self.twin.attributed_conversions if row["experiment_id"] == experiment_id
        ]

    def _known_differences(
        self, result: Row, agreements: Iterable[Row], export_days: Iterable[Row]
    ) -> str:
        """What is known to make numbers like this one differ, and how often it occurs."""
        experiment_id, variation_id = result["experiment_id"], result["variation_id"]
        event_key = result["event_key"]

        def is_in_scope(row: Row) -> bool:
            return row["experiment_id"] == experiment_id and variation_id in (
                None,
                row["variation_id"],
            )

        exposures = [
            row for row in self.twin.exposures if is_in_scope(row) and not row["is_holdback"]
        ]
        decisions = [
            row for row in self.twin.decisions if is_in_scope(row) and not row["is_holdback"]
        ]
        export_date_of = {
            (row["visitor_id"], row["event_id"]): row["export_date"]
            for row in self.twin.conversions
        }
        attributed = [
            row
            for row in agreements
            if is_in_scope(row) and event_key is not None and _event_key(row) == event_key
        ]
        events = [
            row
            for row in self.twin.conversions
            if event_key is not None and _event_key(row) == event_key
        ]
        seen = [
            row["first_seen_at"]
            for row in self.twin.experiments
            if row["experiment_id"] == experiment_id and row["first_seen_at"] is not None
        ]
        days = [row for row in export_days if seen and row["export_date"] >= seen[0].date()]
        agreement_counts = {
            agreement: sum(row["agreement"] == agreement for row in attributed)
            for agreement in (
                "other_variation",
                "missing",
                "not_filled",
                "no_decision_seen",
                "before_exposure",
                "extra",
            )
        }
        counts = {
            "visitors in more than one variation": sum(
                row["variation_count"] > 1 for row in exposures
            ),
            "visitors of the variation who count for another one": self._counted_elsewhere(
                experiment_id, variation_id
            ),
            "visitors flagged as bots": sum(row["is_bot"] for row in exposures),
            "visitors that only the vendor attributes, without a decision": sum(
                row["exposure_source"] == "vendor" for row in exposures
            ),
            "visitors without a variation": sum(row["variation_id"] is None for row in exposures),
            "decisions exported under a later day than they happened": sum(
                _is_late(row["occurred_at"], row["export_date"]) for row in decisions
            ),
            "conversions flagged as bots": sum(row["is_bot"] for row in attributed),
            "conversions that the vendor gives to another variation": agreement_counts[
                "other_variation"
            ],
            "conversions that we attribute and the vendor gives to other experiments only": (
                agreement_counts["missing"]
            ),
            "conversions that we attribute and the vendor to nothing": agreement_counts[
                "not_filled"
            ],
            "conversions that the vendor attributes, without a decision": agreement_counts[
                "no_decision_seen"
            ],
            "conversions that the vendor attributes, before the exposure": agreement_counts[
                "before_exposure"
            ],
            "conversions that the vendor attributes after the exposure and we do not": (
                agreement_counts["extra"]
            ),
            "conversions beyond the attribution window": self._beyond_window(exposures, events),
            "conversions exported under a later day than they happened": sum(
                _is_late(row["occurred_at"], export_date_of[row["visitor_id"], row["event_id"]])
                for row in attributed
            ),
            "export days missing": sum(row["is_missing"] for row in days),
            "export days landed in part": sum(
                row["is_landed"] and not row["is_complete"] for row in days
            ),
            "export days pruned": sum(row["is_pruned"] for row in export_days),
        }
        parts = [] if exposures else ["no visitor was exposed to it"]
        if event_key is not None and not events:
            parts.append("nobody did this event")
        parts += [f"{what}: {count}" for what, count in counts.items() if count]
        last_days = [
            max(dates)
            for export_type in TYPES
            if (
                dates := [
                    row["export_date"]
                    for row in export_days
                    if row["export_type"] == export_type and row["is_landed"]
                ]
            )
        ]
        return "; ".join([*parts, f"landed up to {min(last_days)}"])

    def _counted_elsewhere(self, experiment_id: str, variation_id: str | None) -> int:
        """Visitors seen in a variation, not held back, whose exposure is of another or of none."""
        if variation_id is None:
            return 0
        seen: set[str] = set()
        for row in self.twin.decisions:
            if (
                row["experiment_id"] == experiment_id
                and row["variation_id"] == variation_id
                and not row["is_holdback"]
                and row["occurred_at"] is not None
            ):
                seen.add(row["visitor_id"])
        for row in self.twin.conversions:
            for element in _elements(row):
                if (
                    element["experiment_id"] == experiment_id
                    and element["variation_id"] == variation_id
                    and not element["is_holdback"]
                    and row["occurred_at"] is not None
                ):
                    seen.add(row["visitor_id"])
        return sum(
            row["visitor_id"] in seen and row["variation_id"] != variation_id
            for row in self._exposures_of(experiment_id)
        )

    def _beyond_window(self, exposures: Iterable[Row], events: Iterable[Row]) -> int:
        """Pairs of an exposure by a decision and a conversion that comes too late for it."""
        hours = self.twin.attribution_window_hours
        if not hours:
            return 0
        return sum(
            conversion["visitor_id"] == exposure["visitor_id"]
            and conversion["occurred_at"] is not None
            and conversion["occurred_at"] > exposure["exposed_at"] + timedelta(hours=hours)
            for exposure in exposures
            if exposure["exposure_source"] in ("decision", "both")
            for conversion in events
        )


def _unit(row: Row) -> Unit:
    return row["export_type"], row["export_date"]


def _days(first: date, last: date) -> list[date]:
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def _seconds(duration: timedelta) -> float:
    return duration // timedelta(microseconds=1) / 1_000_000


def _is_late(occurred_at: datetime | None, export_date: date) -> bool:
    return occurred_at is not None and occurred_at.date() < export_date


def _read(raw: Row) -> Row:
    """A landed row with NULL for whatever means NULL (§1), and holdback NULL as false (§3)."""
    row = {
        column: None if column in BLANK_IS_NULL and value == "" else value
        for column, value in raw.items()
    }
    value = row.get("value")
    if value is not None and (math.isnan(value) or abs(value) >= ABSURD_VALUE):
        row["value"] = None
    row["is_holdback"] = bool(row.get("is_holdback"))
    return row


def _elements(conversion: Row) -> list[Row]:
    """The elements of a conversion's `experiments` that name an experiment."""
    return [
        {
            "experiment_id": element["experiment_id"],
            "variation_id": element["variation_id"] or None,
            "is_holdback": bool(element["is_holdback"]),
        }
        for element in conversion["experiments"] or []
        if element is not None and element["experiment_id"]
    ]


def _event_key(row: Row) -> str | None:
    name: str | None = row["event_name"]
    entity: str | None = row["entity_id"]
    return entity if name is None else name


def _agreement(attribution: Row, exposure: Row | None, elements: list[Row]) -> str:
    """How our attribution of a conversion to an experiment and the vendor's compare."""
    if attribution["attribution_source"] == "both":
        if attribution["variation_id"] == attribution["vendor_variation_id"]:
            return "agree"
        return "other_variation"
    if attribution["attribution_source"] == "derived":
        return "missing" if elements else "not_filled"
    if (
        exposure is None
        or exposure["is_holdback"]
        or exposure["exposure_source"] not in ("decision", "both")
    ):
        return "no_decision_seen"
    occurred_at = attribution["occurred_at"]
    if occurred_at is not None and occurred_at < exposure["exposed_at"]:
        return "before_exposure"
    return "extra"


def _counts(exposure: Row, mode: Mode) -> bool:
    """§5, who is counted."""
    if exposure["is_holdback"] or exposure["variation_id"] is None:
        return False
    if mode.bots == "excluded" and exposure["is_bot"]:
        return False
    if mode.visitor_counting == "full_stack" and exposure["exposure_source"] == "vendor":
        return False
    return not (mode.crossovers == "exclude" and exposure["variation_count"] > 1)
