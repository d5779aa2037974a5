"""Builds after the first one, beside it; after few days and many; and what rewritten days leave."""

from benchmarks.by_hand import check_by_hand
from benchmarks.changes import (
    Change,
    no_news,
    one_more_day,
    one_more_metric,
    only,
    rewrite,
    rewritten_date,
    rewritten_day,
)
from benchmarks.measure import Measured, measure_in_turn
from benchmarks.setting import DbtCosts, Setting
from benchmarks.tables import Row, Section, row
from benchmarks.whole_builds import BUILT, by_hand_file

CHANGES = {
    "day": one_more_day,
    "rewrite": rewritten_day,
    "nothing": no_news,
    "metric": one_more_metric,
}
DAY_TARGET = 0.15
NO_NEWS_TARGET_SECONDS = 10
LONG_TARGET = 1.5
GROWTH_TARGET = 1.3
BUILDS = 3
"""In so many builds the rewritten days are built: a build costs far more than a pull."""


def later_builds(setting: Setting, costs: DbtCosts, wanted: set[str]) -> Section:
    """What a build costs after each kind of change, beside the build of everything."""
    changes = {name: make(setting) for name, make in CHANGES.items() if name in wanted}
    rows = []
    for name, change in changes.items():
        measured = _measure(change, setting.repetitions)
        rows += _rows(name, change, measured, costs)
    return Section(
        f"Building again: {setting.title}, beside all models",
        rows,
        [_rewritten_text(changes["nothing"])] if "nothing" in changes else [],
    )


def longer_history(short: Setting, long: Setting, costs: DbtCosts) -> Section:
    """One more day after few days and after many, each with as many events."""
    rows = []
    baseline = None
    for setting in (short, long):
        change = one_more_day(setting)
        measured = _measure(change, setting.repetitions)[change.build.name]
        name = f"{change.build.name}, the last of {setting.days}"
        rows.append(costs.row(name, measured, baseline, f"≤ {LONG_TARGET}" if baseline else ""))
        baseline = measured
    return Section("One more day of a longer history, with as many events a day", rows)


def storage_growth(setting: Setting, rewrites: int) -> Section:
    """How much the file grows when one day is exported again and again."""
    warehouse = setting.warehouse
    warehouse.restore(BUILT)
    before = warehouse.path.stat().st_size
    grown = []
    for number in range(1, rewrites + 1):
        rewrite(setting)
        warehouse.pull(setting.sample.folder, *only(rewritten_date(setting)))
        if number % max(1, rewrites // BUILDS) == 0:
            warehouse.dbt("run")
            grown.append(f"{warehouse.path.stat().st_size / before:.2f}")
    check_by_hand(warehouse.path, by_hand_file(setting))
    return Section(
        "Storage after rewritten days",
        [],
        [
            f"One day of {setting.days} was exported and landed {rewrites} times, with "
            f"{len(grown)} builds: after each the file has {', '.join(grown)} times its size "
            f"(target: ≤ {GROWTH_TARGET})."
        ],
    )


def _measure(change: Change, repetitions: int) -> dict[str, Measured]:
    jobs = [change.pull, change.build] if change.pull else [change.build]
    return measure_in_turn(jobs, repetitions)


def _rows(name: str, change: Change, measured: dict[str, Measured], costs: DbtCosts) -> list[Row]:
    build = measured[change.build.name]
    target = ""
    if name == "day":
        target = f"≤ {DAY_TARGET}"
    if name == "nothing":
        seconds = costs.beyond_start_up(build).seconds
        target = f"≤ {NO_NEWS_TARGET_SECONDS} s beyond the start-up; here {seconds:.1f}"
    pulls = [row(change.pull.name, measured[change.pull.name])] if change.pull else []
    return [*pulls, costs.row(change.build.name, build, costs.full_build, target)]


def _rewritten_text(change: Change) -> str:
    tables = change.rewritten_tables
    if not tables:
        return "Without news no table was written (target)."
    return (
        f"Without news {len(tables)} tables were written again (target: none): "
        f"{', '.join(f'`{table}`' for table in tables)}."
    )
