"""The models from `metric_summary` to the results, run on sufficient statistics of one's own."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import tea_tasting
from statsmodels.stats import proportion
from tea_tasting.aggr import Aggregates

from tests.models.project import Project

MODELS = (
    *("int_arms", "int_comparisons", "int_inference", "int_verdicts"),
    *("experiment_results", "experiment_results_daily"),
)
"""What stands between the summary and the results, each reading the one before."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Arm:
    """Sufficient statistics of one variation."""

    visitors: int
    value_sum: float
    value_sum_squares: float
    denominator_sum: float | None = None
    denominator_sum_squares: float | None = None
    cross_product_sum: float | None = None
    covariate_sum: float | None = None
    covariate_sum_squares: float | None = None
    covariate_product_sum: float | None = None

    @property
    def mean(self) -> float:
        return self.value_sum / (self.denominator_sum or self.visitors)

    @property
    def variance(self) -> float:
        """Of the observations."""
        mean = self.value_sum / self.visitors
        return (self.value_sum_squares - mean * self.value_sum) / (self.visitors - 1)

    def aggregates(self) -> Aggregates:
        """The same for tea-tasting."""
        n = self.visitors
        mean = {"value": self.value_sum / n}
        var = {"value": self.variance}
        cov = {}
        if self.denominator_sum is not None:
            assert self.denominator_sum_squares is not None
            assert self.cross_product_sum is not None
            mean["denominator"] = self.denominator_sum / n
            var["denominator"] = (
                self.denominator_sum_squares - mean["denominator"] * self.denominator_sum
            ) / (n - 1)
            cov["denominator", "value"] = (
                self.cross_product_sum - mean["denominator"] * self.value_sum
            ) / (n - 1)
        if self.covariate_sum is not None:
            assert self.covariate_sum_squares is not None
            assert self.covariate_product_sum is not None
            mean["covariate"] = self.covariate_sum / n
            var["covariate"] = (
                self.covariate_sum_squares - mean["covariate"] * self.covariate_sum
            ) / (n - 1)
            cov["covariate", "value"] = (
                self.covariate_product_sum - mean["covariate"] * self.value_sum
            ) / (n - 1)
        return Aggregates(count_=n, mean_=mean, var_=var, cov_=cov)


@dataclass(frozen=True)
class Comparison:
    """One metric of one experiment: the baseline first."""

    metric_type: str
    arms: tuple[Arm, ...]
    direction: str = "increase"
    role: str = "secondary"
    margin: float | None = None


