"""Measures `make test` on a fresh clone: `python -m benchmarks.suite --help`.

Before and after it the script by hand and dbt's start-up, which say how fast the machine was.
"""

import argparse
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

from benchmarks.exports import write_demo
from benchmarks.measure import BrokenBenchmark, Job, Measured, measure_in_turn
from benchmarks.setting import Setting
from benchmarks.tables import Section, add_options, report, row
from benchmarks.warehouse import ROOT, Warehouse
from benchmarks.whole_builds import baselines

DAYS = 30
MEMORY = "3000MB"
TARGET_MINUTES = 15
RESULTS = "results.xml"


def main() -> None:
    """Runs the benchmark that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000, help="of what it stands beside")
    add_options(parser)
    parser.set_defaults(repetitions=1)
    report(parser.parse_args(), run, "suite", ("duckdb", "dbt-core", "pytest"))


def run(arguments: argparse.Namespace, scratch: Path) -> Iterator[Section]:
    """The tests of what is committed, in a folder that may be filled."""
    sample = write_demo(scratch / "export", events=arguments.events, days=DAYS)
    warehouse = Warehouse(scratch, MEMORY)
    setting = Setting(sample, DAYS, warehouse, scratch, MEMORY, arguments.repetitions)
    yield beside(baselines(setting), ROOT, scratch / "clone", setting.repetitions)


def beside(around: Sequence[Job], project: Path, folder: Path, repetitions: int) -> Section:
    """The tests of a project between two runs of each of some jobs.

    Args:
        around: The jobs; to the first the tests are compared.
        project: What is committed there is tested.
        folder: Is made, and made anew.
        repetitions: Of all.
    """
    tests = _tests_job(project, folder)
    measured = measure_in_turn([*around, tests, *around], repetitions)
    ours = measured[tests.name]
    target = f"≤ {TARGET_MINUTES} minutes; here {ours.seconds / 60:.1f}"
    rows = [row(job.name, measured[job.name]) for job in around]
    rows.append(row(tests.name, ours, measured[around[0].name], target))
    return Section("The tests of a fresh clone", rows, _notes(_results(folder)))


def _tests_job(project: Path, folder: Path) -> Job:
    """The job of testing; `folder` is left with the clone and the results."""
    clone, shared = folder / "project", project.parent / "shared"

    def prepare() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        if shared.is_dir():  # tests read a sample there
            (folder / "shared").symlink_to(shared)
        subprocess.run(["git", "clone", "--quiet", project, clone], check=True)

    def check(_: Measured) -> None:
        if not list(_results(folder).iter("testcase")):
            raise BrokenBenchmark("no test was run")

    return Job(
        "`make test`, with installing",
        [
            *("/usr/bin/env", "make", "--directory", str(clone), "test"),
            f"PYTHON={Path(sys.executable).resolve()}",  # of which this environment was made
            f"PYTEST=--junitxml={folder / RESULTS}",
        ],
        prepare=prepare,
        check=check,
        # Flags of the make that runs the benchmark are not for this one.
        environment={"MAKEFLAGS": "", "PIP_NO_CACHE_DIR": "1"},
    )


def _results(folder: Path) -> ElementTree.Element:
    [suite] = ElementTree.parse(folder / RESULTS).getroot()
    return suite


def _notes(results: ElementTree.Element) -> list[str]:
    """How many tests there are, and which share of their seconds each folder of tests has."""
    seconds: dict[str, float] = defaultdict(float)
    for case in results.iter("testcase"):
        folder = case.attrib["classname"].split(".")[1]
        seconds[folder] += float(case.attrib["time"])
    total = sum(seconds.values())
    large = sorted((part / total, name) for name, part in seconds.items() if part >= total / 100)
    shares = ", ".join(f"{name} {share:.0%}" for share, name in reversed(large))
    tests, skipped = int(results.attrib["tests"]), int(results.attrib["skipped"])
    minutes = float(results.attrib["time"]) / 60
    return [
        f"{tests - skipped:,} tests passed and {skipped} were skipped, in {minutes:.1f} minutes "
        "after installing.",
        f"Of the seconds of all tests: {shares}.",
    ]


if __name__ == "__main__":
    main()
