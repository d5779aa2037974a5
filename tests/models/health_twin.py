"""The brute-force twin of `experiment_health`: docs/health.md read literally, in plain Python.

Exposures and decisions come from the twin of the other marts, export days and agreements from that
of the quality marts. No code is shared with the SQL: the chi-square tail is scipy's, log-gammas are
those of the standard library.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property
from typing import Any

from scipy.stats import chisquare

from tests.models.quality_twin import QualityTwin

Row = dict[str, Any]

THRESHOLDS: dict[str, float] = {
    "sample_ratio_warn_p": 0.01,
    "sample_ratio_fail_p": 0.001,
    "sample_ratio_concentration": 10_000,
    "crossover_warn_share": 0.01,
    "crossover_fail_share": 0.05,
    "bot_warn_share": 0.05,
    "bot_fail_share": 0.2,
    "late_warn_share": 0.05,
    "late_fail_share": 0.2,
    "missing_warn_days": 1,
    "missing_fail_days": 3,
    "running_warn_days": 7,
    "exposures_warn_share": 0.1,
    "attribution_warn_share": 0.95,
    "attribution_fail_share": 0.8,
}
"""The vars as they are shipped."""


@dataclass(frozen=True)
class Look:
    """What the sequential test sees at the end of one day."""

    day: date
    new_visitors: int
    visitors: int
    unplanned_visitors: int
    chi_square: float | None
    log_bayes_factor: float | None
    p_value: float
    """Least so far."""


@dataclass(frozen=True)
class SampleRatio:
    """Both tests of one experiment's visitors, day by day and variation by variation (§1, §2)."""

    days: Mapping[date, Mapping[str, int]]
    """Date → variation → counted visitors first exposed on it."""
    weights: Mapping[str, float]
    """Declared weights; a variation without one is absent."""
    concentration: float

    @cached_property
    def counts(self) -> Counter[str]:
        """Counted visitors of each variation, at the end."""
        total: Counter[str] = Counter()
        for counts in self.days.values():
            total.update(counts)
        return total

    @cached_property
    def is_assumed(self) -> bool:
        """Whether the shares are assumed to be equal."""
        return any(arm not in self.weights for arm in self.counts) or not any(self.weights.values())

    @cached_property
    def shares(self) -> dict[str, float]:
        """Variation → share that it should have."""
        if self.is_assumed:
            return dict.fromkeys(self.counts, 1 / len(self.counts)) if self.counts else {}
        total = math.fsum(self.weights.values())
        return {
            arm: weight / total
            for arm, weight in self.weights.items()
            if weight > 0 or arm in self.counts
        }

    @cached_property
    def looks(self) -> list[Look]:
        """One look at the end of each day on which somebody was exposed."""
        looks: list[Look] = []
        so_far: Counter[str] = Counter()
        p_value = 1.0
        for day in sorted(self.days):
            so_far.update(self.days[day])
            unplanned = sum(so_far[arm] for arm, share in self.shares.items() if not share)
            log_bayes_factor = None if unplanned else self._log_bayes_factor(so_far)
            p_value = min(
                p_value, 0.0 if log_bayes_factor is None else math.exp(-max(log_bayes_factor, 0))
            )
            looks.append(
                Look(
                    day,
                    sum(self.days[day].values()),
                    so_far.total(),
                    unplanned,
                    None if unplanned else self._chi_square(so_far)[0],
                    log_bayes_factor,
                    p_value,
                )
            )
        return looks

    def _planned(self) -> dict[str, float]:
        return {arm: share for arm, share in self.shares.items() if share > 0}

    def _chi_square(self, counts: Counter[str]) -> tuple[float, float]:
        planned = self._planned()
        if len(planned) == 1:
            return 0.0, 1.0
        found = [counts[arm] for arm in planned]
        wanted = [share * sum(found) for share in planned.values()]
        result = chisquare(found, wanted, sum_check=False)
        return float(result.statistic), float(result.pvalue)

    def _log_bayes_factor(self, counts: Counter[str]) -> float:
        """By the definition: the log-probabilities of the counts under either hypothesis."""
        planned = self._planned()
        total = sum(counts[arm] for arm in planned)
        terms = [math.lgamma(self.concentration), -math.lgamma(self.concentration + total)]
        for arm, share in planned.items():
            prior = self.concentration * share
            terms += [
                math.lgamma(prior + counts[arm]),
                -math.lgamma(prior),
                -counts[arm] * math.log(share),
            ]
        return math.fsum(terms)

    @property
    def has_ratio(self) -> bool:
        """Whether there are visitors, and variations that they could be divided between."""
        return bool(self.days) and len(self.shares) > 1

    @property
    def p_value(self) -> float:
        """Of the chi-square test, at the end."""
        return 0.0 if self.looks[-1].unplanned_visitors else self._chi_square(self.counts)[1]

    @cached_property
    def worst(self) -> str:
        """The variation furthest from its share."""

        def rank(arm: str) -> tuple[Any, ...]:
            gap = self.observed(arm) - self.shares[arm]
            return (self.shares[arm] > 0, -round(abs(gap), 12), -gap, len(arm), arm)

        return min(self.shares, key=rank)

    def observed(self, arm: str) -> float:
        """Share of the counted visitors."""
        return self.counts[arm] / self.counts.total()

    def detection(self, threshold: float) -> tuple[date, date] | tuple[None, None]:
        """When a deviation began, and when it was detected."""
        detected = next((look for look in self.looks if look.p_value <= threshold), None)
        if detected is None:
            return None, None
        if detected.unplanned_visitors:
            return detected.day, detected.day
        began, least = self.looks[0].day, 0.0
        for number, look in enumerate(self.looks):
            if look.day >= detected.day:
                break
            assert look.log_bayes_factor is not None
            if look.log_bayes_factor < 0 and look.log_bayes_factor <= least:
                began, least = self.looks[number + 1].day, look.log_bayes_factor
        return began, detected.day


