"""What comparisons of builds share: an export, a warehouse, and what dbt costs."""

import math
from dataclasses import dataclass
from pathlib import Path

from benchmarks.exports import Sample
from benchmarks.measure import Measured
from benchmarks.tables import Row, row
from benchmarks.warehouse import Warehouse


@dataclass(frozen=True)
class Setting:
    """An export of so many days, and the warehouse that it is landed and built in."""

    sample: Sample
    days: int
    warehouse: Warehouse
    folder: Path
    """Where more may be written."""
    memory: str
    """Of DuckDB."""
    repetitions: int

    @property
    def title(self) -> str:
        """How much it is."""
        return f"{self.sample.rows:,} events of {self.days} days"

    @property
    def dates(self) -> list[str]:
        """The days that have data."""
        parts = self.sample.folder.glob("type=*/date=*/*/*.parquet")
        return sorted({part.parents[1].name.removeprefix("date=") for part in parts})


@dataclass(frozen=True)
class DbtCosts:
    """What a build of everything costs, and how much of it is dbt itself."""

    start_up: Measured
    full_build: Measured

    def beyond_start_up(self, measured: Measured) -> Measured:
        """What is left of a command of dbt."""
        return Measured(
            seconds=max(measured.seconds - self.start_up.seconds, 0.01),
            cpu_seconds=max(measured.cpu_seconds - self.start_up.cpu_seconds, 0.01),
            peak_bytes=measured.peak_bytes,
            stdout=measured.stdout,
        )

    def row(
        self, name: str, measured: Measured, baseline: Measured | None = None, target: str = ""
    ) -> Row:
        """A line of the table: whole costs, and the ratio of what is beyond the start-up.

        Args:
            name: What was done.
            measured: What it cost.
            baseline: What it is compared with, a command of dbt as well.
            target: What the ratio should be.
        """
        theirs = self.beyond_start_up(baseline) if baseline else None
        return row(name, measured, theirs, target, compared=self.beyond_start_up(measured))


def exponent(costs: tuple[float, float], sizes: tuple[int, int]) -> float:
    """The power of the size that a cost grows with."""
    return math.log(costs[1] / costs[0]) / math.log(sizes[1] / sizes[0])
