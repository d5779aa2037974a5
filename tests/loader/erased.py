"""What must be left after visitors were forgotten."""

from pathlib import Path
from typing import Any

from loader.verify import verify
from tests.loader.exports import BOTH_TYPES, EVERYTHING, expected
from tests.models.histories import State


def visitors_of(state: State) -> list[str]:
    """All visitors of an export."""
    found = {row["visitor_id"] for files in state.values() for _, rows in files for row in rows}
    return sorted(visitor for visitor in found if visitor)


def without(state: State, visitors: set[str]) -> Any:
    """The staging tables' rows without those of some visitors; numbers of the others stay."""
    rows = expected(state)
    return {
        table: {text: n for text, n in counts.items() if not any(_is_of(text, v) for v in visitors)}
        for table, counts in rows.items()
    }


def _is_of(text: str, visitor: str) -> bool:
    return f"('visitor_id', {visitor!r})" in text


def differences(warehouse: Path) -> list[str]:
    """What `verify` says of a warehouse alone."""
    found = verify(warehouse, list(BOTH_TYPES), EVERYTHING, None)
    return [difference.message for difference in found.differences]
