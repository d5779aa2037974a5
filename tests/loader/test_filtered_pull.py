"""`pull --experiment/--event`: a day landed in part is never taken for a whole one."""

from datetime import date
from pathlib import Path

import pytest

from loader.errors import ExitCode
from loader.export.layout import Unit
from loader.export.selection import Selection
from loader.plan import known_days
from loader.pull import PullResult
from tests.loader.command import Command
from tests.loader.exports import FIRST, conversion, decision, expected, landed_units, pull, staged
from tests.models.histories import State, write_state

EXPERIMENTS = ("18156943409", "18142600572", "")
EVENTS = ("purchase", "add/to cart: 50%", "NULL")
DECISIONS: Unit = ("decisions", FIRST)
CONVERSIONS: Unit = ("events", FIRST)


def escaped(name: str) -> str:
    for character in "%/:":
        name = name.replace(character, f"%{ord(character):02X}")
    return name or "__HIVE_DEFAULT_PARTITION__"


def state(at: date = FIRST, extra: str = "") -> State:
    """One day: a file for each experiment and each event."""
    return {
        ("decisions", at): [
            (
                f"type=decisions/date={at}/experiment={escaped(name)}/part-0.parquet",
                [decision(f"d{n}{extra}", at, experiment_id=name)],
            )
            for n, name in enumerate(EXPERIMENTS)
        ],
        ("events", at): [
            (
                f"type=events/date={at}/event={escaped(name)}/part-0.parquet",
                [conversion(f"c{n}{extra}", at, event_name=name)],
            )
            for n, name in enumerate(EVENTS)
        ],
    }


def some_of(whole: State, experiments: tuple[int, ...], events: tuple[int, ...]) -> State:
    """These of the files of each type."""
    return {
        unit: [files[n] for n in (experiments if unit[0] == "decisions" else events)]
        for unit, files in whole.items()
    }


def pull_some(
    root: Path, warehouse: Path, experiments: tuple[int, ...] = (), events: tuple[int, ...] = ()
) -> PullResult:
    selection = Selection(
        frozenset(EXPERIMENTS[n] or "__HIVE_DEFAULT_PARTITION__" for n in experiments),
        frozenset(EVENTS[n] for n in events),
    )
    return pull(root, warehouse, selection=selection)


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    return tmp_path / "w.duckdb"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_state(tmp_path / "export", state())


ALL = (0, 1, 2)


def test_lands_what_is_asked_for(root: Path, warehouse: Path) -> None:
    assert pull_some(root, warehouse, (1, 2), (1,)).exit_code == ExitCode.DONE
    assert staged(warehouse) == expected(some_of(state(), (1, 2), (1,)))
    assert [day.is_complete for day in known_days(warehouse).landed.values()] == [False, False]


def test_experiments_leave_conversions_whole(root: Path, warehouse: Path) -> None:
    pull_some(root, warehouse, experiments=(0,))
    assert staged(warehouse) == expected(some_of(state(), (0,), ALL))
    days = known_days(warehouse).landed
    assert (days[DECISIONS].is_complete, days[CONVERSIONS].is_complete) == (False, True)


def test_the_same_again_lands_nothing(root: Path, warehouse: Path) -> None:
    pull_some(root, warehouse, (0,), (0,))
    assert landed_units(pull_some(root, warehouse, (0,), (0,))) == []


def test_other_names_are_added(root: Path, warehouse: Path) -> None:
    pull_some(root, warehouse, (0,), (0,))
    result = pull_some(root, warehouse, (1,), (0,))
    assert landed_units(result) == [DECISIONS]
    assert [planned.reason for planned in result.plan.to_land] == ["widened"]
    assert staged(warehouse) == expected(some_of(state(), (0, 1), (0,)))
    # What is landed is what is compared from now on, whichever of it is asked for.
    assert landed_units(pull_some(root, warehouse, (0,), (0,))) == []


def test_everything_makes_it_whole(root: Path, warehouse: Path) -> None:
    pull_some(root, warehouse, (0,), (0,))
    result = pull(root, warehouse)
    assert landed_units(result) == [DECISIONS, CONVERSIONS]
    assert {planned.reason for planned in result.plan.to_land} == {"widened"}
    assert staged(warehouse) == expected(state())
    assert all(day.is_complete for day in known_days(warehouse).landed.values())


def test_a_whole_day_stays_whole(root: Path, warehouse: Path, tmp_path: Path) -> None:
    pull(root, warehouse)
    assert landed_units(pull_some(root, warehouse, (0,), (0,))) == []

    rewritten = state(extra=" again")
    write_state(tmp_path / "export", rewritten)
    assert landed_units(pull_some(root, warehouse, (0,), (0,))) == [DECISIONS, CONVERSIONS]
    assert staged(warehouse) == expected(rewritten)
    assert all(day.is_complete for day in known_days(warehouse).landed.values())


