"""Names of experiments and variations, from the REST API: the export carries ids only."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import duckdb

from loader import api, ledger, spec
from loader.errors import ExitCode, LoaderError, shown
from loader.landing.storage import IN_DATABASE, Storage
from loader.landing.warehouse import create_tables, open_warehouse
from loader.timespan import now_utc

PAGE_SIZE = 100
REQUESTS_AT_ONCE = 8
FULL_WEIGHT = 10_000
"""The API's weight of a variation that gets every visitor."""


@dataclass(frozen=True)
class VariationName:
    """One variation; `weight` is its planned share of the visitors, 0 to 1."""

    variation_id: str
    variation_name: str | None
    weight: float | None
    is_archived: bool


@dataclass(frozen=True)
class ExperimentName:
    """One experiment and its variations."""

    experiment_id: str
    project_id: str | None
    experiment_name: str | None
    experiment_key: str | None
    status: str | None
    variations: tuple[VariationName, ...]


@dataclass
class FetchedNames:
    """What the API answered."""

    experiments: dict[str, ExperimentName] = field(default_factory=dict)
    not_found: list[str] = field(default_factory=list)
    """Ids that the API does not know."""
    skipped: list[str] = field(default_factory=list)
    """Why an experiment could not be read, one line each."""

    @property
    def variation_count(self) -> int:
        """Variations of all experiments."""
        return sum(len(experiment.variations) for experiment in self.experiments.values())


class OddShape(Exception):
    """An experiment that is not as the API describes it."""


def read_landed_ids(warehouse: Path, storage: Storage = IN_DATABASE) -> list[str]:
    """Ids of the experiments that the landed rows speak of, smallest first.

    Args:
        warehouse: The DuckDB file; it need not exist.
        storage: Where landed rows stay.

    Raises:
        LoaderError: Nothing is landed, or the warehouse cannot be used.
    """
    nothing_landed = LoaderError(
        f"nothing is landed in {shown(storage.name(warehouse))}, so no experiment is known: "
        "run `loader pull` first, or give --project-id",
        ExitCode.USAGE,
    )
    if not warehouse.exists():
        raise nothing_landed
    with open_warehouse(warehouse, read_only=True) as connection:
        if not ledger.exists(connection):
            raise nothing_landed
        found: set[str] = set()
        for table, column in (
            (spec.DECISIONS, "experiment_id"),
            (spec.CONVERSIONS, "unnest(experiments).experiment_id"),
        ):
            for _, rows in storage.rows(connection, table):
                ids = connection.execute(f"select distinct {column} from {rows}").fetchall()
                found.update(experiment_id for (experiment_id,) in ids if experiment_id)
    return sorted(found, key=lambda experiment_id: (len(experiment_id), experiment_id))


def fetch_of_projects(project_ids: list[str]) -> FetchedNames:
    """Asks for every experiment of some projects.

    Raises:
        LoaderError: An id that is none, or an API that does not answer.
    """
    for project_id in project_ids:
        if not _is_id(project_id):
            raise LoaderError(
                f"{shown(repr(project_id))} is no project's id: "
                "give the number that the project's address in Optimizely holds",
                ExitCode.USAGE,
            )
    fetched = FetchedNames()
    for project_id in dict.fromkeys(project_ids):
        for content in _experiments_of(project_id):
            _note(fetched, content)
    return fetched


def fetch_by_ids(experiment_ids: list[str]) -> FetchedNames:
    """Asks for each experiment by itself.

    Raises:
        LoaderError: The API does not answer.
    """
    fetched = FetchedNames()
    with ThreadPoolExecutor(REQUESTS_AT_ONCE) as requests:
        # A refused token or Ctrl-C ends the map, which takes back the requests not yet sent.
        answers = requests.map(_experiment, experiment_ids)
        for experiment_id, content in zip(experiment_ids, answers, strict=True):
            if content is None:
                fetched.not_found.append(experiment_id)
            else:
                _note(fetched, content, experiment_id)
    return fetched


def store_names(warehouse: Path, fetched: FetchedNames) -> None:
    """Replaces what is stored of the fetched experiments, in one transaction; others stay.

    Args:
        warehouse: The DuckDB file, created where it is not there.
        fetched: From `fetch_of_projects` or `fetch_by_ids`.

    Raises:
        LoaderError: The warehouse is in use, or the disk is full.
    """
    fetched_at = now_utc()
    experiments = fetched.experiments.values()
    with open_warehouse(warehouse) as connection:
        connection.begin()
        create_tables(connection)
        for table in spec.NAME_TABLES:
            connection.execute(
                f"""
                delete from {spec.RAW_SCHEMA}.{table}
                where experiment_id in (select unnest($1::varchar[]))
                """,
                [list(fetched.experiments)],
            )
        _insert(
            connection,
            "experiment_names",
            [(*astuple(experiment)[:-1], fetched_at) for experiment in experiments],
        )
        _insert(
            connection,
            "variation_names",
            [
                (experiment.experiment_id, *astuple(variation), fetched_at)
                for experiment in experiments
                for variation in experiment.variations
            ],
        )
        connection.commit()


