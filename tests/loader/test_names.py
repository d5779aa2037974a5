"""`loader names`: what the API says of experiments and variations, stored as it is."""

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from loader import names, spec
from loader.errors import ExitCode, LoaderError
from loader.landing.warehouse import open_warehouse
from tests.loader.command import Command, Done
from tests.loader.exports import (
    FIRST,
    conversion,
    conversions_of,
    decision,
    decisions_of,
    everything,
    pull,
    query,
)
from tests.loader.rest_api import TOKEN, RestApi
from tests.models.histories import write_state

HOSTILE_NAMES = [
    "<script>alert('x')</script>",
    """"double", 'single', `back`; drop table experiment_names --""",
    "two\nlines\r\nand\ta tab",
    "n" * 300,
    "שלום \u202emirrored\u202c \u200f",
    "🛒 é e\u0301 \u0000 \x1b[31mred",
    "[bold]x[/bold] :smile: {{ ref('x') }} %s {0}",
    " ",
    "None",
]


def experiment(number: int = 1, **changes: Any) -> dict[str, Any]:
    """An experiment of Web Experimentation with two variations."""
    content = {
        "id": number,
        "project_id": 7,
        "name": f"Experiment {number}",
        "status": "running",
        "type": "a/b",
        "variations": [
            variation(number * 10, "Original", weight=7500),
            variation(number * 10 + 1, "Blue", weight=2500),
        ],
    }
    return content | changes


def variation(number: int, name: str, **changes: Any) -> dict[str, Any]:
    return {"variation_id": number, "name": name, "archived": False, "actions": []} | changes


@pytest.fixture
def warehouse(loader: Command) -> Path:
    return loader.folder / "warehouse.duckdb"


def experiments_in(warehouse: Path) -> list[tuple[Any, ...]]:
    return query(
        warehouse,
        """
        select experiment_id, project_id, experiment_name, experiment_key, status
        from optimizely_raw.experiment_names order by all
        """,
    )


def variations_in(warehouse: Path) -> list[tuple[Any, ...]]:
    return query(
        warehouse,
        """
        select experiment_id, variation_id, variation_name, weight, is_archived
        from optimizely_raw.variation_names order by all
        """,
    )


def failed(done: Done, code: ExitCode) -> str:
    """The one line of a command that failed so."""
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert TOKEN not in done.stderr and TOKEN.partition(":")[2] not in done.stderr
    return done.stderr.strip()


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 200, 250])
def test_pages(loader: Command, rest_api: RestApi, warehouse: Path, count: int) -> None:
    rest_api.projects["7"] = [experiment(number) for number in range(1, count + 1)]
    done = loader("names", "--project-id", "7")
    assert done.returncode == ExitCode.DONE
    assert done.stdout == f"stored the names of {count} experiments and {2 * count} variations\n"
    assert done.stderr == ""
    assert sorted(int(row[0]) for row in experiments_in(warehouse)) == list(range(1, count + 1))
    assert len(variations_in(warehouse)) == 2 * count
    assert len(rest_api.requests) == count // 100 + 1


def test_a_server_that_does_not_count_pages(
    loader: Command, rest_api: RestApi, warehouse: Path
) -> None:
    rest_api.projects["7"] = [experiment(number) for number in range(100)]
    rest_api.counts_pages = False
    assert loader("names", "--project-id", "7").returncode == ExitCode.DONE
    assert len(experiments_in(warehouse)) == 100
    assert len(rest_api.requests) == 2


def test_an_experiment_on_two_pages_is_stored_once(
    loader: Command, rest_api: RestApi, warehouse: Path
) -> None:
    """One that was made while the pages were read moves another to the next page."""
    rest_api.projects["7"] = [experiment(min(number, 100)) for number in range(1, 102)]
    loader("names", "--project-id", "7")
    assert len(experiments_in(warehouse)) == 100
    assert len(variations_in(warehouse)) == 200


