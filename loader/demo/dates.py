"""The demo's dates: both eras, one empty day, one missing day."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property

import numpy as np
import numpy.typing as npt

DAY = 86_400_000
"""One day in milliseconds."""

ERA_CHANGE = date(2023, 10, 9)
"""From this day on the vendor fills neither `session_id` nor `experiments`."""

DAYS_WITH_GAPS = 7
"""A demo of at least so many days has an empty and a missing day."""


@dataclass(frozen=True)
class Dates:
    """The days of one export; a day is named by its place, from 0."""

    days: int

    @property
    def first_date(self) -> date:
        """Chosen so that the era changes in the middle."""
        return ERA_CHANGE - timedelta(days=self.era_change)

    @property
    def last_date(self) -> date:
        """The last day that has a folder."""
        return self.date_of(self.days - 1)

    @property
    def era_change(self) -> int:
        """Place of the first day of the new era."""
        return self.days // 2

    @property
    def missing_day(self) -> int | None:
        """The day without a folder."""
        return 2 if self.days >= DAYS_WITH_GAPS else None

    @property
    def empty_day(self) -> int | None:
        """The day with a folder and no data."""
        return self.era_change + 1 if self.days >= DAYS_WITH_GAPS else None

    @cached_property
    def start(self) -> int:
        """Start of the first day in epoch milliseconds."""
        midnight = datetime.combine(self.first_date, datetime.min.time(), tzinfo=UTC)
        return int(midnight.timestamp()) * 1000

    @property
    def end(self) -> int:
        """End of the last day, exclusive, in epoch milliseconds."""
        return self.start + self.days * DAY

    @cached_property
    def days_until_open(self) -> npt.NDArray[np.int64]:
        """By day: how many days what is received on it waits until a day that holds data."""
        waits = np.zeros(self.days, dtype=np.int64)
        for day in range(self.days - 1, -1, -1):
            if not self.is_open(day):
                waits[day] = waits[day + 1] + 1
        return waits

    def is_open(self, day: int) -> bool:
        """Whether the day may hold data."""
        return day not in (self.missing_day, self.empty_day)

    def date_of(self, day: int) -> date:
        """The calendar day of a place."""
        return self.first_date + timedelta(days=day)

    def day_of(self, moments: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Places of the days of epoch milliseconds."""
        return (moments - self.start) // DAY