def read_experiment(content: Any) -> ExperimentName:
    """One experiment of the API's answer.

    Web Experimentation names it by `name`, Feature Experimentation by `key`; so for variations.

    Raises:
        OddShape: With what is wrong.
    """
    if not isinstance(content, dict):
        raise OddShape("it is no object")
    variations = content.get("variations") or []
    if not isinstance(variations, list):
        raise OddShape("its variations are no list")
    experiment_key = _text(content, "key")
    return ExperimentName(
        experiment_id=_id(content, "id"),
        project_id=None if content.get("project_id") is None else _id(content, "project_id"),
        experiment_name=_text(content, "name") or experiment_key,
        experiment_key=experiment_key,
        status=_text(content, "status"),
        # Each variation once, whatever the answer repeats: the models join on its id.
        variations=tuple(
            {each.variation_id: each for each in map(_read_variation, variations)}.values()
        ),
    )


def _read_variation(content: Any) -> VariationName:
    if not isinstance(content, dict):
        raise OddShape("a variation is no object")
    return VariationName(
        variation_id=_id(content, "variation_id"),
        variation_name=_text(content, "name") or _text(content, "key"),
        weight=_weight(content.get("weight")),
        is_archived=content.get("archived") is True or content.get("status") == "archived",
    )


def _experiments_of(project_id: str) -> Iterator[Any]:
    """Every experiment of a project, page by page."""
    before: list[Any] = []
    page = 1
    while True:
        path = f"/v2/experiments?project_id={project_id}&per_page={PAGE_SIZE}&page={page}"
        contents = api.get(path).content
        if not isinstance(contents, list):
            raise LoaderError(
                f"the API's list of the experiments of project {project_id} is none: "
                f"check {api.URL_VARIABLE}, then try again",
                ExitCode.TRANSIENT,
            )
        yield from contents
        # A server that does not count pages would give the same one for ever.
        if len(contents) < PAGE_SIZE or contents == before:
            return
        before = contents
        page += 1


def _experiment(experiment_id: str) -> Any:
    """The API's answer for one experiment; None where it knows none."""
    if not _is_id(experiment_id):
        return None
    try:
        return api.get(f"/v2/experiments/{experiment_id}").content
    except api.ApiRefusal as refusal:
        if refusal.status == HTTPStatus.NOT_FOUND:
            return None
        raise


def _note(fetched: FetchedNames, content: Any, asked_for: str | None = None) -> None:
    """Adds one experiment of an answer, or the reason why it cannot be read."""
    try:
        experiment = read_experiment(content)
        if asked_for is not None and experiment.experiment_id != asked_for:
            raise OddShape("the answer is another experiment")
    except OddShape as odd:
        named = asked_for or (content.get("id") if isinstance(content, dict) else None)
        which = f"experiment {named}" if _is_id(str(named)) else "an experiment without an id"
        fetched.skipped.append(f"{which}: {odd}")
    else:
        fetched.experiments[experiment.experiment_id] = experiment


def _insert(
    connection: duckdb.DuckDBPyConnection, table: str, rows: list[tuple[object, ...]]
) -> None:
    # One statement over lists, as many single inserts would take seconds.
    types = spec.NAME_TABLES[table]
    lists = [f"unnest(${n}::{sql_type}[])" for n, sql_type in enumerate(types.values(), start=1)]
    values = [[row[n] for row in rows] for n in range(len(types))]
    connection.execute(
        f"insert into {spec.RAW_SCHEMA}.{table} ({', '.join(types)}) select {', '.join(lists)}",
        values,
    )


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _id(content: dict[str, Any], name: str) -> str:
    """An id: a number, or a number as text."""
    value = content.get(name)
    if isinstance(value, bool) or not isinstance(value, int | str) or not _is_id(str(value)):
        raise OddShape(f"its {name} is no id")
    return str(value)


def _text(content: dict[str, Any], name: str) -> str | None:
    """A text; None where it is missing or blank."""
    value = content.get(name)
    if value is not None and not isinstance(value, str):
        raise OddShape(f"its {name} is no text")
    # JSON can hold half a character, which no database stores.
    return value.encode("utf-8", "replace").decode() if value else None


def _weight(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise OddShape("the weight of a variation is no number")
    if not 0 <= value <= FULL_WEIGHT:
        raise OddShape(f"the weight of a variation is not between 0 and {FULL_WEIGHT}")
    return float(value / FULL_WEIGHT)