def test_web_has_names_and_feature_experimentation_keys(
    loader: Command, rest_api: RestApi, warehouse: Path
) -> None:
    rest_api.projects["7"] = [
        experiment(1),
        experiment(
            2,
            name="",
            key="new_checkout",
            variations=[variation(20, "", key="off"), variation(21, "On", key="on", weight=0)],
        ),
        experiment(3, name="Both", key="both", status=None, project_id="8", variations=None),
        {
            "id": "99999999999999999999",
            "variations": [
                {"variation_id": "1", "weight": 10_000, "status": "archived"},
                {"variation_id": "2", "weight": 3333.5, "archived": True},
            ],
        },
    ]
    started = datetime.now(UTC).replace(tzinfo=None)
    loader("names", "--project-id", "7")
    assert experiments_in(warehouse) == [
        ("1", "7", "Experiment 1", None, "running"),
        ("2", "7", "new_checkout", "new_checkout", "running"),
        ("3", "8", "Both", "both", None),
        ("99999999999999999999", None, None, None, None),
    ]
    assert variations_in(warehouse) == [
        ("1", "10", "Original", 0.75, False),
        ("1", "11", "Blue", 0.25, False),
        ("2", "20", "off", None, False),
        ("2", "21", "On", 0.0, False),
        ("99999999999999999999", "1", None, 1.0, True),
        ("99999999999999999999", "2", None, 0.33335, True),
    ]
    for table in spec.NAME_TABLES:
        for (fetched_at,) in query(warehouse, f"select fetched_at from optimizely_raw.{table}"):
            assert started <= fetched_at <= datetime.now(UTC).replace(tzinfo=None)


def test_hostile_names_are_stored_as_they_are(
    loader: Command, rest_api: RestApi, warehouse: Path
) -> None:
    rest_api.projects["7"] = [
        experiment(number, name=name, key=name, status=name, variations=[variation(1, name)])
        for number, name in enumerate(HOSTILE_NAMES)
    ]
    shown = loader.json("names", "--project-id", "7")
    expected = sorted((str(number), name) for number, name in enumerate(HOSTILE_NAMES))
    assert [(row[0], row[2]) for row in experiments_in(warehouse)] == expected
    assert [row[2] == row[3] == row[4] for row in experiments_in(warehouse)] == [True] * len(
        expected
    )
    assert [(row[0], row[2]) for row in variations_in(warehouse)] == expected
    assert [each["experiment_name"] for each in shown["experiments"]] == HOSTILE_NAMES


def test_half_a_character_is_replaced(loader: Command, rest_api: RestApi, warehouse: Path) -> None:
    rest_api.projects["7"] = [experiment(1, name="half \ud83d")]
    assert loader("names", "--project-id", "7", "--json").returncode == ExitCode.DONE
    assert experiments_in(warehouse)[0][2] == "half ?"


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        (None, "an experiment without an id: it is no object"),
        ([1], "an experiment without an id: it is no object"),
        ({}, "an experiment without an id: its id is no id"),
        (experiment(5, id=None), "an experiment without an id: its id is no id"),
        (experiment(5, id=True), "an experiment without an id: its id is no id"),
        (experiment(5, id="\x1b[31m5"), "an experiment without an id: its id is no id"),
        (experiment(-5), "an experiment without an id: its id is no id"),
        (experiment(5, id=5.0), "an experiment without an id: its id is no id"),
        (experiment(5, project_id="x"), "experiment 5: its project_id is no id"),
        (experiment(5, name=["x"]), "experiment 5: its name is no text"),
        (experiment(5, key=5), "experiment 5: its key is no text"),
        (experiment(5, status={}), "experiment 5: its status is no text"),
        (experiment(5, variations=5), "experiment 5: its variations are no list"),
        (experiment(5, variations={"a": 1}), "experiment 5: its variations are no list"),
        (experiment(5, variations=["x"]), "experiment 5: a variation is no object"),
        (experiment(5, variations=[{}]), "experiment 5: its variation_id is no id"),
        *(
            (
                experiment(5, variations=[variation(1, "x"), variation(2, "y", weight=weight)]),
                f"experiment 5: the weight of a variation is {what}",
            )
            for weight, what in (
                ("5000", "no number"),
                (True, "no number"),
                (-1, "not between 0 and 10000"),
                (10_001, "not between 0 and 10000"),
                (float("nan"), "not between 0 and 10000"),
                (float("inf"), "not between 0 and 10000"),
            )
        ),
    ],
    ids=str,
)
def test_an_odd_experiment_is_skipped_with_a_note(
    loader: Command, rest_api: RestApi, warehouse: Path, odd: Any, reason: str
) -> None:
    rest_api.projects["7"] = [experiment(1), odd, experiment(2)]
    done = loader("names", "--project-id", "7")
    assert done.returncode == ExitCode.DONE
    assert done.stderr == f"note: skipped {reason}\n"
    assert [row[0] for row in experiments_in(warehouse)] == ["1", "2"]
    assert {row[0] for row in variations_in(warehouse)} == {"1", "2"}


