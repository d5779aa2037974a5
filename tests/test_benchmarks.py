"""The benchmarks run: a tiny one, which fails when it is broken and never when it is slow."""

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.changes import ONE_MORE_METRIC
from benchmarks.many_experiments import COPIES, COPY_IT, KEEP_ONE
from benchmarks.tables import README, markers, write_between_markers
from loader.demo import write_export
from tests.models.project import ROOT, Project


def test_a_tiny_benchmark_of_landing(tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.landing", "--repetitions", "1"),
            *("--events", "3000", "--days", "3", "--files", "20", "--file-kilobytes", "30"),
            *("--history-events", "2000", "--history-days", "2", "4"),
            *("--folder", str(tmp_path), "--json", str(found)),
        ],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    sections = json.loads(found.read_text(encoding="utf-8"))["sections"]
    jobs = [row["job"] for section in sections for row in section["rows"]]
    assert len(jobs) == 2 + 3 + 2 + 2
    assert all(f"| {job} |" in done.stdout for job in jobs)
    assert all(row["seconds"] > 0 for section in sections for row in section["rows"])
    assert list(tmp_path.iterdir()) == [found]


def test_a_tiny_benchmark_of_funnels(tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.funnels", "--repetitions", "1"),
            *("--events", "3000", "--crowd", "500", "--folder", str(tmp_path)),
            *("--json", str(found)),
        ],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    sections = json.loads(found.read_text(encoding="utf-8"))["sections"]
    assert [len(section["rows"]) for section in sections] == [3, 2]
    assert list(tmp_path.iterdir()) == [found]


def test_a_tiny_benchmark_of_building(tmp_path: Path) -> None:
    """Of the builds after a change, two: each takes as long as all the rest."""
    found = tmp_path / "found.json"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.building", "--repetitions", "1"),
            *("--events", "3000", "--days", "4", "--only", "landing,rewrite,nothing"),
            *("--folder", str(tmp_path), "--json", str(found)),
        ],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    sections = json.loads(found.read_text(encoding="utf-8"))["sections"]
    assert [len(section["rows"]) for section in sections] == [2, 3, 3]
    assert [len(section["notes"]) for section in sections] == [0, 1, 1]
    assert list(tmp_path.iterdir()) == [found]


def test_what_a_benchmark_of_building_changes(tmp_path: Path) -> None:
    source = tmp_path / "export"
    write_export(source, days=4, visitors=200, events=3000)
    project = Project(tmp_path)
    project.pull(source)
    experiments = """
        select count(*), count(distinct experiment_id), count(distinct (_file_id, _file_row))
        from optimizely_raw.decisions
    """
    elements = "select sum(len(experiments)) from optimizely_raw.conversions"

    project.execute(KEEP_ONE)
    [(decisions, experiment_count, _)] = project.query(experiments)
    assert experiment_count == 1
    [(attributed,)] = project.query(elements)
    project.execute(COPY_IT)
    copied = COPIES * decisions
    assert project.query(experiments) == [(copied, COPIES, copied)]
    assert project.query(elements) == [(COPIES * attributed,)]

    project.declare([], [])
    project.execute(ONE_MORE_METRIC)
    assert project.query("select count(*) from metrics") == [(1,)]
    assert project.query("select count(*) from metric_events") == [(3,)]


def test_a_small_simulation(tmp_path: Path) -> None:
    """False positives, power and intervals of the whole project are what theory allows."""
    found = tmp_path / "found.json"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.simulation", "--experiments", "120"),
            *("--planted", "60", "--visitors", "750", "--days", "3"),
            *("--folder", str(tmp_path), "--json", str(found)),
        ],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    findings = json.loads(found.read_text(encoding="utf-8"))["findings"]
    for_contrast = [finding for finding in findings if finding["upper"] is None]
    assert (len(findings), len(for_contrast)) == (30, 3)
    assert list(tmp_path.iterdir()) == [found]


def test_numbers_are_written_between_the_markers(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text(README.read_text(encoding="utf-8"), encoding="utf-8")
    for text in ("| 1 |", "| 2 |"):
        write_between_markers(page, "landing", text)
    begin, end = markers("landing")
    before, _, rest = page.read_text(encoding="utf-8").partition(begin)
    between, _, after = rest.partition(end)
    assert between == "\n| 2 |\n"
    assert README.read_text(encoding="utf-8").startswith(before)
    assert README.read_text(encoding="utf-8").endswith(end + after)
