"""docs/extending.md and the funnel of docs/metrics.md, done in a copy of the project."""

import csv
import io
import re
import shlex
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from contextlib import redirect_stdout
from datetime import datetime
from pathlib import Path

import pytest

from loader.demo import write_export
from loader.export.layout import open_export
from tests.models.own_project import EXAMPLE, EXTENDING, METRICS, copy_of_project
from tests.models.project import ROOT, Project, failed_rows, failures, with_status
from tests.models.twin import Twin
from tests.models.twin_inputs import exported_rows

EXPERIMENTS = 5
"""Of the demo."""


def blocks(page: str) -> Iterator[tuple[str, str]]:
    """What a page prints from a command: the command, and the output."""
    for text in re.findall(r"^```\n\$ (.*?)^```$", page, flags=re.MULTILINE | re.DOTALL):
        lines = text.splitlines(keepends=True)
        for end in range(1, len(lines) + 1):
            command = "".join(lines[:end]).strip()
            if not command.endswith("\\") and command.count('"') % 2 == 0:
                yield command, "".join(lines[end:])
                break


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo of `make demo`: the calls are by its visitors."""
    folder = tmp_path_factory.mktemp("demo") / "export"
    write_export(folder)
    return folder


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_of_project(tmp_path_factory.mktemp("copy") / "project")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, export: Path, root: Path) -> Project:
    project = Project(tmp_path_factory.mktemp("extended"), root=root)
    project.pull(export)
    project.build()
    return project


@pytest.fixture(scope="module")
def twin(export: Path) -> Twin:
    return Twin(*exported_rows(export))


def test_what_the_pages_print_is_what_comes_out(project: Project) -> None:
    shown = 0
    for command, output in [*blocks(EXTENDING), *blocks(METRICS)]:
        name, *arguments = shlex.split(command.replace("\\\n", ""))
        if arguments[:1] == ["show"]:
            printed = io.StringIO()
            with redirect_stdout(printed):
                result = project.dbt(*arguments)
            assert result.success, failures(result)
            lines = [line for line in printed.getvalue().splitlines() if line.startswith("|")]
            assert "\n".join(lines) == output.strip(), command
            shown += 1
        elif name in ("head", "sed"):
            found = subprocess.run(
                [name, *arguments], cwd=ROOT, check=True, capture_output=True, text=True
            )
            assert found.stdout == output, command
    assert shown > 6


def test_every_selector_of_the_page_selects_something(project: Project) -> None:
    rows = re.findall(r"^\| `dbt \w+ (--select [^`]+)` \|", EXTENDING, flags=re.MULTILINE)
    assert len(rows) > 6
    for selection in rows:
        with redirect_stdout(io.StringIO()):
            result = project.dbt("ls", *shlex.split(selection))
        assert result.success and result.result, selection


def test_the_page_names_every_analysis() -> None:
    [table] = re.findall(r"^\| query \| one row per \|\n(.*?)\n\n", EXTENDING, flags=re.M | re.S)
    named = re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE)
    assert sorted(named) == sorted(path.stem for path in (ROOT / "analyses").glob("*.sql"))


def test_what_is_added_passes_its_tests(project: Project) -> None:
    added = ("support_calls", "support_call_observations", "int_experiment_metrics")
    result = project.dbt("test", "--select", *added)
    assert len(with_status(result, "pass")) >= 6
    assert result.success, failures(result)


def test_support_calls_are_metrics(project: Project, twin: Twin, root: Path) -> None:
    """metric_summary against calls and exposures, read and counted by Python alone."""
    calls: dict[str, list[tuple[datetime, float]]] = defaultdict(list)
    with (root / EXAMPLE / "seeds" / "support_calls.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            moment = datetime.fromisoformat(row["called_at"])
            calls[row["visitor_id"]].append((moment, float(row["minutes"])))
    observed: dict[tuple[str, str], list[tuple[int, float]]] = defaultdict(list)
    at_once = before = 0
    for row in twin.exposures:
        if row["exposure_status"] in ("valid", "crossover"):
            of_visitor = calls[row["visitor_id"]]
            minutes = [length for moment, length in of_visitor if moment >= row["exposed_at"]]
            before += len(of_visitor) - len(minutes)
            at_once += sum(moment == row["exposed_at"] for moment, _ in of_visitor)
            arm = row["experiment_id"], row["variation_id"]
            observed[arm].append((len(minutes), sum(minutes)))
    assert before > 20 and at_once > 0
    expected: dict[tuple[str, ...], tuple[float | None, ...]] = {}
    for arm, pairs in observed.items():
        counts, lengths = zip(*pairs, strict=True)
        square = sum(count * count for count in counts)
        expected["support calls", *arm] = (len(pairs), sum(counts), square, None, None, None)
        expected["minutes per support call", *arm] = (
            len(pairs),
            sum(lengths),
            sum(length * length for length in lengths),
            sum(counts),
            square,
            sum(count * length for count, length in pairs),
        )
    found = {
        tuple(key): tuple(sums)
        for *key, visitors, value, squares, below, below_squares, products in project.query(
            """
            select metric_name, experiment_id, variation_id, visitors, value_sum,
                value_sum_squares, denominator_sum, denominator_sum_squares, cross_product_sum
            from metric_summary
            where metric_name like '%support call%' and segment_name = 'all'
            """
        )
        for sums in [(visitors, value, squares, below, below_squares, products)]
    }
    # Minutes are halves: their sums are exact.
    assert found == expected


def test_calls_do_not_outlast_the_attribution_window(project: Project, tmp_path: Path) -> None:
    copied = Project(tmp_path, root=project.root)
    copied.warehouse.write_bytes(project.warehouse.read_bytes())
    counts = []
    for hours in (0, 24):
        result = copied.dbt(
            "run",
            "--select=int_counted_exposures support_call_observations",
            f"--vars={{attribution_window_hours: {hours}}}",
        )
        assert result.success, failures(result)
        counts += copied.query(
            "select sum(value) from support_call_observations where metric_name = 'support calls'"
        )
    assert counts[0] > counts[1]


def test_a_name_that_is_taken_fails_a_test(project: Project, tmp_path: Path) -> None:
    """By a declared metric, and by an automatic one."""
    copied = Project(tmp_path, root=project.root)
    copied.warehouse.write_bytes(project.warehouse.read_bytes())
    copied.execute(
        """
        alter view support_call_observations rename to observations;
        create view support_call_observations as
        select * replace (
            case metric_name
                when 'support calls' then 'purchase rate' else 'purchase: revenue'
            end as metric_name
        )
        from observations;
        """
    )
    result = copied.dbt("build", "--full-refresh", "--select", "int_experiment_metrics+")
    assert failed_rows(result) == {
        "unique_together_int_experiment_metrics_experiment_id__metric_name": 2 * EXPERIMENTS
    }
    assert "unique_together_experiment_results" in str(with_status(result, "skipped"))


@pytest.fixture
def edited(root: Path, tmp_path: Path) -> Project:
    """A copy of the project, to be edited, with nothing landed."""
    return Project(tmp_path, root=shutil.copytree(root, tmp_path / "project"))


def test_a_metric_of_two_models_fails_a_test(project: Project, edited: Project) -> None:
    """Both would be counted: each has its own rows of the visitors."""
    (edited.root / "models" / "more_calls.sql").write_text(
        "select * from {{ ref('support_call_observations') }}"
    )
    settings = edited.root / "dbt_project.yml"
    models = "observation_models: [support_call_observations"
    settings.write_text(settings.read_text().replace(models, f"{models}, more_calls"))
    edited.warehouse.write_bytes(project.warehouse.read_bytes())
    result = edited.dbt("build", "--select", "more_calls int_daily_values int_experiment_metrics+")
    assert failed_rows(result) == {
        "unique_together_int_experiment_metrics_experiment_id__metric_name": 2 * EXPERIMENTS
    }
    assert "unique_together_experiment_results" in str(with_status(result, "skipped"))


def test_seeds_are_read_letter_by_letter(edited: Project) -> None:
    rows = [
        ["signed up", "1", "event", "event_name", "'signed up'"],
        ["sale interest", "1", "event", "event_name", "'90s sale"],
        ["sale interest", "1", "event", "event_name", "summer sale"],
        ["sale interest", "1", "event", "event_name", "sale: boys'"],
        ["sale interest", "1", "event", "event_name", 'a "b", c'],
    ]
    path = edited.root / "seeds" / "metric_events.csv"
    header = path.read_text().splitlines()[0].split(",")
    for written in (rows[:-1], rows):  # without any " and with some
        with path.open("w", newline="") as file:
            csv.writer(file).writerows(
                [header, *([*row, *[""] * (len(header) - len(row))] for row in written)]
            )
        result = edited.dbt("seed", "--select", "metric_events")
        assert result.success, failures(result)
        found = edited.query(
            "select metric_name, position, clause, match_field, match_value from metric_events"
        )
        assert sorted([*map(str, row)] for row in found) == sorted(written)


def test_a_model_of_ones_own_rebuilds_the_visitors_that_were_touched(
    tmp_path: Path, root: Path
) -> None:
    """Those, and no others; that they are right is tested in test_package.py."""
    export = tmp_path / "export"
    write_export(export, days=6, visitors=200, events=4_000)
    project = Project(tmp_path, root=root)
    [*_, day_before, _] = open_export(str(export)).dates("events")
    project.pull(export, until=day_before)
    selection = "--select=+visitor_purchases"
    project.build(selection)
    # A mark on every row: those that are built again lose it.
    project.execute("update visitor_purchases set purchases = purchases + 1000")
    project.pull(export)
    project.build(selection)
    days = "select visitor_id from optimizely_raw.{} where _export_date > ?"
    touched = project.query(
        f"{days.format('decisions')} union {days.format('conversions')}", day_before, day_before
    )
    marked = dict(project.query("select visitor_id, purchases >= 1000 from visitor_purchases"))
    rebuilt = {visitor_id for visitor_id, is_marked in marked.items() if not is_marked}
    assert rebuilt == {visitor_id for (visitor_id,) in touched} & marked.keys()
    assert set(marked.values()) == {True, False}
