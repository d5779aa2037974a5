"""Warehouses with marts in the shape that the models' YAML promises, and rows that tests choose."""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import yaml

ROOT = Path(__file__).parents[2]

Row = dict[str, Any]

MODELS = (
    "dim_experiments",
    "dim_metrics",
    "dim_variations",
    "experiment_health",
    "experiment_novelty",
    "experiment_results",
    "experiment_results_daily",
    "export_days",
    "funnel_report",
)
"""Marts that the report reads."""

START = date(2026, 1, 5)

CHECKS = ("sample_ratio", "sample_ratio_sequential", "crossovers", "days_running")


def create_marts(path: Path, rows: Mapping[str, Iterable[Row]], schema: str = "main") -> None:
    """Makes the marts; what a row leaves out is NULL."""
    with duckdb.connect(path) as connection:
        connection.begin()
        if schema != "main":
            connection.execute('create schema "' + schema.replace('"', '""') + '"')
        connection.execute("set schema = '\"" + schema.replace('"', '""') + "\"'")
        for model in MODELS:
            columns = _columns(model)
            connection.execute(
                f"create table {model} ({', '.join(f'{n} {t}' for n, t in columns.items())})"
            )
            given = list(rows.get(model, ()))
            for row in given:
                assert row.keys() <= columns.keys(), (model, row.keys() - columns.keys())
            if given:
                table = pa.table({name: [row.get(name) for row in given] for name in columns})
                connection.register("given", table)
                connection.execute(f"insert into {model} from given")
                connection.unregister("given")
        connection.commit()


@cache
def _columns(model: str) -> dict[str, str]:
    [path] = ROOT.glob(f"models/marts/*/{model}.yml")
    [declared] = yaml.safe_load(path.read_text())["models"]
    return {
        column["name"]: "varchar" if column["data_type"] == "string" else column["data_type"]
        for column in declared["columns"]
    }


@dataclass
class Shape:
    """An experiment with random numbers."""

    experiment_id: str
    name: str | None = "Checkout"
    variations: Mapping[str, str | None] = field(
        default_factory=lambda: {"11": "Original", "12": "Blue"}
    )
    metrics: Sequence[tuple[str, str, str | None, str]] = (
        ("purchase rate", "conversion", "events", "primary"),
        ("revenue per visitor", "sum", "revenue", "secondary"),
        ("checkout", "funnel", None, "secondary"),
        ("refunds", "count", "events", "guardrail"),
        ("view: value", "sum", "value", "automatic"),
    )
    """Name, type, measure, role."""
    segments: Sequence[tuple[str, str]] = (("device", "mobile"), ("device", "desktop"))
    fails: Sequence[str] = ()
    days: int = 10
    steps: Sequence[str] = ("exposed", "view", "buy")
    decided_by: str = "always_valid, benjamini_hochberg"


def rows_of(*shapes: Shape, seed: int = 1) -> dict[str, list[Row]]:
    """The marts' rows of some experiments."""
    rows: dict[str, list[Row]] = {model: [] for model in MODELS}
    random_ = random.Random(seed)
    for shape in shapes:
        _add(rows, shape, random_)
    known = {row["metric_name"]: row for row in rows["dim_metrics"]}
    rows["dim_metrics"] = list(known.values())
    for export_type, missing in (("decisions", ()), ("events", (START + timedelta(3),))):
        for day in (START + timedelta(n) for n in range(10)):
            rows["export_days"].append(
                {
                    "export_type": export_type,
                    "export_date": day,
                    "is_missing": day in missing,
                    "is_latest_complete": day == START + timedelta(9),
                }
            )
    return rows