def test_a_variation_named_twice_is_stored_once(
    loader: Command, rest_api: RestApi, warehouse: Path
) -> None:
    twice = [variation(1, "old"), variation(2, "other"), variation(1, "new")]
    rest_api.projects["7"] = [experiment(1, variations=twice)]
    loader("names", "--project-id", "7")
    assert [row[1:3] for row in variations_in(warehouse)] == [("1", "new"), ("2", "other")]


def test_an_answer_that_is_no_list(loader: Command, rest_api: RestApi, warehouse: Path) -> None:
    rest_api.statuses["/v2/experiments"] = 200
    line = failed(loader("names", "--project-id", "7"), ExitCode.TRANSIENT)
    assert line.endswith("is none: check OPTIMIZELY_API_URL, then try again")
    assert not warehouse.exists()


def test_a_second_run_replaces_what_it_fetched_and_nothing_else(
    loader: Command, rest_api: RestApi, warehouse: Path
) -> None:
    rest_api.projects = {"7": [experiment(1), experiment(2)], "8": [experiment(3)]}
    loader("names", "--project-id", "7", "--project-id", "8")
    rest_api.projects["7"] = [
        experiment(1, name="Renamed", status="paused", variations=[variation(11, "Green")]),
        experiment(2, name=5),  # cannot be read: what is known of it stays
        experiment(4, variations=[]),
    ]
    loader("names", "--project-id", "7")
    assert [(row[0], row[2], row[4]) for row in experiments_in(warehouse)] == [
        ("1", "Renamed", "paused"),
        ("2", "Experiment 2", "running"),
        ("3", "Experiment 3", "running"),
        ("4", "Experiment 4", "running"),
    ]
    assert [row[:4] for row in variations_in(warehouse)] == [
        ("1", "11", "Green", None),
        ("2", "20", "Original", 0.75),
        ("2", "21", "Blue", 0.25),
        ("3", "30", "Original", 0.75),
        ("3", "31", "Blue", 0.25),
    ]


