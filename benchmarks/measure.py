"""Runs jobs as processes of their own, and measures each alone."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

LAUNCHER = Path(__file__).with_name("launch.py")
MESSAGE_LENGTH = 10_000
"""Of what a job that failed has said, the end; dbt says it on standard output."""


class BrokenBenchmark(Exception):
    """A job failed or did something else than it was meant to do."""


@dataclass(frozen=True)
class Measured:
    """One run of one job: its process and the processes it waited for."""

    seconds: float
    cpu_seconds: float
    """User and system time."""
    peak_bytes: int
    """Largest resident set."""
    stdout: str


@dataclass(frozen=True)
class Job:
    """A command, what is done before each run of it, and what must be true after it."""

    name: str
    command: list[str]
    prepare: Callable[[], None] = lambda: None
    check: Callable[[Measured], None] = lambda _: None
    """By default nothing more than that the command did not fail."""
    environment: dict[str, str] = field(default_factory=dict)


def python(module: str, *arguments: str | Path) -> list[str]:
    """The command that runs a module of this project."""
    return [sys.executable, "-m", module, *map(str, arguments)]


def dbt_command(*arguments: str, project: Path, profiles: Path, work: Path) -> list[str]:
    """The command that runs dbt.

    Args:
        arguments: What it is to do.
        project: Folder of the project.
        profiles: Folder of `profiles.yml`.
        work: Folder for what dbt keeps.
    """
    dbt = Path(sys.executable).with_name("dbt")
    return [
        *(sys.executable, str(dbt), "--quiet", *arguments),
        *("--project-dir", str(project), "--profiles-dir", str(profiles)),
        *("--target-path", str(work), "--log-path", str(work), "--log-level-file", "none"),
    ]


def measure(job: Job) -> Measured:
    """Runs a job once.

    Raises:
        BrokenBenchmark: It failed, or left something else than it should.
    """
    job.prepare()
    os.sync()  # what the job before left to be written is not this one's cost
    with tempfile.TemporaryDirectory() as folder:
        used = Path(folder) / "used"
        launch = [sys.executable, "-I", "-S", str(LAUNCHER), str(used)]
        done = subprocess.run(
            [*launch, *job.command],
            env=os.environ | job.environment,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
        )
        if done.returncode != 0:
            said = f"{done.stderr}{done.stdout}".strip()[-MESSAGE_LENGTH:]  # tests are told of last
            raise BrokenBenchmark(f"{job.name} ended with {done.returncode}: {said}")
        seconds, cpu_seconds, peak = map(float, used.read_text(encoding="utf-8").split())
    peak_unit = 1 if sys.platform == "darwin" else 1024
    measured = Measured(seconds, cpu_seconds, int(peak) * peak_unit, done.stdout)
    job.check(measured)
    return measured


def measure_in_turn(jobs: list[Job], repetitions: int) -> dict[str, Measured]:
    """Runs the jobs one after the other, again and again; gives each one's medians, by name.

    In turn, so that whatever else the machine does meets all of them.
    """
    runs: dict[str, list[Measured]] = {job.name: [] for job in jobs}
    for _ in range(repetitions):
        for job in jobs:
            runs[job.name].append(measure(job))
    return {name: _medians(measured) for name, measured in runs.items()}


def _medians(runs: list[Measured]) -> Measured:
    return Measured(
        seconds=median(run.seconds for run in runs),
        cpu_seconds=median(run.cpu_seconds for run in runs),
        peak_bytes=max(run.peak_bytes for run in runs),
        stdout=runs[-1].stdout,
    )