def _add(rows: dict[str, list[Row]], shape: Shape, random_: random.Random) -> None:
    experiment = {"experiment_id": shape.experiment_id}
    visitors = {id_: random_.randrange(90, 90_000) for id_ in shape.variations}
    rows["dim_experiments"].append(
        experiment
        | {
            "experiment_name": shape.name,
            "status": "running",
            "counted_visitor_count": sum(visitors.values()),
            "first_seen_at": datetime(2026, 1, 5, 8, 30),
            "last_seen_at": datetime(2026, 1, 14, 23, 59),
        }
    )
    for id_, name in shape.variations.items():
        rows["dim_variations"].append(
            experiment
            | {
                "variation_id": id_,
                "variation_name": name,
                "weight": 1 / len(shape.variations),
                "visitor_count": visitors[id_],
            }
        )
    for check in CHECKS:
        rows["experiment_health"].append(
            experiment
            | {
                "check_name": check,
                "status": "fail" if check in shape.fails else "pass",
                "observed": float(shape.days),
                "message": f"What {check} found.",
            }
        )
    for metric in shape.metrics:
        rows["dim_metrics"].append(
            {
                "metric_name": metric[0],
                "metric_type": metric[1],
                "measure": metric[2],
                "direction": "decrease" if metric[3] == "guardrail" else "increase",
                "description": f"About {metric[0]}",
                "non_inferiority_margin": 0.05 if metric[3] == "guardrail" else None,
            }
        )
        for segment in (("all", "all"), *shape.segments):
            for id_ in shape.variations:
                rows["experiment_results"].append(
                    _result(shape, metric, id_, visitors[id_], segment, random_)
                )
        for counted_by in ("day_of_exposure", "day_of_observation"):
            for day in range(shape.days):
                for id_ in shape.variations:
                    row = _result(shape, metric, id_, visitors[id_], ("all", "all"), random_)
                    for name in (
                        "segment_name",
                        "segment_value",
                        "unique_conversions",
                        "total_conversions",
                    ):
                        del row[name]
                    row |= {"counted_by": counted_by, "day": START + timedelta(day)}
                    rows["experiment_results_daily"].append(row)
        if metric[1] == "funnel":
            for id_, exposed in visitors.items():
                rows["funnel_report"] += _funnel(shape, metric[0], id_, exposed)


def _result(
    shape: Shape,
    metric: tuple[str, str, str | None, str],
    variation_id: str,
    visitors: int,
    segment: tuple[str, str],
    random_: random.Random,
) -> Row:
    name, type_, _, role = metric
    baseline_id = next(iter(shape.variations))
    unique = random_.randrange(visitors)
    is_rate = type_ in ("conversion", "funnel", "compound", "retention")
    numerator = float(unique) if is_rate else random_.randrange(1, 10**7) / 8
    row: Row = {
        "experiment_id": shape.experiment_id,
        "metric_name": name,
        "variation_id": variation_id,
        "segment_name": segment[0],
        "segment_value": segment[1],
        "role": role,
        "baseline_variation_id": baseline_id,
        "visitors": visitors,
        "unique_conversions": unique,
        "total_conversions": None if type_ == "funnel" else unique + random_.randrange(99),
        "numerator": numerator,
        "mean": numerator / visitors,
        "lift": 0.0,
        "decided_by": shape.decided_by,
        "reason": "baseline",
    }
    if variation_id != baseline_id:
        lift = random_.gauss(0, 0.3)
        width = random_.random() * random_.choice((0.05, 1))
        row |= {
            "lift": lift,
            "lift_cs_lower": lift - 1.5 * width,
            "lift_cs_upper": lift + 1.5 * width,
            "lift_ci_lower": lift - width,
            "lift_ci_upper": lift + width,
            "p_value": random_.random() ** 20,
            "p_value_always_valid": random_.random() ** 9,
            "verdict": random_.choice(("better", "worse", "inconclusive")),
            "reason": None,
            "is_non_inferior": random_.random() < 0.5 if role == "guardrail" else None,
        }
        if random_.random() < 0.1:
            row |= dict.fromkeys([key for key in row if key.startswith(("lift_", "p_"))])
            row |= {"verdict": "not_enough_data", "reason": "too_few_visitors"}
    return row


def _funnel(shape: Shape, metric: str, variation_id: str, exposed: int) -> list[Row]:
    rows: list[Row] = []
    reached, before = exposed, None
    for number, step in enumerate(shape.steps):
        rows.append(
            {
                "experiment_id": shape.experiment_id,
                "metric_name": metric,
                "variation_id": variation_id,
                "step": number,
                "step_name": step,
                "visitors": reached,
                "rate_of_exposed": reached / exposed,
                "rate_of_previous": None if before is None else reached / before,
                "lost_visitors": None if before is None else before - reached,
                "median_seconds": None if number == 0 else 40.0 * 70**number,
            }
        )
        before, reached = reached, reached // 2
    return rows