def test_projects_from_options_and_environment(
    loader: Command, rest_api: RestApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    rest_api.projects = {"7": [experiment(1)], "8": [experiment(2)]}
    twice = ("--project-id", "7", "--project-id", "8", "--project-id", "7")
    assert [each["experiment_id"] for each in loader.json("names", *twice)["experiments"]] == [
        "1",
        "2",
    ]
    assert len(rest_api.requests) == 2
    monkeypatch.setenv("OPTIMIZELY_PROJECT_ID", "8 7")
    assert len(loader.json("names")["experiments"]) == 2
    assert len(loader.json("names", "--project-id", "8")["experiments"]) == 1


@pytest.mark.parametrize(
    "project_id", ["", "my project", "7&page=2", "7/..", "-1", "\u0667", "\x1b"]
)
def test_a_project_id_that_is_none(loader: Command, rest_api: RestApi, project_id: str) -> None:
    line = loader.refused("names", "--project-id", "7", "--project-id", project_id)
    assert line.isprintable()
    assert line.endswith("give the number that the project's address in Optimizely holds")
    assert rest_api.requests == []


def test_a_project_that_the_api_does_not_know(loader: Command, rest_api: RestApi) -> None:
    assert "(HTTP 400): check that the account has" in loader.refused("names", "--project-id", "6")


@pytest.fixture
def landed(loader: Command, tmp_path: Path, warehouse: Path) -> Path:
    """A warehouse whose rows speak of experiments 1, 2 and 30, and of odd ones."""

    def element(experiment_id: str | None) -> dict[str, Any]:
        return {
            "campaign_id": "",
            "experiment_id": experiment_id,
            "variation_id": "1",
            "is_holdback": False,
        }

    ids = ("30", "1", "1", "", None, "odd/../?x")
    rows = [decision(f"d{n}", experiment_id=each) for n, each in enumerate(ids)]
    state = decisions_of(FIRST, *rows)
    lists: tuple[Any, ...] = ([element("1"), element("2")], [element(None), element("")], [], None)
    events = [conversion(f"c{n}", experiments=each) for n, each in enumerate(lists)]
    state |= conversions_of(FIRST, *events)
    pull(write_state(tmp_path / "landed", state), warehouse)
    return warehouse


def test_without_a_project_every_landed_experiment_is_asked_for(
    loader: Command, rest_api: RestApi, landed: Path
) -> None:
    rest_api.projects["7"] = [experiment(number) for number in (1, 30, 50)]
    done = loader("names")
    assert done.returncode == ExitCode.DONE
    assert done.stdout == "stored the names of 2 experiments and 4 variations\n"
    assert done.stderr == "note: the API does not know 2 experiments of the data: 2, odd/../?x\n"
    assert [row[0] for row in experiments_in(landed)] == ["1", "30"]
    assert sorted(rest_api.requests) == [f"/v2/experiments/{number}" for number in (1, 2, 30)]
    asked = loader.json("names")
    assert [each["experiment_id"] for each in asked["experiments"]] == ["1", "30"]
    assert (asked["not_found"], asked["skipped"]) == (["2", "odd/../?x"], [])


def test_an_experiment_that_is_gone_keeps_its_name(
    loader: Command, rest_api: RestApi, landed: Path
) -> None:
    rest_api.projects["7"] = [experiment(1), experiment(30)]
    loader("names")
    del rest_api.projects["7"][0]
    loader("names")
    assert [row[2] for row in experiments_in(landed)] == ["Experiment 1", "Experiment 30"]


def test_an_answer_about_another_experiment_is_skipped(
    loader: Command, rest_api: RestApi, landed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest_api, "answer", lambda *_: (200, experiment(30)))
    done = loader("names")
    assert [row[0] for row in experiments_in(landed)] == ["30"]
    assert done.stderr.splitlines()[1:] == [
        "note: skipped experiment 1: the answer is another experiment",
        "note: skipped experiment 2: the answer is another experiment",
    ]


def test_many_unknown_experiments_are_one_note(
    loader: Command, rest_api: RestApi, tmp_path: Path, warehouse: Path
) -> None:
    ids = [str(number) for number in range(1001, 1041)]
    state = decisions_of(FIRST, *[decision(each, experiment_id=each) for each in ids])
    pull(write_state(tmp_path / "many", state), warehouse)
    done = loader("names")
    shown = ", ".join(ids[:10])
    assert done.stderr == (
        f"note: the API does not know 40 experiments of the data: {shown} and 30 more\n"
    )


def test_nothing_landed(loader: Command, rest_api: RestApi) -> None:
    line = loader.refused("names")
    assert line.endswith("run `loader pull` first, or give --project-id")
    assert rest_api.requests == []


def test_a_refused_token(
    loader: Command, rest_api: RestApi, landed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = everything(landed)
    secret = "another-token-that-nobody-may-see"
    monkeypatch.setenv("OPTIMIZELY_API_TOKEN", secret)
    for arguments in ([], ["--project-id", "7"], ["--json"], ["--dry-run"]):
        line = failed(loader("names", *arguments), ExitCode.CREDENTIALS)
        assert "(HTTP 401): check OPTIMIZELY_API_TOKEN" in line
        assert secret not in line
    assert everything(landed) == before
    assert experiments_in(landed) == []


def test_after_a_refusal_no_more_requests_are_sent(
    loader: Command, rest_api: RestApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    rest_api.statuses["/v2/experiments"] = 401
    with pytest.raises(LoaderError):
        names.fetch_by_ids([str(number) for number in range(1, 500)])
    assert len(rest_api.requests) < 100


def test_no_token(loader: Command, rest_api: RestApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPTIMIZELY_API_TOKEN")
    line = failed(loader("names", "--project-id", "7"), ExitCode.CREDENTIALS)
    assert line.startswith("error: no API token: set OPTIMIZELY_API_TOKEN")
    assert list(loader.folder.iterdir()) == []


def test_a_failure_half_way_leaves_what_was_stored(
    loader: Command, rest_api: RestApi, warehouse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rest_api.projects["7"] = [experiment(number) for number in range(1, 102)]
    loader("names", "--project-id", "7")
    before = experiments_in(warehouse), variations_in(warehouse)
    rest_api.projects["7"] = [experiment(number, name="new") for number in range(1, 102)]

    # The second page fails.
    rest_api.statuses["page=2"] = 500
    monkeypatch.setattr(time, "sleep", lambda _: None)
    line = failed(loader("names", "--project-id", "7"), ExitCode.TRANSIENT)
    assert line.endswith("try again later")
    assert (experiments_in(warehouse), variations_in(warehouse)) == before

    # The second table fails.
    rest_api.statuses.clear()
    insert = names._insert

    def fail(connection: Any, table: str, rows: Any) -> None:
        insert(connection, table, rows)
        if table == "variation_names":
            raise KeyboardInterrupt

    monkeypatch.setattr(names, "_insert", fail)
    assert loader("names", "--project-id", "7").returncode == ExitCode.INTERRUPTED
    assert (experiments_in(warehouse), variations_in(warehouse)) == before


def test_a_dry_run_stores_nothing(loader: Command, rest_api: RestApi, warehouse: Path) -> None:
    rest_api.projects["7"] = [experiment(1)]
    done = loader("names", "--project-id", "7", "--dry-run")
    assert done.stdout == "would store the names of 1 experiments and 2 variations\n"
    shown = loader.json("names", "--project-id", "7", "--dry-run")
    assert shown == {
        "experiments": [
            {
                "experiment_id": "1",
                "project_id": "7",
                "experiment_name": "Experiment 1",
                "experiment_key": None,
                "status": "running",
                "variations": [
                    {
                        "variation_id": "10",
                        "variation_name": "Original",
                        "weight": 0.75,
                        "is_archived": False,
                    },
                    {
                        "variation_id": "11",
                        "variation_name": "Blue",
                        "weight": 0.25,
                        "is_archived": False,
                    },
                ],
            }
        ],
        "not_found": [],
        "skipped": [],
        "dry_run": True,
    }
    assert list(loader.folder.iterdir()) == []


def test_the_token_is_nowhere(loader: Command, rest_api: RestApi, landed: Path) -> None:
    rest_api.projects["7"] = [experiment(1), None]
    outputs = [loader("names"), loader("names", "--project-id", "7", "--json")]
    outputs.append(loader.process("names", "--dry-run"))
    assert [done.returncode for done in outputs] == [0, 0, 0]
    secret = TOKEN.partition(":")[2]
    for done in outputs:
        assert secret not in done.stdout + done.stderr
    for path in loader.folder.iterdir():
        assert secret.encode() not in path.read_bytes()


def test_names_and_a_pull_leave_each_other_alone(
    loader: Command, rest_api: RestApi, export: Path, warehouse: Path
) -> None:
    rest_api.projects["7"] = [experiment(1)]
    loader("names", "--project-id", "7")
    before = experiments_in(warehouse), variations_in(warehouse)
    assert loader("pull", "--source", export).returncode == ExitCode.DONE
    assert loader("pull", "--source", export, "--force").returncode == ExitCode.DONE
    assert (experiments_in(warehouse), variations_in(warehouse)) == before
    landed = everything(warehouse)
    loader("names", "--project-id", "7")
    assert everything(warehouse) == landed


def test_a_pull_without_news_makes_what_an_older_loader_did_not(
    loader: Command, export: Path, warehouse: Path
) -> None:
    loader("pull", "--source", export)
    landed = everything(warehouse)
    execute(warehouse, "drop table optimizely_raw.experiment_names")
    execute(warehouse, "drop table optimizely_raw.variation_names")
    for column in ("selection", "is_complete"):
        execute(warehouse, f"alter table optimizely_ledger.days drop column {column}")
    for command in ("status", "verify", "history"):  # they only read
        assert loader(command).returncode == ExitCode.DONE
    assert "landed 0 days" in loader("pull", "--source", export).stdout
    assert experiments_in(warehouse) == variations_in(warehouse) == []
    assert everything(warehouse) == landed


def test_a_whole_warehouse_is_not_opened_for_writing(
    loader: Command, export: Path, warehouse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A notebook that reads would stand in the way."""
    pull(export, warehouse)
    opened = []

    def spy(path: Path, *, read_only: bool = False) -> Any:
        opened.append(read_only)
        return open_warehouse(path, read_only=read_only)

    monkeypatch.setattr("loader.pull.open_warehouse", spy)
    pull(export, warehouse)
    assert opened == [True]


def execute(warehouse: Path, sql: str) -> None:
    with open_warehouse(warehouse) as connection:
        connection.execute(sql)


def test_the_tables_have_the_columns_of_the_json(
    loader: Command, rest_api: RestApi, warehouse: Path
) -> None:
    rest_api.projects["7"] = [experiment(1)]
    [shown] = json.loads(loader("names", "--project-id", "7", "--json").stdout)["experiments"]
    [of_variation, _] = shown.pop("variations")
    stored = spec.NAME_TABLES["experiment_names"]
    assert [*shown, "fetched_at"] == list(stored)
    stored = spec.NAME_TABLES["variation_names"]
    assert ["experiment_id", *of_variation, "fetched_at"] == list(stored)
