"""What dbt does in each command although no test asks for it: a quarter of a small build."""

from collections.abc import Collection, Iterator
from functools import cache
from typing import Any

import jinja2
import parsedatetime  # type: ignore[import-untyped]
from dbt.adapters.duckdb.impl import DuckDBAdapter
from dbt.clients.jinja import MacroGenerator
from dbt.compilation import Compiler
from dbt.context import providers
from dbt.context.macros import MacroNamespace, MacroNamespaceBuilder
from dbt.contracts.graph import nodes
from dbt_common.events.base_types import BaseEvent, EventLevel
from dbt_common.events.event_manager import EventManager
from dbt_common.tests import enable_test_caching

_compile = jinja2.Environment.compile
_build_event = BaseEvent.__init__
_fire_event = EventManager.fire_event
_link = Compiler.compile
_describe = DuckDBAdapter.get_column_schema_from_query
_args_to_dict: Any = providers.args_to_dict  # type: ignore[attr-defined]
_compiled: dict[tuple[Any, ...], Any] = {}
_linked: dict[tuple[int, bool], tuple[Any, Any]] = {}
"""A parsed project, and the graph of its nodes, by the project's id, with edges of tests or not."""
_described: dict[str, Any] = {}
"""Columns of a query, by its SQL."""
_arguments: list[Any] = [None, {}]
"""Those of the command that runs, and the same as a dict."""


def apply() -> None:
    """Makes dbt lean in this process."""
    jinja2.Environment.compile = _compile_once  # type: ignore[method-assign, assignment]
    BaseEvent.__init__ = _note_event  # type: ignore[method-assign]
    BaseEvent.__getattr__ = _asked_of_event  # type: ignore[method-assign]
    EventManager.fire_event = _fire_heard_event  # type: ignore[method-assign]
    nodes.write_file = _write_nothing  # type: ignore[attr-defined]
    enable_test_caching()
    Compiler.compile = _link_once  # type: ignore[method-assign]
    DuckDBAdapter.get_column_schema_from_query = _describe_once  # type: ignore[method-assign]
    MacroGenerator.__init__ = _note_macro  # type: ignore[method-assign]
    MacroNamespaceBuilder.add_macros = _add_package  # type: ignore[method-assign, assignment]
    MacroNamespace.__iter__ = _names  # type: ignore[method-assign]
    MacroNamespace.__getitem__ = _named  # type: ignore[method-assign]
    providers.args_to_dict = _arguments_as_dict  # type: ignore[attr-defined]
    parsedatetime.Constants = cache(parsedatetime.Constants)


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


def _link_once(
    self: Compiler, manifest: Any, write: bool = True, add_test_edges: bool = False
) -> Any:
    """The graph of a project, which is the same in each command; dbt looks for cycles each time."""
    if getattr(self.config.args, "inline", None):  # which is a node of this command alone
        return _link(self, manifest, write, add_test_edges)
    key = id(manifest), add_test_edges
    if key not in _linked:
        _linked[key] = manifest, _link(self, manifest, write, add_test_edges)
    return _linked[key][1]


def _describe_once(self: DuckDBAdapter, sql: str) -> Any:
    """The columns that a model with a contract gives.

    The same SQL gives the same ones while the tables that it reads keep theirs.
    """
    if sql not in _described:
        _described[sql] = _describe(self, sql)
    return list(_described[sql])


def _note_macro(
    self: MacroGenerator, macro: Any, context: Any = None, node: Any = None, stack: Any = None
) -> None:
    """All macros are made anew for each model, twice: without a call of each class above."""
    self.macro, self.context, self.node, self.stack = macro, context, node, stack


def _add_package(self: MacroNamespaceBuilder, macros: Collection[Any], context: Any) -> None:
    """All macros of one package, which parsing saw to have a name each."""
    made: Any = {
        macro.name: MacroGenerator(macro, context, self.node, self.thread_ctx) for macro in macros
    }
    for package in {macro.package_name for macro in macros}:
        if package in self.internal_package_names:
            self.internal_packages[package] = made
            continue
        self.packages[package] = made
        if package == self.search_package:
            self.locals.update(made)
        elif package == self.root_package:
            self.globals.update(made)


def _names(self: MacroNamespace) -> Iterator[str]:
    return iter(_flat(self))


def _named(self: MacroNamespace, key: str) -> Any:
    return _flat(self)[key]


def _flat(self: MacroNamespace) -> dict[str, Any]:
    """What each name stands for, looked up once and not in five places each time."""
    found: dict[str, Any] | None = self.__dict__.get("flat")
    if found is None:
        found = {}
        for names in reversed(list(self._search_order())):
            found.update(names)
        self.__dict__["flat"] = found
    return found


def _arguments_as_dict(arguments: Any) -> dict[str, Any]:
    """A command's arguments, which are the same for each of its models."""
    if _arguments[0] is not arguments:
        _arguments[:] = arguments, _args_to_dict(arguments)
    return dict(_arguments[1])
