"""Compares the source with the ledger: what a pull has to do."""

from collections.abc import Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

from loader import ledger
from loader.export.layout import Export, ExportFile, ListedDay, Unit
from loader.export.selection import EVERYTHING, Selection, name_of
from loader.landing.warehouse import open_warehouse
from loader.timespan import today_utc

OVERLAP = timedelta(days=3)
"""Without --since a pull starts this long before the newest landed day: days get rewritten."""

KEPT = timedelta(days=350)
"""Of an older day the vendor deletes files at any time: it keeps each for a year."""

LISTINGS_AT_ONCE = 8


@dataclass(frozen=True)
class Window:
    """The days asked for, both ends included; None means no limit."""

    since: date | None = None
    until: date | None = None

    def __contains__(self, day: date) -> bool:
        return (self.since is None or day >= self.since) and (
            self.until is None or day <= self.until
        )


@dataclass(frozen=True)
class PlannedDay:
    """A day that is to be landed, and why: `new`, `changed`, `widened` or `forced`."""

    day: ListedDay
    reason: str


@dataclass
class Plan:
    """What a pull would do."""

    to_land: list[PlannedDay] = field(default_factory=list)
    to_adopt: list[tuple[ledger.LandedDay, ListedDay]] = field(default_factory=list)
    unchanged: list[ListedDay] = field(default_factory=list)
    expired: list[ListedDay] = field(default_factory=list)
    """Those of the unchanged of which the vendor has deleted files, for they were a year old."""
    not_ready: list[ListedDay] = field(default_factory=list)
    absent: list[Unit] = field(default_factory=list)
    """The last day of the window, of each type that has no folder for it yet."""
    unknown_names: list[tuple[str, str]] = field(default_factory=list)
    """Type and name of what is asked for, where no listed day has it and none was ever landed."""


class KnownDays(NamedTuple):
    """All that a ledger says of days, read at once: to open the file takes longer than to read."""

    landed: dict[Unit, ledger.LandedDay]
    pruned: set[Unit]
    quarantined: dict[Unit, set[ExportFile]]
    """The bad files that were met."""


def known_days(warehouse: Path) -> KnownDays:
    """What is known of days; nothing where the warehouse does not exist yet."""
    if not warehouse.exists():
        return KnownDays({}, set(), {})
    with open_warehouse(warehouse, read_only=True) as connection:
        return KnownDays(
            ledger.landed_days(connection),
            ledger.pruned_units(connection),
            ledger.quarantined_files(connection),
        )


def plan_pull(
    export: Export,
    warehouse: Path,
    export_types: list[str],
    window: Window,
    *,
    selection: Selection = EVERYTHING,
    widens: bool = True,
    force: bool = False,
) -> Plan:
    """Lists the source and compares it with the ledger; changes nothing.

    Args:
        export: The source.
        warehouse: The DuckDB file; it need not exist.
        export_types: Types to look at.
        window: Days to look at. Without `since`, from three days before each type's newest landed
            day, and without the pruned ones.
        selection: Experiments and events to look at. What is landed of a day never shrinks by it:
            a day landed whole stays whole, and one landed in part is widened.
        widens: Whether a day landed in part is to get what is asked for of the rest too; otherwise
            only what is landed of it is compared.
        force: Land every ready day again, changed or not.
    """
    landed, pruned, quarantined = known_days(warehouse)
    plan = Plan()
    units = _units(export, export_types, window, landed.keys(), pruned, plan)
    moved: list[tuple[ledger.LandedDay, ListedDay]] = []
    met: set[tuple[str, str | None]] = set()

    # Of days of which files may have expired, those that are there: listed once, for all purposes.
    present: dict[Unit, set[ExportFile]] = {}

    def look(unit: Unit) -> ListedDay:
        known = landed.get(unit)
        asked = selection if widens or known is None else known.selection
        wanted = _selection_of(unit, known, asked)
        day = export.day(*unit, wanted)
        if not selection.is_everything(day.export_type):
            met.update((day.export_type, name_of(day.export_type, file.key)) for file in day.files)
        may_expire = export.deletes_old_files and today_utc() - day.export_date >= KEPT
        if may_expire and known is not None and known.fingerprint != day.fingerprint:
            present[unit] = set(day.files)
        return day.listed(quarantined.get(unit, ()))

    with ThreadPoolExecutor(LISTINGS_AT_ONCE) as listings:
        for day in listings.map(look, units):
            known = landed.get(day.unit)
            if not day.is_ready:
                plan.not_ready.append(day)
            elif known is None:
                plan.to_land.append(PlannedDay(day, "new"))
            elif force:
                plan.to_land.append(PlannedDay(day, "forced"))
            elif known.names != day.selection.names(day.export_type):
                plan.to_land.append(PlannedDay(day, "widened"))
            elif known.source != export.identity:
                moved.append((known, day))
            elif known.fingerprint == day.fingerprint:
                plan.unchanged.append(day)
            elif day.unit in present and _landed_files(warehouse, day.unit) > present[day.unit]:
                plan.unchanged.append(day)
                plan.expired.append(day)
            else:
                plan.to_land.append(PlannedDay(day, "changed"))
    if moved:
        _plan_moved(plan, moved, warehouse)
    asked_for = {(name, one) for name in export_types for one in selection.names(name)}
    if units and (unmet := asked_for.difference(met)):
        plan.unknown_names = sorted(unmet.difference(_landed_names(warehouse)))
    return plan