@dataclass(frozen=True)
class HealthTwin:
    """The mart `experiment_health`. `vars` are those that differ from the shipped ones."""

    quality: QualityTwin
    vars: Mapping[str, float] = field(default_factory=dict)

    def experiment_health(self) -> list[Row]:
        """One row per experiment and check."""
        rows: list[Row] = []
        for experiment in self.quality.twin.experiments:
            for check in (
                self._sample_ratio(experiment),
                self._sample_ratio_sequential(experiment),
                self._crossovers(experiment),
                self._bots(experiment),
                self._late_events(experiment),
                self._missing_days(experiment),
                self._days_running(experiment),
                self._exposures_per_day(experiment),
                self._attribution_agreement(experiment),
            ):
                rows.append(
                    {
                        "experiment_id": experiment["experiment_id"],
                        "check_name": None,
                        "status": None,
                        "observed": None,
                        "expected": None,
                        "deviation": None,
                        "p_value": None,
                        "worst_variation_id": None,
                        "began_on": None,
                        "detected_on": None,
                        "message": None,
                    }
                    | check
                )
        return rows

    def sample_ratio_days(self) -> list[Row]:
        """The rows of `int_sample_ratio_days`."""
        return [
            {
                "experiment_id": experiment["experiment_id"],
                "exposure_date": look.day,
                "arm_count": sum(share > 0 for share in ratio.shares.values()),
                "new_visitors": look.new_visitors,
                "visitors": look.visitors,
                "unplanned_visitors": look.unplanned_visitors,
                "chi_square": look.chi_square,
                "log_bayes_factor": look.log_bayes_factor,
                "p_value_always_valid": look.p_value,
            }
            for experiment in self.quality.twin.experiments
            for ratio in [self.ratio(experiment["experiment_id"])]
            for look in ratio.looks
        ]

    def ratio(self, experiment_id: str) -> SampleRatio:
        """The sample ratio of an experiment."""
        days: dict[date, Counter[str]] = defaultdict(Counter)
        twin = self.quality.twin
        for row in twin.exposures:
            if row["experiment_id"] != experiment_id or not _is_counted(row, twin):
                continue
            days[row["exposed_at"].date()][row["variation_id"]] += 1
        weights = {}
        for names in (twin.fetched, twin.seeds):
            for (of_experiment, variation_id), row in names.variations.items():
                if of_experiment == experiment_id and row.get("weight") is not None:
                    weights[variation_id] = row["weight"]
        return SampleRatio(days, weights, self._var("sample_ratio_concentration"))

    def _var(self, name: str) -> float:
        return self.vars.get(name, THRESHOLDS[name])

    def _status(self, value: float | None, warn: str, fail: str, *, is_low_bad: bool) -> str:
        """By two thresholds, beyond which it is bad."""
        if value is None:
            return "pass"
        for status, name in (("fail", fail), ("warn", warn)):
            if value < self._var(name) if is_low_bad else value > self._var(name):
                return status
        return "pass"

    def _p_status(self, p_value: float) -> str:
        if p_value <= self._var("sample_ratio_fail_p"):
            return "fail"
        return "warn" if p_value <= self._var("sample_ratio_warn_p") else "pass"

    def _sample_ratio(self, experiment: Row) -> Row:
        ratio = self.ratio(experiment["experiment_id"])
        text = _ratio_text(ratio)
        if not ratio.has_ratio:
            return {"check_name": "sample_ratio", "status": "pass", "message": text}
        p_value = ratio.p_value
        if ratio.looks[-1].unplanned_visitors:
            message = f"{text}."
        elif p_value > self._var("sample_ratio_warn_p"):
            message = f"{text}, no more than chance does ({_p_text(p_value)})."
        else:
            message = f"{text} ({_p_text(p_value)})."
        return {
            "check_name": "sample_ratio",
            "status": self._p_status(p_value),
            **_worst(ratio),
            "p_value": p_value,
            "message": message,
        }

    def _sample_ratio_sequential(self, experiment: Row) -> Row:
        ratio = self.ratio(experiment["experiment_id"])
        text = _ratio_text(ratio)
        if not ratio.has_ratio:
            return {"check_name": "sample_ratio_sequential", "status": "pass", "message": text}
        p_value = ratio.looks[-1].p_value
        began_on, detected_on = ratio.detection(self._var("sample_ratio_warn_p"))
        if detected_on is None:
            kind = "equal" if ratio.is_assumed else "planned"
            message = (
                f"On no day so far did the visitors speak against the {kind} shares "
                f"(always-valid {_p_text(p_value)})."
            )
        else:
            message = (
                f"{text} (always-valid {_p_text(p_value)}); the deviation began about {began_on} "
                f"and showed on {detected_on}."
            )
        return {
            "check_name": "sample_ratio_sequential",
            "status": self._p_status(p_value),
            **_worst(ratio),
            "p_value": p_value,
            "began_on": began_on,
            "detected_on": detected_on,
            "message": message,
        }

    def _exposed(self, experiment: Row) -> list[Row]:
        """Exposures that are not held back."""
        return [
            row
            for row in self.quality.twin.exposures
            if row["experiment_id"] == experiment["experiment_id"]
            and row["exposure_status"] != "holdback"
        ]

    def _share_check(
        self, name: str, prefix: str, found: int, total: int, nothing: str, sentence: str
    ) -> Row:
        share = found / total if total else None
        warn, fail = f"{prefix}_warn_share", f"{prefix}_fail_share"
        return {
            "check_name": name,
            "status": self._status(share, warn, fail, is_low_bad=False),
            "observed": share,
            "expected": float(self._var(warn)),
            "message": nothing if share is None else sentence.format(_percent(share)),
        }

    def _crossovers(self, experiment: Row) -> Row:
        exposed = self._exposed(experiment)
        found = sum(row["exposure_status"] == "crossover" for row in exposed)
        return self._share_check(
            "crossovers",
            "crossover",
            found,
            len(exposed),
            "No visitor was exposed.",
            f"{found} of {len(exposed)} exposed visitors ({{}}) were seen in more than one "
            "variation.",
        )

    def _bots(self, experiment: Row) -> Row:
        exposed = self._exposed(experiment)
        found = sum(row["exposure_status"] == "bot" for row in exposed)
        return self._share_check(
            "bots",
            "bot",
            found,
            len(exposed),
            "No visitor was exposed.",
            f"{found} of {len(exposed)} exposed visitors ({{}}) are flagged as bots and do not "
            "count.",
        )

    def _late_events(self, experiment: Row) -> Row:
        decisions = [
            row
            for row in self.quality.twin.decisions
            if row["experiment_id"] == experiment["experiment_id"]
        ]
        late = sum(
            row["occurred_at"] is not None and row["occurred_at"].date() < row["export_date"]
            for row in decisions
        )
        return self._share_check(
            "late_events",
            "late",
            late,
            len(decisions),
            "No decision of this experiment was exported.",
            f"{late} of {len(decisions)} decisions ({{}}) were exported under a later day than "
            "they happened.",
        )

    def _missing_days(self, experiment: Row) -> Row:
        check: Row = {"check_name": "missing_days", "expected": 0.0}
        if experiment["first_seen_at"] is None:
            text = "No event of this experiment says when it happened."
            return check | {"status": "pass", "message": text}
        first, last = experiment["first_seen_at"].date(), experiment["last_seen_at"].date()
        missing = [
            row
            for row in self.quality.export_days()
            if row["is_missing"] and first <= row["export_date"] <= last
        ]
        if not missing:
            status = "pass"
            message = f"No export day is missing from {first} to {last}."
        else:
            of_decisions = sum(row["export_type"] == "decisions" for row in missing)
            message = (
                f"From {first} to {last}, {_days(of_decisions)} of decisions and "
                f"{_days(len(missing) - of_decisions)} of events are missing in the export, first "
                f"{min(row['export_date'] for row in missing)}."
            )
            status = "pass"
            for name in ("warn", "fail"):
                if len(missing) >= self._var(f"missing_{name}_days"):
                    status = name
        return check | {"status": status, "observed": float(len(missing)), "message": message}

    def _days_running(self, experiment: Row) -> Row:
        wanted = self._var("running_warn_days")
        looks = self.ratio(experiment["experiment_id"]).looks
        check = {"check_name": "days_running", "status": "warn", "expected": float(wanted)}
        if not looks:
            return check | {"message": "No visitor counts for this experiment."}
        running = (looks[-1].day - looks[0].day).days + 1
        few = f", fewer than {wanted}" if running < wanted else ""
        return check | {
            "status": "warn" if few else "pass",
            "observed": float(running),
            "message": f"{_days(running)} from the first exposure on {looks[0].day} to the last "
            f"on {looks[-1].day}{few}.",
        }

    def _exposures_per_day(self, experiment: Row) -> Row:
        looks = self.ratio(experiment["experiment_id"]).looks
        check: Row = {"check_name": "exposures_per_day", "status": "pass"}
        if not looks:
            return check | {"message": "No visitor counts for this experiment."}
        exposed = {look.day: look.new_visitors for look in looks}
        run = [
            looks[0].day + timedelta(days=number)
            for number in range((looks[-1].day - looks[0].day).days + 1)
        ]
        mean = looks[-1].visitors / len(run)
        days = {
            row["export_date"]: row
            for row in self.quality.export_days()
            if row["export_type"] == "decisions" and row["is_landed"]
        }
        silent = [day for day in run if day in days and day not in exposed]
        full = [day for day in run if day in days and days[day]["is_complete"]]
        text = f"{_rounded(mean)} visitors a day were exposed on average, "
        if silent:
            check["status"] = "warn"
            text += (
                f"but nobody on {_days(len(silent))} whose decisions are landed, first {silent[0]}."
            )
        elif full and exposed.get(full[-1], 0) < mean * self._var("exposures_warn_share"):
            check["status"] = "warn"
            text += f"but only {exposed.get(full[-1], 0)} on the last full day, {full[-1]}."
        else:
            text += "and some on every day whose decisions are landed."
        return check | {"observed": mean, "message": text}

    def _attribution_agreement(self, experiment: Row) -> Row:
        counts = Counter(
            row["agreement"]
            for row in self.quality.attribution_agreement()
            if row["experiment_id"] == experiment["experiment_id"]
        )
        compared = counts.total() - counts["not_filled"] - counts["no_decision_seen"]
        share = counts["agree"] / compared if compared else None
        warn, fail = "attribution_warn_share", "attribution_fail_share"
        return {
            "check_name": "attribution_agreement",
            "status": self._status(share, warn, fail, is_low_bad=True),
            "observed": share,
            "expected": float(self._var(warn)),
            "message": (
                "There is nothing to compare: the vendor fills no attribution of conversions "
                "whose visitor has a decision."
            )
            if share is None
            else f"Of {compared} conversions that both could attribute, {_percent(share)} have "
            "the vendor's attribution.",
        }


