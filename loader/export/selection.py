"""Which experiments and events of an export are asked for, by the names of their folders."""

import re
from dataclasses import dataclass

from loader import spec

FOLDER_PREFIXES = {
    spec.DECISIONS.export_type: "experiment=",
    spec.CONVERSIONS.export_type: "event=",
}
"""How the folders below a date begin, by type."""

_ESCAPED = re.compile(r"%([0-9A-Fa-f]{2})")


@dataclass(frozen=True)
class Selection:
    """The experiments and events asked for; an empty set asks for all of them.

    Names are as a user knows them, not as folders spell them: `add/to cart`, not `add%2Fto cart`.
    `NULL` and `__HIVE_DEFAULT_PARTITION__` are names like any other. Experiments narrow decisions
    and events narrow conversions; each leaves the other type whole.
    """

    experiments: frozenset[str] = frozenset()
    events: frozenset[str] = frozenset()

    @classmethod
    def of(cls, export_type: str, names: frozenset[str]) -> "Selection":
        """These names of one type; an empty set is the whole type."""
        if export_type == spec.DECISIONS.export_type:
            return cls(experiments=names)
        return cls(events=names)

    def names(self, export_type: str) -> frozenset[str]:
        """The names asked for of one type; empty where the whole type is."""
        return self.experiments if export_type == spec.DECISIONS.export_type else self.events

    def is_everything(self, export_type: str) -> bool:
        """Whether the whole type is asked for."""
        return not self.names(export_type)

    def includes_folder(self, export_type: str, name: str) -> bool:
        """Whether a folder below a date, such as `event=add%2Fto cart`, is asked for."""
        return self.is_everything(export_type) or _name_of(export_type, name) in self.names(
            export_type
        )

    def includes(self, export_type: str, key: str) -> bool:
        """Whether the file of this key, which begins with `type=`, is asked for.

        A file in no experiment's or event's folder belongs to the whole type only.
        """
        return self.is_everything(export_type) or name_of(export_type, key) in self.names(
            export_type
        )


EVERYTHING = Selection()


def name_of(export_type: str, key: str) -> str | None:
    """The experiment or event that the file of this key is of; None where it is of none."""
    parts = key.split("/")
    return _name_of(export_type, parts[2]) if len(parts) > 3 else None


def unescape(name: str) -> str:
    """The name that Spark wrote as a folder: `%3A` is `:`, and a `%` without two digits itself.

    Not `unquote`: Spark writes what is not ASCII as it is, so each `%XX` is one character.
    """
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), name)


def _name_of(export_type: str, folder: str) -> str | None:
    """The name that a folder below a date is for; None where it is another kind of folder."""
    prefix = FOLDER_PREFIXES[export_type]
    return unescape(folder.removeprefix(prefix)) if folder.startswith(prefix) else None
