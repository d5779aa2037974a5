"""What can happen between two builds, as jobs: what lands it, and the build that follows."""

import json
from dataclasses import dataclass, field

from benchmarks.by_hand import check_by_hand
from benchmarks.measure import BrokenBenchmark, Job, Measured
from benchmarks.pulls import SINCE_EVER, pull_command
from benchmarks.setting import Setting
from benchmarks.whole_builds import BUILT, by_hand_file

ONE_MORE_METRIC = """
    insert into main.metrics by name
    select
        'searched to cart' as metric_name,
        'funnel' as metric_type,
        '86400' as within_seconds,
        'first_step' as within_from,
        'increase' as direction,
        'secondary' as role;
    insert into main.metric_events by name
    select
        'searched to cart' as metric_name,
        position,
        'step' as clause,
        'event_name' as match_field,
        match_value
    from (
        values ('1', 'search / filter'), ('2', 'product_viewed'), ('3', 'add_to_cart')
    ) as steps (position, match_value);
"""
"""The example of docs/metrics.md, as rows of the seeds' tables."""


@dataclass(frozen=True)
class Change:
    """A change, and the build after it."""

    build: Job
    pull: Job | None = None
    """What lands it, if it is in the export."""
    rewritten_tables: list[str] = field(default_factory=list)
    """Of a build without news: what it wrote nevertheless."""


def one_more_day(setting: Setting) -> Change:
    """The last day arrives after all others were built."""
    warehouse = setting.warehouse
    *_, before, last = setting.dates
    warehouse.clear()
    warehouse.pull(setting.sample.folder, "--since", SINCE_EVER, "--until", before)
    warehouse.dbt("seed")
    warehouse.dbt("run")
    warehouse.keep("one day less")

    def check_pull(measured: Measured) -> None:
        _check_landed(measured, last)
        warehouse.keep("one day more")

    def check_build(_: Measured) -> None:
        built = f"select count(*) > 0 from fct_conversions where export_date = date '{last}'"
        if warehouse.query(built) != [(True,)]:
            raise BrokenBenchmark(f"{last} is not built")
        # Of the longer history there is none.
        if by_hand_file(setting).exists():
            check_by_hand(warehouse.path, by_hand_file(setting))

    pull = Job(
        "`loader pull` of one more day",
        pull_command(warehouse.path, str(setting.sample.folder)),
        prepare=lambda: warehouse.restore("one day less"),
        check=check_pull,
    )
    build = warehouse.dbt_job(
        "build after one more day",
        "run",
        prepare=lambda: warehouse.restore("one day more"),
        check=check_build,
    )
    return Change(build, pull)


def rewritten_day(setting: Setting) -> Change:
    """The vendor exports a day again, in other files."""
    warehouse = setting.warehouse
    date = rewritten_date(setting)

    def prepare_pull() -> None:
        warehouse.restore(BUILT)
        rewrite(setting)

    def check_pull(measured: Measured) -> None:
        _check_landed(measured, date)
        warehouse.keep("rewritten")

    pull = Job(
        "`loader pull --since` of a day rewritten",
        pull_command(warehouse.path, str(setting.sample.folder), *only(date)),
        prepare=prepare_pull,
        check=check_pull,
    )
    build = warehouse.dbt_job(
        "build after a day rewritten",
        "run",
        prepare=lambda: warehouse.restore("rewritten"),
        check=lambda _: check_by_hand(warehouse.path, by_hand_file(setting)),
    )
    return Change(build, pull)


def no_news(setting: Setting) -> Change:
    """Nothing happens."""
    warehouse = setting.warehouse
    stored: dict[str, list[tuple[object, ...]]] = {}
    rewritten_tables: list[str] = []

    def prepare() -> None:
        warehouse.restore(BUILT)
        stored.update(warehouse.stored_tables())

    def check(_: Measured) -> None:
        check_by_hand(warehouse.path, by_hand_file(setting))
        rewritten_tables[:] = sorted(
            name for name, blocks in warehouse.stored_tables().items() if blocks != stored.get(name)
        )

    build = warehouse.dbt_job("build without news", "run", prepare=prepare, check=check)
    return Change(build, rewritten_tables=rewritten_tables)


def one_more_metric(setting: Setting) -> Change:
    """A funnel is declared."""
    warehouse = setting.warehouse

    def prepare() -> None:
        warehouse.restore(BUILT)
        warehouse.execute(ONE_MORE_METRIC)

    def check(_: Measured) -> None:
        found = "select count(*) > 0 from metric_summary where metric_name = 'searched to cart'"
        if warehouse.query(found) != [(True,)]:
            raise BrokenBenchmark("the added metric has no rows")

    return Change(
        warehouse.dbt_job("build after one metric added", "run", prepare=prepare, check=check)
    )


def rewrite(setting: Setting) -> None:
    """Gives the files of a day other names, as the vendor does when it exports a day again."""
    date = rewritten_date(setting)
    for part in setting.sample.folder.glob(f"type=*/date={date}/*/*.parquet"):
        part.rename(part.with_name(part.name.replace("part-", "part-1", 1)))


def rewritten_date(setting: Setting) -> str:
    """A day in the second half, as rewritten days mostly are."""
    dates = setting.dates
    return dates[len(dates) * 3 // 4]


def only(date: str) -> tuple[str, ...]:
    """The options of a pull of one day."""
    return ("--since", date, "--until", date)


def _check_landed(measured: Measured, date: str) -> None:
    landed = {day["date"] for day in json.loads(measured.stdout)["landed"]}
    if landed != {date}:
        raise BrokenBenchmark(f"{landed or 'nothing'} was landed, not {date}")