def test_a_rewrite_of_what_is_landed_is_seen(root: Path, warehouse: Path, tmp_path: Path) -> None:
    pull_some(root, warehouse, (0,), (0,))
    after = state()
    rewritten = state(extra=" again")
    after[DECISIONS][2] = rewritten[DECISIONS][2]  # not landed, so not looked at
    write_state(tmp_path / "export", after)
    assert landed_units(pull_some(root, warehouse, (0,), (0,))) == []

    after[DECISIONS][0] = rewritten[DECISIONS][0]
    write_state(tmp_path / "export", after)
    result = pull_some(root, warehouse, (0,), (0,))
    assert [planned.reason for planned in result.plan.to_land] == ["changed"]
    assert staged(warehouse) == expected(some_of(after, (0,), (0,)))


def test_a_day_without_the_name_is_landed_empty(root: Path, warehouse: Path) -> None:
    result = pull(root, warehouse, selection=Selection(events=frozenset({"nothing"})))
    assert landed_units(result) == [DECISIONS, CONVERSIONS]
    assert staged(warehouse) == expected(some_of(state(), ALL, ()))


def test_the_mark_is_needed_all_the_same(root: Path, warehouse: Path) -> None:
    (root / f"type=decisions/date={FIRST}/_SUCCESS").unlink()
    result = pull_some(root, warehouse, (0,), (0,))
    assert result.exit_code == ExitCode.NOT_READY
    assert landed_units(result) == [CONVERSIONS]


def test_moved_to_another_store_it_is_adopted(root: Path, warehouse: Path, tmp_path: Path) -> None:
    pull_some(root, warehouse, (0,), (0,))
    other = write_state(tmp_path / "moved", state())
    result = pull_some(other, warehouse, (0,), (0,))
    assert (len(result.plan.to_adopt), result.landed) == (2, [])
    assert len(pull_some(other, warehouse, (0,), (0,)).plan.unchanged) == 2


def test_the_command_and_the_status(loader: Command, root: Path) -> None:
    done = loader.json("pull", "--source", root, "--experiment", EXPERIMENTS[0])
    assert (done["files"], done["rows"]) == (4, 4)
    days = loader.json("status")
    assert [item["state"] for item in days] == ["landed in part", "landed"]
    done = loader.json(
        *("pull", "--source", root, "--event", EVENTS[1], "--experiment", EXPERIMENTS[1])
    )
    assert done["to_land"] == [{"type": "decisions", "date": str(FIRST), "reason": "widened"}]
    assert staged(loader.folder / "warehouse.duckdb") == expected(some_of(state(), (0, 1), ALL))


def test_names_that_nothing_has_are_told(root: Path, warehouse: Path, tmp_path: Path) -> None:
    def told(root: Path, experiments: tuple[str, ...], events: tuple[str, ...]) -> list[str]:
        selection = Selection(frozenset(experiments), frozenset(events))
        plan = pull(root, warehouse, selection=selection).plan
        return [" ".join(each) for each in plan.unknown_names]

    assert told(root, ("1", EXPERIMENTS[0]), ("purchase", "add%2Fto cart%3A 50%25")) == [
        "decisions 1",
        "events add%2Fto cart%3A 50%25",
    ]
    assert told(root, (), EVENTS) == []
    assert told(root, (), ()) == []
    # An event that is rare is not told of each time, once it was landed.
    later = write_state(tmp_path / "later", some_of(state(date(2024, 1, 9)), ALL, (0,)))
    assert told(later, (), ("add/to cart: 50%", "purchase", "purchse")) == ["events purchse"]


def test_the_command_tells_them(loader: Command, root: Path) -> None:
    done = loader("pull", "--source", root, "--event", "a\nb", "--type", "events")
    assert done.returncode == ExitCode.DONE
    assert done.stderr.splitlines()[-1] == (
        "note: no day that was looked at has event=a\\nb, and none was ever landed: "
        "`loader paths` shows what there is"
    )
    told = loader.json("pull", "--source", root, "--event", "a", "--dry-run")
    assert told["unknown_names"] == [{"type": "events", "name": "a"}]


def test_status_and_verify_know_of_the_part(loader: Command, root: Path, tmp_path: Path) -> None:
    loader.json("pull", "--source", root, "--experiment", EXPERIMENTS[0])
    days = loader.json("status", "--source", root)
    assert [item["state"] for item in days] == ["landed in part", "landed"]
    done = loader("verify", "--source", root)
    assert done.returncode == ExitCode.DONE
    assert done.stdout.startswith("0 differences in 2 days, 4 rows, 4 footers")
    assert f"note: decisions of {FIRST} is landed in part" in done.stderr

    write_state(tmp_path / "export", state(extra=" again"))
    states = [item["state"] for item in loader.json("status", "--source", root)]
    assert states == ["changed at the source"] * 2
    assert loader("verify", "--source", root).returncode == ExitCode.DIFFERENCE


def test_an_empty_name_is_refused(loader: Command, root: Path) -> None:
    assert "--event '' is no name" in loader.refused("pull", "--source", root, "--event", "")