def _is_counted(exposure: Row, twin: Any) -> bool:
    """docs/counting.md §5, who is counted."""
    statuses = ["valid"] if twin.crossovers == "exclude" else ["valid", "crossover"]
    sources: Sequence[str] = ("decision", "both")
    return exposure["exposure_status"] in statuses and (
        twin.visitor_counting == "web" or exposure["exposure_source"] in sources
    )


def _worst(ratio: SampleRatio) -> Row:
    observed, expected = ratio.observed(ratio.worst), ratio.shares[ratio.worst]
    return {
        "observed": observed,
        "expected": expected,
        "deviation": observed - expected,
        "worst_variation_id": ratio.worst,
    }


def _ratio_text(ratio: SampleRatio) -> str:
    """What both tests say of the present; without its end where there is a ratio."""
    if not ratio.days:
        return "No visitor counts for this experiment, so there is no ratio to check."
    if not ratio.has_ratio:
        return (
            f"Only variation {ratio.worst} has visitors or a planned share, so there is no ratio "
            "to check."
        )
    visitors = ratio.counts.total()
    if ratio.looks[-1].unplanned_visitors:
        return (
            f"Variation {ratio.worst} has {ratio.counts[ratio.worst]} of {visitors} visitors where "
            "none were planned: its weight is 0"
        )
    kind = "is an equal share" if ratio.is_assumed else "were planned"
    return (
        f"Variation {ratio.worst} has {_percent(ratio.observed(ratio.worst))} of {visitors} "
        f"visitors where {_percent(ratio.shares[ratio.worst])} {kind}"
    )


def _percent(share: float) -> str:
    return f"{_rounded(100 * share)} %"


def _rounded(number: float, digits: int = 1) -> str:
    return f"{math.floor(number * 10**digits + 0.5) / 10**digits:.{digits}f}"


def _p_text(p_value: float) -> str:
    if p_value < 0.00001:
        return "p < 0.00001"
    digits = next((digits for limit, digits in ((1e-3, 5), (1e-2, 4)) if p_value < limit), 2)
    return f"p = {_rounded(p_value, digits)}"


def _days(count: int) -> str:
    return f"{count} day" if count == 1 else f"{count} days"
