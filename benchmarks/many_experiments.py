"""Building ten experiments beside one, of the same visitors and events."""

from benchmarks.measure import BrokenBenchmark, Job, Measured, measure_in_turn
from benchmarks.setting import DbtCosts, Setting
from benchmarks.tables import Section
from benchmarks.whole_builds import LANDED

EXPERIMENT = "21000000001"
COPIES = 10

KEEP_ONE = f"""
    delete from optimizely_raw.decisions
    where experiment_id is distinct from '{EXPERIMENT}';
    update optimizely_raw.conversions
    set experiments = list_filter(
        experiments, lambda element: element.experiment_id = '{EXPERIMENT}'
    );
"""

# Each copy of a decision is a row and an event of its own.
COPY_IT = f"""
    insert into optimizely_raw.decisions
    select * exclude (number) replace (
        uuid || '-' || copies.number as uuid,
        experiment_id || copies.number as experiment_id,
        variation_id || copies.number as variation_id,
        _file_row + copies.number * 1000000000 as _file_row
    )
    from optimizely_raw.decisions
    cross join range(1, {COPIES}) as copies (number);
    update optimizely_raw.conversions
    set experiments = experiments || flatten(list_transform(
        range(1, {COPIES}),
        lambda number: list_transform(
            experiments,
            lambda element: struct_pack(
                campaign_id := element.campaign_id,
                experiment_id := element.experiment_id || number,
                variation_id := element.variation_id || number,
                is_holdback := element.is_holdback
            )
        )
    ))
    where len(experiments) > 0;
"""


def many_experiments(setting: Setting, costs: DbtCosts) -> Section:
    """All models of one experiment, and of it and its copies."""
    warehouse = setting.warehouse
    jobs = []
    warehouse.restore(LANDED)
    for number, change, name in (
        (1, KEEP_ONE, "one experiment"),
        (COPIES, COPY_IT, f"{COPIES} experiments"),
    ):
        warehouse.execute(change)
        warehouse.keep(name)
        jobs.append(_job(setting, name, number))
    measured = measure_in_turn(jobs, setting.repetitions)
    one, many = jobs
    return Section(
        f"Experiments of the same visitors: {setting.title}",
        [
            costs.row(one.name, measured[one.name]),
            costs.row(many.name, measured[many.name], measured[one.name]),
        ],
    )


def _job(setting: Setting, name: str, experiments: int) -> Job:
    warehouse = setting.warehouse

    def check(_: Measured) -> None:
        found = warehouse.query("select count(distinct experiment_id) from metric_summary")
        if found != [(experiments,)]:
            raise BrokenBenchmark(f"{found} experiments were built, not {experiments}")

    return warehouse.dbt_job(
        f"`dbt run --full-refresh`, {name}",
        *("run", "--full-refresh"),
        prepare=lambda: warehouse.restore(name),
        check=check,
    )
