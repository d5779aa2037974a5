"""What dbt does in each command although no test asks for it: a fifth of a small build."""

from typing import Any

import jinja2
from dbt.contracts.graph import nodes
from dbt_common.events.base_types import BaseEvent, EventLevel
from dbt_common.events.event_manager import EventManager

_compile = jinja2.Environment.compile
_build_event = BaseEvent.__init__
_fire_event = EventManager.fire_event
_compiled: dict[tuple[Any, ...], Any] = {}


def apply() -> None:
    """Makes dbt lean in this process."""
    jinja2.Environment.compile = _compile_once  # type: ignore[method-assign, assignment]
    BaseEvent.__init__ = _note_event  # type: ignore[method-assign]
    BaseEvent.__getattr__ = _asked_of_event  # type: ignore[method-assign]
    EventManager.fire_event = _fire_heard_event  # type: ignore[method-assign]
    nodes.write_file = _write_nothing  # type: ignore[attr-defined]


def _compile_once(self: jinja2.Environment, source: Any, *arguments: Any) -> Any:
    """The code of a template; a model's is the same in each command."""
    key = (type(self), tuple(self.extensions), source, *arguments)
    if key not in _compiled:
        _compiled[key] = _compile(self, source, *arguments)
    return _compiled[key]


def _note_event(self: BaseEvent, *arguments: Any, **named: Any) -> None:
    """An event is built when somebody asks for its message: nearly all are for the log alone."""
    object.__setattr__(self, "noted", (arguments, named))


def _asked_of_event(self: BaseEvent, name: str) -> Any:
    """What an event does not have itself is its message's."""
    if name == "pb_msg":
        arguments, named = object.__getattribute__(self, "noted")
        _build_event(self, *arguments, **named)
        return object.__getattribute__(self, "pb_msg")
    return getattr(self.pb_msg, name)


def _fire_heard_event(
    self: EventManager, e: BaseEvent, level: EventLevel | None = None, *arguments: Any, **named: Any
) -> None:
    """Tests keep no log, for which alone some two thousand events a build are."""
    if (level or e.level_tag()) is not EventLevel.DEBUG:
        _fire_event(self, e, level, *arguments, **named)


def _write_nothing(path: str, contents: str = "") -> bool:
    """A file for each model as compiled and one as run: tests read what the command returns."""
    return True
