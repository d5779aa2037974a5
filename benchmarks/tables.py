"""Tables of what was measured: printed, written as JSON, and kept in README.md."""

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.measure import BrokenBenchmark, Measured

README = Path(__file__).with_name("README.md")


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    job: str
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    ratio: float | None = None
    """Of the seconds to the baseline's."""
    cpu_ratio: float | None = None
    target: str = ""


@dataclass(frozen=True)
class Section:
    """One comparison."""

    title: str
    rows: list[Row]
    notes: list[str] = field(default_factory=list)
    """What is no time: sentences below the table."""


Run = Callable[[argparse.Namespace, Path], Iterator[Section]]
"""Measures one comparison after the other, in a folder that may be filled."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that every benchmark has."""
    parser.add_argument("--repetitions", type=int, default=3, help="of which the median is taken")
    add_folder(parser)
    parser.add_argument("--json", type=Path, help="write the numbers here too")
    parser.add_argument("--write", action="store_true", help="write them into README.md too")


def add_folder(parser: argparse.ArgumentParser) -> None:
    """The option that names a folder for what is written on the way; it is made where it is not."""

    def made(text: str) -> Path:
        folder = Path(text).absolute()  # jobs may begin elsewhere
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise argparse.ArgumentTypeError(f"{text}: {error.strerror}") from error
        return folder

    parser.add_argument("--folder", type=made, help="where some GB may be written for a while")


def report(arguments: argparse.Namespace, run: Run, name: str, packages: Sequence[str]) -> None:
    """Runs a benchmark and prints its tables.

    Args:
        arguments: Those of `add_options`, among others.
        run: The benchmark.
        name: Its markers in README.md.
        packages: Whose versions matter.
    """
    machine = describe_machine(packages)
    texts = [machine_text(machine)]
    print(texts[0], flush=True)
    sections = []
    with tempfile.TemporaryDirectory(dir=arguments.folder) as scratch:
        try:
            for section in run(arguments, Path(scratch)):
                sections.append(section)
                texts.append(to_markdown(section))
                print(f"\n{texts[-1]}", flush=True)
        except BrokenBenchmark as error:
            sys.exit(f"the benchmark is broken: {error}")
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        found = {"machine": machine, "sections": [asdict(section) for section in sections]}
        arguments.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    if arguments.write:
        write_between_markers(README, name, "\n\n".join(texts))


def row(
    name: str,
    measured: Measured,
    baseline: Measured | None = None,
    target: str = "",
    compared: Measured | None = None,
) -> Row:
    """A line of the table, beside a baseline where there is one.

    Args:
        name: What was done.
        measured: What it cost.
        baseline: What it is compared with.
        target: What the ratio should be.
        compared: The part of the costs that is compared; by default all of them.
    """
    ours = compared or measured
    return Row(
        job=name,
        seconds=measured.seconds,
        cpu_seconds=measured.cpu_seconds,
        peak_bytes=measured.peak_bytes,
        ratio=ours.seconds / baseline.seconds if baseline else None,
        cpu_ratio=ours.cpu_seconds / baseline.cpu_seconds if baseline else None,
        target=target,
    )


def describe_machine(packages: Sequence[str]) -> dict[str, Any]:
    """What the numbers depend on; nothing that names the machine."""
    return {
        "cores": len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": {"python": platform.python_version()} | {n: version(n) for n in packages},
    }


def machine_text(machine: dict[str, Any]) -> str:
    """The same in words."""
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    return (
        f"{machine['cores']} cores, {machine['memory_gb']} GB of memory, {machine['system']}; "
        f"{versions}."
    )


def to_markdown(section: Section) -> str:
    """One table, with its title."""
    lines = [f"### {section.title}", ""]
    if section.rows:
        lines += [
            "| | seconds | CPU seconds | peak memory, MB | seconds : baseline | CPU : baseline "
            "| target |",
            "|---|---:|---:|---:|---:|---:|---|",
        ]
    for line in section.rows:
        cells = [
            line.job,
            f"{line.seconds:.2f}",
            f"{line.cpu_seconds:.2f}",
            f"{line.peak_bytes / 1e6:,.0f}",
            "" if line.ratio is None else f"{line.ratio:.2f}",
            "" if line.cpu_ratio is None else f"{line.cpu_ratio:.2f}",
            line.target,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    if section.rows and section.notes:
        lines.append("")
    lines += [f"- {note}" for note in section.notes]
    return "\n".join(lines)


def markers(name: str) -> tuple[str, str]:
    """What stands before and after the tables of a benchmark in README.md."""
    return f"<!-- {name}: begin -->", f"<!-- {name}: end -->"


def write_between_markers(path: Path, name: str, text: str) -> None:
    """Replaces what stands between the markers."""
    begin, end = markers(name)
    before, _, rest = path.read_text(encoding="utf-8").partition(begin)
    _, _, after = rest.partition(end)
    path.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")
