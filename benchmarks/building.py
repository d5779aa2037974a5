"""Measures landing, building and building again: `python -m benchmarks.building --help`.

The marts are compared with what a script by hand computes (`by_hand.sql`). A slow machine is no
error; another number is.
"""

import argparse
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from benchmarks.exports import write_demo
from benchmarks.later_builds import CHANGES, later_builds, longer_history, storage_growth
from benchmarks.many_experiments import many_experiments
from benchmarks.pulls import beside_bare_insert
from benchmarks.setting import DbtCosts, Setting, exponent
from benchmarks.tables import Section, add_options, report
from benchmarks.warehouse import Warehouse
from benchmarks.whole_builds import full_builds, report_pages

COMPARISONS = ("landing", "tests", *CHANGES, "report", "experiments", "storage", "long")
"""What can be left out; the build beside the script is not: the others stand on it."""

AT_THE_SMALLEST_SIZE = ("tests", "experiments", "storage", "long")
GROWTH_TARGET = 1.1


def main() -> None:
    """Runs the benchmark that the command line asks for."""
    report(_parse(), run, "building", ("duckdb", "dbt-core", "dbt-duckdb"))


def run(arguments: argparse.Namespace, scratch: Path) -> Iterator[Section]:
    """One size after the other, in a folder that may be filled."""
    warehouse = Warehouse(scratch, arguments.memory)
    sizes = sorted(map(int, arguments.events.split(",")))
    found: list[tuple[int, DbtCosts]] = []
    for events in sizes:
        wanted = set(arguments.only)
        if events != sizes[0]:
            wanted -= set(AT_THE_SMALLEST_SIZE)
        setting = _setting(arguments, warehouse, scratch / str(events), events, arguments.days)
        if "landing" in wanted:
            title = f"Landing {setting.title}"
            yield beside_bare_insert(title, setting.sample, setting.folder, setting.repetitions)
        section, costs = full_builds(setting, tested="tests" in wanted)
        found.append((setting.sample.rows, costs))
        yield section
        yield from _others(arguments, setting, costs, wanted)
        shutil.rmtree(setting.folder)
    if len(found) > 1:
        yield _growth(found)


def _others(
    arguments: argparse.Namespace, setting: Setting, costs: DbtCosts, wanted: set[str]
) -> Iterator[Section]:
    if wanted & CHANGES.keys():
        yield later_builds(setting, costs, wanted)
    if "report" in wanted:
        yield report_pages(setting)
    if "experiments" in wanted:
        yield many_experiments(setting, costs)
    if "storage" in wanted:
        yield storage_growth(setting, arguments.rewrites)
    if "long" in wanted:
        events = setting.sample.rows * arguments.long_days // arguments.days
        folder = setting.folder / "long"
        long = _setting(arguments, setting.warehouse, folder, events, arguments.long_days)
        yield longer_history(setting, long, costs)


def _setting(
    arguments: argparse.Namespace, warehouse: Warehouse, folder: Path, events: int, days: int
) -> Setting:
    sample = write_demo(folder / "export", events=events, days=days)
    return Setting(sample, days, warehouse, folder, arguments.memory, arguments.repetitions)


def _growth(found: list[tuple[int, DbtCosts]]) -> Section:
    """From each size to the next one: how the costs of a build grow."""
    notes = []
    for (fewer, small), (more, large) in pairwise(found):
        power = exponent(
            (
                small.beyond_start_up(small.full_build).cpu_seconds,
                large.beyond_start_up(large.full_build).cpu_seconds,
            ),
            (fewer, more),
        )
        notes.append(
            f"From {fewer:,} events to {more:,} the CPU seconds of all models grow as "
            f"events^{power:.2f} (target: ≤ {GROWTH_TARGET})."
        )
    return Section("More events", [], notes)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    names = f"of {', '.join(COMPARISONS)}; with commas between; by default all"
    parser.add_argument("--events", default="1000000,16000000", help="sizes, with commas between")
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--long-days", type=int, default=120, help="with as many events a day")
    parser.add_argument("--rewrites", type=int, default=30, help="of one day, for the storage")
    parser.add_argument("--memory", default="3000MB", help="of DuckDB, everywhere but in pulls")
    parser.add_argument("--only", type=_comparisons, default=set(COMPARISONS), help=names)
    add_options(parser)
    return parser.parse_args()


def _comparisons(text: str) -> set[str]:
    wanted = set(text.split(","))
    if not wanted <= set(COMPARISONS):
        raise argparse.ArgumentTypeError(f"not among {', '.join(COMPARISONS)}")
    return wanted


if __name__ == "__main__":
    main()
