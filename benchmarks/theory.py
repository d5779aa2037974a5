"""What theory says of tests that are looked at once, or after every day."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

WALKS = 200_000


@dataclass(frozen=True)
class Walks:
    """Standardised differences of experiments without an effect, at the end of each day.

    Sums of equally many new visitors each day, whose observations are final: a random walk.
    """

    standardised: npt.NDArray[np.float64]
    """By walk and day."""

    @classmethod
    def of(cls, days: int) -> "Walks":
        """Always the same ones."""
        steps = np.random.default_rng(1).standard_normal((WALKS, days))
        return cls(np.cumsum(steps, axis=1) / np.sqrt(np.arange(1, days + 1)))

    def share_beyond(self, limits: Sequence[float], shift: float = 0.0) -> float:
        """The share of walks that are beyond the day's limit on any day, on either side.

        Args:
            limits: One for each day.
            shift: Standardised difference that an effect adds at the end.
        """
        days = self.standardised.shape[1]
        shifts = shift * np.sqrt(np.arange(1, days + 1) / days)
        return float(np.mean(np.any(np.abs(self.standardised + shifts) >= limits, axis=1)))


def quantile(error: float) -> float:
    """The standardised difference whose two-sided p-value is `error`."""
    return float(stats.norm.isf(error / 2))


def power(shift: float, error: float) -> float:
    """Probability of a significant difference of the right sign."""
    return float(stats.norm.sf(quantile(error) - shift))


def standardised(rate: float, other_rate: float, visitors: float) -> float:
    """Difference of two rates of so many visitors each, in standard errors."""
    variance = (rate * (1 - rate) + other_rate * (1 - other_rate)) / visitors
    return (other_rate - rate) / math.sqrt(variance)


def mixture_limit(information: float, error: float) -> float:
    """The standardised difference where the mixture likelihood ratio is 1 / `error`."""
    logarithm = math.log(1 + information) + 2 * math.log(1 / error)
    return math.sqrt((1 + information) / information * logarithm)


def binomial_band(share: float, number: int, missed: float) -> tuple[float, float]:
    """Least and largest share among `number` that chance allows, but for `missed` of the cases."""
    lower, upper = stats.binom.ppf([missed / 2, 1 - missed / 2], number, share) / number
    return float(lower), float(upper)


def mean_square_band(number: int, missed: float) -> tuple[float, float]:
    """Least and largest mean of so many squares of standard normal numbers, likewise."""
    lower, upper = stats.chi2.ppf([missed / 2, 1 - missed / 2], number) / number
    return float(lower), float(upper)