class Chain:
    """The models between summary and results, as dbt compiles them, on tables of one's own."""

    def __init__(self, folder: Path) -> None:
        self.project = Project(folder)
        self.folder = folder
        self.compiled: dict[str, dict[str, str]] = {}
        self.registry: dict[str, tuple[str | None, str | None]] = {}
        """Declared baseline and primary metric of an experiment; the first arm, and none."""

    def results(self, comparisons: Sequence[Comparison], **settings: Any) -> list[list[Row]]:
        """Results of each comparison, each of an experiment of its own: a row for each arm."""
        return self.rows(
            [
                (str(number), "metric", comparison)
                for number, comparison in enumerate(comparisons, start=1)
            ],
            **settings,
        )

    def rows(
        self, comparisons: Sequence[tuple[str, str, Comparison]], **settings: Any
    ) -> list[list[Row]]:
        """Results of metrics of experiments, in the order given."""
        compiled = self._compiled({"minimum_visitors": 2, "minimum_conversions": 0, **settings})
        with duckdb.connect(str(self.project.warehouse)) as connection:
            self._write(connection, comparisons)
            for model in MODELS:
                connection.execute(f"create or replace table main.{model} as {compiled[model]}")
            found = connection.execute("select * from experiment_results")
            names = [column[0] for column in found.description]
            by_key: dict[tuple[str, str], list[Row]] = {}
            for values in sorted(found.fetchall(), key=lambda row: (row[0], row[1], row[2])):
                row = dict(zip(names, values, strict=True))
                by_key.setdefault((row["experiment_id"], row["metric_name"]), []).append(row)
        return [
            by_key[experiment, f"{experiment}-{metric}"] for experiment, metric, _ in comparisons
        ]

    def days(
        self, days: Sequence[tuple[str, date, Comparison]], **settings: Any
    ) -> list[list[Row]]:
        """Daily results of one metric of one experiment, of each way of counting and date."""
        compiled = self._compiled({"minimum_visitors": 2, "minimum_conversions": 0, **settings})
        with duckdb.connect(str(self.project.warehouse)) as connection:
            for counted_by, day, comparison in days:
                self._write(connection, [("1", "metric", comparison)], keep_days=True)
                connection.execute(
                    """
                    insert into int_daily_summary by name
                    select * exclude (
                        segment_name, segment_value, mature_visitors, unique_conversions,
                        total_conversions
                    ),
                        $1 as counted_by, $2::date as day
                    from metric_summary
                    """,
                    [counted_by, day],
                )
            for model in MODELS:
                connection.execute(f"create or replace table main.{model} as {compiled[model]}")
            found = connection.execute("select * from experiment_results_daily")
            names = [column[0] for column in found.description]
            rows = [dict(zip(names, values, strict=True)) for values in found.fetchall()]
            connection.execute("drop table int_daily_summary")
        return [
            sorted(
                (row for row in rows if (row["counted_by"], row["day"]) == (counted_by, day)),
                key=lambda row: str(row["variation_id"]),
            )
            for counted_by, day, _ in days
        ]

    def _compiled(self, settings: dict[str, Any]) -> dict[str, str]:
        key = repr(sorted(settings.items()))
        if key not in self.compiled:
            self.compiled[key] = self.project.compiled(" ".join(MODELS), settings)
        return self.compiled[key]

    def _write(
        self,
        connection: duckdb.DuckDBPyConnection,
        comparisons: Sequence[tuple[str, str, Comparison]],
        *,
        keep_days: bool = False,
    ) -> None:
        connection.execute(
            """
            create or replace table metric_summary (
                experiment_id varchar, metric_name varchar, variation_id varchar,
                segment_name varchar, segment_value varchar, visitors bigint,
                mature_visitors bigint, unique_conversions bigint,
                total_conversions bigint, value_sum double, value_sum_squares double,
                denominator_sum double, denominator_sum_squares double, cross_product_sum double,
                covariate_sum double, covariate_sum_squares double,
                covariate_product_sum double
            );
            create table if not exists int_daily_summary as
                select * exclude (
                    segment_name, segment_value, mature_visitors, unique_conversions,
                    total_conversions
                ),
                    '' as counted_by, current_date as day
                from metric_summary;
            create or replace table int_novelty_summary as
                select * exclude (
                    segment_name, segment_value, mature_visitors, unique_conversions,
                    total_conversions
                ),
                    0::bigint as days_since_exposure
                from metric_summary;
            create or replace table dim_metrics (
                metric_name varchar, metric_origin varchar, metric_type varchar,
                direction varchar, role varchar, non_inferiority_margin double
            );
            create or replace table dim_experiments (
                experiment_id varchar, baseline_variation_id varchar, primary_metric varchar
            );
            """
        )
        if not keep_days:
            connection.execute("truncate int_daily_summary")
        summaries = [
            (
                experiment,
                f"{experiment}-{metric}",
                str(place),
                "all",
                "all",
                arm.visitors,
                arm.visitors,
                0,
                None,
                arm.value_sum,
                arm.value_sum_squares,
                arm.denominator_sum,
                arm.denominator_sum_squares,
                arm.cross_product_sum,
                arm.covariate_sum,
                arm.covariate_sum_squares,
                arm.covariate_product_sum,
            )
            for experiment, metric, comparison in comparisons
            for place, arm in enumerate(comparison.arms, start=1)
        ]
        metrics = [
            (
                f"{experiment}-{metric}",
                "declared",
                comparison.metric_type,
                comparison.direction,
                comparison.role,
                comparison.margin,
            )
            for experiment, metric, comparison in comparisons
        ]
        experiments = sorted({experiment for experiment, _, _ in comparisons})
        for table, rows in (("metric_summary", summaries), ("dim_metrics", metrics)):
            places = ", ".join("?" for _ in rows[0])
            connection.executemany(f"insert into {table} values ({places})", rows)
        connection.executemany(
            "insert into dim_experiments values (?, ?, ?)",
            [(name, *self.registry.get(name, ("1", None))) for name in experiments],
        )


def welch_degrees(arm: Arm, baseline: Arm) -> float:
    """Degrees of freedom of a difference of two means."""
    variances = [(a.variance / a.visitors, a.visitors) for a in (arm, baseline)]
    total = sum(variance for variance, _ in variances)
    return float(total**2 / sum(variance**2 / (n - 1) for variance, n in variances))


def peer(comparison: Comparison) -> dict[str, float]:
    """What statsmodels says of proportions, and tea-tasting of the rest and of adjusted means."""
    baseline, arm = comparison.arms
    covariate = None if arm.covariate_sum is None else "covariate"
    if comparison.metric_type == "conversion" and covariate is None:
        counts = (arm.value_sum, arm.visitors, baseline.value_sum, baseline.visitors)
        test = proportion.test_proportions_2indep(
            *counts, compare="diff", method="wald", correction=False
        )
        lower, upper = proportion.confint_proportions_2indep(*counts, compare="diff", method="wald")
        ratio_lower, ratio_upper = proportion.confint_proportions_2indep(
            *counts, compare="ratio", method="log"
        )
        return {
            "p_value": float(test.pvalue),
            "difference_ci_lower": float(lower),
            "difference_ci_upper": float(upper),
            "lift_ci_lower": float(ratio_lower) - 1,
            "lift_ci_upper": float(ratio_upper) - 1,
        }
    denominator = "denominator" if comparison.metric_type == "ratio" else None
    metric = tea_tasting.RatioOfMeans("value", denominator, covariate)
    result = metric.analyze_aggregates(baseline.aggregates(), arm.aggregates())
    return {
        "p_value": result.pvalue,
        "difference_ci_lower": result.effect_size_ci_lower,
        "difference_ci_upper": result.effect_size_ci_upper,
        "lift_ci_lower": result.rel_effect_size_ci_lower,
        "lift_ci_upper": result.rel_effect_size_ci_upper,
    }
