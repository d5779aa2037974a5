"""`loader history`: every load, with what it changed."""

from pathlib import Path

from loader.export.layout import open_export
from tests.loader.command import Command
from tests.loader.exports import conversion, conversions_of, day, decision, decisions_of, few_days
from tests.models.histories import write_state

EVERY_DAY = ("--since", "2024-01-01")


def test_files_and_rows_before_and_after(loader: Command, tmp_path: Path) -> None:
    state = few_days(1)
    source = write_state(tmp_path / "export", state)
    loader("pull", "--source", source)
    [first, second] = state[("decisions", day(0))]
    longer = (second[0], [*second[1], decision("more")])
    [added] = decisions_of(day(0), decision("new"), part="part-9")[("decisions", day(0))]
    write_state(tmp_path / "export", state | {("decisions", day(0)): [longer, added]})
    loader("pull", "--source", source)
    write_state(tmp_path / "export", state | {("decisions", day(0)): [longer, added]})
    loader("pull", "--source", source, *EVERY_DAY, "--type", "events", "--force")

    found = [
        [load[name] for name in ("load_id", "type", "reason", "rows_before", "rows")]
        + [load[f"files_{name}"] for name in ("added", "removed", "replaced")]
        for load in loader.json("history")
    ]

    forced = found.pop(0)
    assert forced[:-1] == [4, "events", "forced", 4, 4, 0, 0]
    assert found == [
        [3, "decisions", "changed", 4, 3, 1, 1, 1],
        [2, "events", "new", 0, 4, 2, 0, 0],
        [1, "decisions", "new", 0, 4, 2, 0, 0],
    ]
    assert first[0] not in str(found)


def test_filters(loader: Command, export: Path) -> None:
    loader("pull", "--source", export)

    def ids(*options: str) -> list[int]:
        return [load["load_id"] for load in loader.json("history", *options)]

    assert ids() == [6, 5, 4, 3, 2, 1]
    assert ids("--limit", "2") == [6, 5]
    assert ids("--type", "events", "--limit", "2") == [6, 4]
    assert ids("--since", str(day(1)), "--until", str(day(1))) == [4, 3]


def test_as_text(loader: Command, export: Path, tmp_path: Path) -> None:
    assert loader("history").stdout.startswith("no load of these days in ")
    loader("pull", "--source", export)
    write_state(tmp_path / "export", few_days() | conversions_of(day(2), conversion("x")))
    loader("pull", "--source", export)

    lines = loader("history", "--limit", "2").stdout.splitlines()

    headings = "load when (UTC) type date reason rows before files bytes seconds"
    assert lines[0].split() == headings.split()
    assert lines[1].split()[3:9] == ["events", str(day(2)), "changed", "1", "4", "-1"]
    assert lines[3:] == [f"from {open_export(str(export)).identity}"]
