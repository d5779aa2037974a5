"""The benchmarks run: a tiny one, which fails when it is broken and never when it is slow."""

import json
import subprocess
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import duckdb
import pytest

from benchmarks.changes import ONE_MORE_METRIC, rewritten_day
from benchmarks.exports import write_demo
from benchmarks.many_experiments import COPIES, COPY_IT, KEEP_ONE
from benchmarks.measure import BrokenBenchmark, Job, measure
from benchmarks.pulls import SINCE_EVER
from benchmarks.setting import Setting
from benchmarks.suite import beside
from benchmarks.tables import README, Section, add_folder, markers, write_between_markers
from benchmarks.warehouse import Warehouse
from benchmarks.whole_builds import BUILT
from tests.models.project import ROOT, declare


def run_benchmark(folder: Path, module: str, options: str) -> tuple[dict[str, Any], str]:
    """Runs a benchmark, which leaves nothing behind; what it found, and what it printed."""
    found, scratch = folder / "found.json", folder / "a" / "scratch"
    done = subprocess.run(
        [
            *(sys.executable, "-m", f"benchmarks.{module}", *options.split()),
            *("--folder", str(scratch), "--json", str(found)),
        ],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert {*folder.rglob("*")} == {found, scratch, scratch.parent}
    return json.loads(found.read_text(encoding="utf-8")), done.stdout


def test_a_tiny_benchmark_of_landing(tmp_path: Path) -> None:
    found, stdout = run_benchmark(
        tmp_path,
        "landing",
        "--repetitions 1 --events 3000 --days 3 --files 20 --file-kilobytes 30 "
        "--history-events 2000 --history-days 2 4",
    )
    sections = found["sections"]
    jobs = [row["job"] for section in sections for row in section["rows"]]
    assert len(jobs) == 2 + 3 + 2 + 2
    assert all(f"| {job} |" in stdout for job in jobs)
    assert all(row["seconds"] > 0 for section in sections for row in section["rows"])


def test_a_tiny_benchmark_of_funnels(tmp_path: Path) -> None:
    found, _ = run_benchmark(
        tmp_path,
        "funnels",
        "--repetitions 1 --events 3000 --crowd 500",
    )
    sections = found["sections"]
    assert [len(section["rows"]) for section in sections] == [3, 2]


def test_a_tiny_benchmark_of_building(tmp_path: Path) -> None:
    """With one of the builds after a change: each takes as long as all models do."""
    found, _ = run_benchmark(
        tmp_path,
        "building",
        "--repetitions 1 --events 3000 --days 4 --only landing,nothing",
    )
    sections = found["sections"]
    assert [len(section["rows"]) for section in sections] == [2, 3, 1]
    assert [len(section["notes"]) for section in sections] == [0, 1, 1]


def test_what_a_benchmark_of_building_changes(tmp_path: Path) -> None:
    sample = write_demo(tmp_path / "export", events=3000, days=4)
    warehouse = Warehouse(tmp_path, "1GB")
    setting = Setting(sample, 4, warehouse, tmp_path, "1GB", repetitions=1)
    warehouse.pull(sample.folder, "--since", SINCE_EVER)
    warehouse.keep(BUILT)
    rewritten = rewritten_day(setting).pull
    assert rewritten is not None
    measure(rewritten)

    experiments = """
        select count(*), count(distinct experiment_id), count(distinct (_file_id, _file_row))
        from optimizely_raw.decisions
    """
    elements = "select cast(sum(len(experiments)) as bigint) from optimizely_raw.conversions"
    warehouse.execute(KEEP_ONE)
    [(one_times,)] = warehouse.query("select count(*) from optimizely_raw.decisions")
    [(attributed,)] = warehouse.query(elements)
    warehouse.execute(COPY_IT)
    assert isinstance(one_times, int) and isinstance(attributed, int)
    ten_times = COPIES * one_times
    assert warehouse.query(experiments) == [(ten_times, COPIES, ten_times)]
    assert warehouse.query(elements) == [(COPIES * attributed,)]

    with duckdb.connect(warehouse.path) as connection:
        declare(connection, [], [])
    warehouse.execute(ONE_MORE_METRIC)
    assert warehouse.query("select count(*) from metrics") == [(1,)]
    assert warehouse.query("select count(*) from metric_events") == [(3,)]


def test_a_tiny_benchmark_of_a_suite(tmp_path: Path) -> None:
    """Of another project: to install this one takes minutes."""
    project = tmp_path / "project"
    test_file = project / "tests" / "some" / "test_it.py"
    test_file.parent.mkdir(parents=True)

    def commit(tests: str) -> None:
        test_file.write_text(tests)
        who = "-c user.name=A -c user.email=a@example.com"
        for command in ("init --quiet", "add .", f"{who} commit --quiet -m A"):
            subprocess.run(["git", "-C", project, *command.split()], check=True)

    def measured() -> Section:
        baseline = Job("nothing", [sys.executable, "-c", ""])
        return beside([baseline], project, tmp_path / "clone", repetitions=1)

    (project / "Makefile").write_text(f"test:\n\t@{sys.executable} -m pytest $(PYTEST)\n")
    commit(
        "import pytest, time\n"
        "def test_a(): time.sleep(0.01)\n"
        "@pytest.mark.skip\n"
        "def test_b(): pass\n"
    )
    section = measured()
    assert [row.ratio is None for row in section.rows] == [True, False]
    assert section.notes[0].startswith("1 tests passed and 1 were skipped, in ")
    assert section.notes[1] == "Of the seconds of all tests: some 100%."
    commit("def test_a(): assert False\n")
    with pytest.raises(BrokenBenchmark, match="1 failed"):
        measured()


def test_a_small_simulation(tmp_path: Path) -> None:
    """False positives, power and intervals of the whole project are what theory allows."""
    found, _ = run_benchmark(
        tmp_path,
        "simulation",
        "--experiments 120 --planted 60 --visitors 750 --days 3",
    )
    findings = found["findings"]
    for_contrast = [finding for finding in findings if finding["upper"] is None]
    assert (len(findings), len(for_contrast)) == (30, 3)


def test_a_folder_is_the_same_for_every_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    parser = ArgumentParser()
    add_folder(parser)
    assert parser.parse_args(["--folder", "a/b"]).folder == tmp_path / "a" / "b"
    assert (tmp_path / "a" / "b").is_dir()


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
