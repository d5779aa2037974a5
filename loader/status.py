"""What is landed, what is missing, what is not ready."""

from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from pathlib import Path

from loader.export.layout import Export, Unit
from loader.plan import Window, known_days, plan_whole


class DayState(StrEnum):
    """What can be said of one day of one type."""

    LANDED = "landed"
    IN_PART = "landed in part"
    TO_LAND = "to land"
    CHANGED = "changed at the source"
    QUARANTINED = "quarantined"
    NOT_READY = "not ready"
    PRUNED = "pruned"
    MISSING = "missing"


@dataclass(frozen=True)
class DayStatus:
    """One day of one type; counts are of what is landed, None where nothing is."""

    export_type: str
    export_date: date
    state: DayState
    row_count: int | None = None
    file_count: int | None = None
    byte_count: int | None = None


def read_status(
    warehouse: Path, export_types: list[str], window: Window, export: Export | None
) -> list[DayStatus]:
    """The state of every day from the first known one to the last, by type and date.

    Args:
        warehouse: The DuckDB file; it need not exist.
        export_types: Types to look at.
        window: Days to look at.
        export: The source; without one, only the ledger speaks.
    """
    known = known_days(warehouse)
    landed = {
        unit: day
        for unit, day in known.landed.items()
        if unit[0] in export_types and unit[1] in window
    }
    states = {
        unit: DayState.LANDED if day.is_complete else DayState.IN_PART
        for unit, day in landed.items()
    }
    if export is not None:
        plan = plan_whole(export, warehouse, export_types, window)
        for planned in plan.to_land:
            if planned.day.unit in known.pruned:
                state = DayState.PRUNED
            elif planned.day.suspects:
                state = DayState.QUARANTINED
            elif planned.reason == "changed":
                state = DayState.CHANGED
            else:
                state = DayState.TO_LAND
            states[planned.day.unit] = state
        for unready in plan.not_ready:
            states.setdefault(unready.unit, DayState.NOT_READY)
    days = []
    for export_type in export_types:
        for export_date in _whole_range(states):
            unit = (export_type, export_date)
            state = states.get(unit, DayState.PRUNED if unit in known.pruned else DayState.MISSING)
            if day := landed.get(unit):
                counts = (day.row_count, day.file_count, day.byte_count)
                days.append(DayStatus(*unit, state, *counts))
            else:
                days.append(DayStatus(*unit, state))
    return days


def _whole_range(states: dict[Unit, DayState]) -> list[date]:
    """Every date from the first to the last of any type: a type that lags shows as missing."""
    if not states:
        return []
    dates = [day for _, day in states]
    first, last = min(dates), max(dates)
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]