def plan_whole(export: Export, warehouse: Path, export_types: list[str], window: Window) -> Plan:
    """As `plan_pull`, of every day of the window, where only what is landed of a day is compared.

    Only a pull limits itself to the newest days.
    """
    whole = Window(window.since or date.min, window.until)
    return plan_pull(export, warehouse, export_types, whole, widens=False)


def _landed_names(warehouse: Path) -> set[tuple[str, str | None]]:
    """Type and name of every experiment and event that the landed files are of."""
    if not warehouse.exists():
        return set()
    with open_warehouse(warehouse, read_only=True) as connection:
        keys = ledger.landed_keys(connection)
    return {(export_type, name_of(export_type, key)) for export_type, key in keys}


def _selection_of(unit: Unit, known: ledger.LandedDay | None, asked: Selection) -> Selection:
    """What has to be listed of a day: what is asked for, and what is landed of it already."""
    export_type, _ = unit
    names = asked.names(export_type)
    if known is not None and names:
        names = names | known.names if known.names else frozenset()
    return Selection.of(export_type, names)


def _landed_files(warehouse: Path, unit: Unit) -> set[ExportFile]:
    with open_warehouse(warehouse, read_only=True) as connection:
        return ledger.landed_files(connection, unit)


def _plan_moved(
    plan: Plan, moved: list[tuple[ledger.LandedDay, ListedDay]], warehouse: Path
) -> None:
    """Days landed from another store: ETags cannot be compared, so key and size decide."""
    with open_warehouse(warehouse, read_only=True) as connection:
        for known, day in moved:
            if ledger.landed_contents(connection, known.unit) == day.contents:
                plan.to_adopt.append((known, day))
            else:
                plan.to_land.append(PlannedDay(day, "changed"))
    plan.to_land.sort(key=lambda planned: (planned.day.export_date, planned.day.export_type))


def _units(
    export: Export,
    export_types: list[str],
    window: Window,
    landed: Set[Unit],
    pruned: set[Unit],
    plan: Plan,
) -> list[Unit]:
    """Every day of the window at the source, oldest first; absent ones go to the plan."""
    units = []
    for export_type in export_types:
        asked_for = _default_since(export_type, window, landed | pruned)
        dates = [day for day in export.dates(export_type) if day in asked_for]
        units += [(export_type, day) for day in dates]
        if window.until is not None and window.until not in dates:
            plan.absent.append((export_type, window.until))
    if window.since is None:
        units = [unit for unit in units if unit not in pruned]
    return sorted(units, key=lambda unit: (unit[1], unit[0]))


def _default_since(export_type: str, window: Window, landed: Set[Unit]) -> Window:
    """The window with its default start: some days before the newest landed one of this type."""
    dates = [landed_date for landed_type, landed_date in landed if landed_type == export_type]
    if window.since is not None or not dates:
        return window
    newest = min(max(dates), today_utc())  # a day of the future must not hide those before it
    # A folder may be of the calendar's first days.
    return Window(newest - min(OVERLAP, newest - date.min), window.until)
