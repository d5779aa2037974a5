"""What a reader has chosen to see: kept in the address of the live page."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from report.marts import COUNTED_BY, EVERYONE, METHODS


@dataclass(frozen=True)
class View:
    """A choice of each selector; the static page is drawn with the defaults.

    `metric` None is all of them, with the first in the charts. `segment_name` and `segment_value`
    are `all` for everyone. `method` None is the one that decided.
    """

    metric: str | None = None
    segment_name: str = EVERYONE
    segment_value: str = EVERYONE
    counted_by: str = COUNTED_BY[0]
    method: str | None = None

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> "View":
        """The view that an address asks for; what it cannot ask for is left at its default."""
        view = cls()
        counted_by = query.get("counted_by", view.counted_by)
        method = query.get("method")
        return cls(
            metric=query.get("metric") or None,
            segment_name=query.get("segment_name") or EVERYONE,
            segment_value=query.get("segment_value", EVERYONE),
            counted_by=counted_by if counted_by in COUNTED_BY else view.counted_by,
            method=method if method in METHODS else None,
        )

    def to_query(self) -> dict[str, str]:
        """The address's parameters: those that differ from the defaults."""
        default = asdict(View())
        return {name: value for name, value in asdict(self).items() if value != default[name]}
