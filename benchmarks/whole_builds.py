"""Building everything, beside the script by hand."""

from pathlib import Path

from benchmarks.by_hand import check_by_hand
from benchmarks.measure import BrokenBenchmark, Job, Measured, measure_in_turn, python
from benchmarks.pulls import SINCE_EVER
from benchmarks.setting import DbtCosts, Setting
from benchmarks.tables import Section, row

SCRIPT = Path(__file__).with_name("by_hand.sql")
LANDED = "landed"
BUILT = "built"
BUILD_TARGET = 2
SMALLEST_MODEL = "int_data_end"
"""A view of one row: what a command that builds it costs is dbt's own."""


def full_builds(setting: Setting, *, tested: bool) -> tuple[Section, DbtCosts]:
    """The models beside the script by hand; leaves the states `landed` and `built`.

    Args:
        setting: What is built.
        tested: Also with the tests of the models.
    """
    warehouse = setting.warehouse
    hand, start_up = baselines(setting)

    def check_and_keep(_: Measured) -> None:
        check_by_hand(warehouse.path, by_hand_file(setting))
        warehouse.keep(BUILT)

    def from_landed() -> None:
        warehouse.restore(LANDED)

    models = warehouse.dbt_job(
        "`dbt run --full-refresh`: all models",
        *("run", "--full-refresh"),
        prepare=from_landed,
        check=check_and_keep,
    )
    with_tests = warehouse.dbt_job(
        "`dbt build --full-refresh`: with seeds and tests",
        *("build", "--full-refresh"),
        prepare=from_landed,
    )
    dbt_jobs = [start_up, models, *([with_tests] if tested else [])]
    measured = measure_in_turn([hand, *dbt_jobs], setting.repetitions)
    costs = DbtCosts(measured[start_up.name], measured[models.name])
    rows = [row(hand.name, measured[hand.name]), row(start_up.name, measured[start_up.name])]
    rows += [
        row(
            job.name,
            measured[job.name],
            measured[hand.name],
            target,
            compared=costs.beyond_start_up(measured[job.name]),
        )
        for job, target in ((models, f"≤ {BUILD_TARGET} of by hand"), (with_tests, ""))
        if job.name in measured
    ]
    return Section(f"Building {setting.title}", rows, [_storage(setting)]), costs


def baselines(setting: Setting) -> tuple[Job, Job]:
    """The script by hand and dbt's start-up; leaves the state `landed`, which both begin with."""
    _land(setting)
    start_up = setting.warehouse.dbt_job(
        "dbt's start-up: one view",
        *("run", "--select", SMALLEST_MODEL),
        prepare=lambda: setting.warehouse.restore(LANDED),
    )
    return _by_hand_job(setting), start_up


def report_pages(setting: Setting) -> Section:
    """`report build` on what was built."""
    warehouse = setting.warehouse
    site = setting.folder / "site"

    def check(_: Measured) -> None:
        if not list(site.glob("experiment-*.html")):
            raise BrokenBenchmark("the site has no page of an experiment")

    job = Job(
        "`report build`",
        python("report", "build", "--warehouse", warehouse.path, "--out", site),
        prepare=lambda: warehouse.restore(BUILT),
        check=check,
    )
    measured = measure_in_turn([job], setting.repetitions)
    return Section(f"The pages of {setting.title}", [row(job.name, measured[job.name])])


def by_hand_file(setting: Setting) -> Path:
    """Where the script's tables are."""
    return setting.folder / "script.duckdb"


def _land(setting: Setting) -> None:
    """Lands everything and loads the seeds, which are no part of what is measured."""
    warehouse = setting.warehouse
    warehouse.clear()
    warehouse.pull(setting.sample.folder, "--since", SINCE_EVER)
    warehouse.dbt("seed")
    warehouse.keep(LANDED)


def _by_hand_job(setting: Setting) -> Job:
    copy = by_hand_file(setting)

    def prepare() -> None:
        setting.warehouse.restore(LANDED)
        setting.warehouse.path.replace(copy)

    return Job(
        "the same by hand, one script",
        python("benchmarks.run_sql", SCRIPT, copy, setting.memory),
        prepare=prepare,
    )


def _storage(setting: Setting) -> str:
    rows = setting.sample.rows
    return (
        f"Bytes an event: {setting.sample.bytes / rows:.0f} in the export, "
        f"{setting.warehouse.kept_bytes(LANDED) / rows:.0f} landed, "
        f"{setting.warehouse.kept_bytes(BUILT) / rows:.0f} landed and built."
    )
