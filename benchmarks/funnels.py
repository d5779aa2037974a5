"""Measures `fct_funnel_steps` beside a query by hand: `python -m benchmarks.funnels --help`.

The model's own SQL, as dbt compiles it, runs on tables that are made here: step events of many
visitors, and exposures to some experiments. A slow machine is no error; another answer is.
"""

import argparse
import os
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import duckdb

from benchmarks.measure import BrokenBenchmark, Job, dbt_command, measure_in_turn, python
from benchmarks.tables import Section, add_options, report, row

ROOT = Path(__file__).parents[1]
BY_HAND = Path(__file__).with_name("latest_starts.sql")
MODEL = "fct_funnel_steps"
STEPS = ("view", "cart", "checkout", "buy")

CPU_TARGET = 1.5
MEMORY_TARGET = "< 4 GB (DuckDB is given 3.5)"
EVENTS_PER_VISITOR = 10
EXPERIMENTS_PER_VISITOR = 3


def main() -> None:
    """Runs the benchmark that the command line asks for."""
    report(_parse(), run, "funnels", ("duckdb", "dbt-core", "dbt-duckdb"))


def run(arguments: argparse.Namespace, scratch: Path) -> Iterator[Section]:
    """One comparison after the other, in a folder that may be filled."""
    many = scratch / "warehouse.duckdb"
    _write_events(many, arguments.events, visitors=arguments.events // EVENTS_PER_VISITOR)
    compiled = _compile(many, scratch)
    by_hand = Job("by hand, one experiment", _runs(BY_HAND, many))
    ours = [
        Job(
            f"`{MODEL}`, {experiments} experiment{'s' if experiments > 1 else ''}",
            _runs(compiled, many),
            prepare=partial(_keep_experiments, many, experiments),
            check=lambda _: _compare(many),
        )
        for experiments in (1, arguments.experiments)
    ]
    measured = measure_in_turn([by_hand, *ours], arguments.repetitions)
    baseline = measured[by_hand.name]
    yield Section(
        f"A funnel of four steps over {arguments.events:,} step events of "
        f"{arguments.events // EVENTS_PER_VISITOR:,} visitors",
        [
            row(by_hand.name, baseline),
            *(
                row(
                    job.name,
                    measured[job.name],
                    baseline,
                    f"≤ {CPU_TARGET} of the CPU; memory {MEMORY_TARGET}",
                )
                for job in ours
            ),
        ],
    )
    yield _one_visitor(arguments.crowd, compiled, scratch, arguments.repetitions)


def _one_visitor(events: int, compiled: Path, scratch: Path, repetitions: int) -> Section:
    """So many events of many visitors, and as many of one."""
    jobs = []
    for visitors, name in (
        (events // EVENTS_PER_VISITOR, f"{events:,} events of {events // EVENTS_PER_VISITOR:,}"),
        (1, f"{events:,} events of one visitor"),
    ):
        folder = scratch / f"visitors-{visitors}"
        folder.mkdir()
        warehouse = folder / "warehouse.duckdb"
        _write_events(warehouse, events, visitors=visitors)
        jobs.append(Job(name, _runs(compiled, warehouse)))
    measured = measure_in_turn(jobs, repetitions)
    first, second = jobs
    return Section(
        "One visitor with very many events",
        [
            row(first.name, measured[first.name]),
            row(second.name, measured[second.name], measured[first.name], "≤ 1 of the CPU"),
        ],
    )


def _runs(statements: Path, database: Path) -> list[str]:
    return python("benchmarks.run_sql", statements, database)


def _write_events(database: Path, events: int, *, visitors: int) -> None:
    """Tables under the names of the models that the funnel reads."""
    names = ", ".join(f"'{name}'" for name in STEPS)
    with duckdb.connect(database, config={"memory_limit": "4GB", "threads": 2}) as connection:
        connection.execute(
            f"""
            set preserve_insertion_order = false;
            create table drawn as
            select
                cast(floor(pow(random(), 1.7) * {visitors}) as bigint) as visitor,
                case
                    when random() < 0.6 then 1
                    when random() < 0.6 then 2
                    when random() < 0.6 then 3
                    else 4
                end as step,
                timestamp '2026-01-01'
                + to_milliseconds(cast(floor(random() * 2592000000.0) as bigint)) as occurred_at
            from range({events});
            create table fct_conversions as
            select
                'oeu' || (1690000000000 + visitor) || 'r0.' || (visitor * 6180339887 % 10000000000)
                    as visitor_id,
                visitor_id || ':1767225600000' as session_key,
                cast(uuid() as varchar) as event_id,
                [{names}][step] as event_name,
                '2100000200' || step as entity_id,
                cast(null as varchar) as event_type,
                cast(map {{}} as map(varchar, varchar)) as tags,
                false as is_bot,
                occurred_at,
                visitor
            from drawn;
            drop table drawn;
            create table all_exposures as
            select
                cast(experiment as varchar) as experiment_id,
                visitor_id,
                cast(visitor % 2 as varchar) as variation_id,
                true as is_attributable,
                cast(null as timestamp) as attributed_until,
                -- Most at the first event, some days later.
                first_at + to_milliseconds(
                    case
                        when hash(visitor, experiment) % 3 = 0
                            then cast(hash(visitor, experiment) % 864000000 as bigint)
                        else 0
                    end
                ) as exposed_at
            from (
                select visitor_id, visitor, min(occurred_at) as first_at
                from fct_conversions
                group by visitor_id, visitor
            ) as visitors
            cross join range(1, 11) as experiments (experiment)
            where
                hash(visitor * 31 + experiment) % 10 < {EXPERIMENTS_PER_VISITOR}
                or {visitors} = 1;
            create table int_counted_exposures as from all_exposures;
            create table int_metric_definitions as
            select
                'funnel' as metric_name, 'funnel' as metric_type, 'first_step' as within_from,
                'visitor' as scope, 1::int as metric_number, cast(null as bigint)
                    as window_microseconds, cast(null as bigint) as within_microseconds;
            create table stg_registry__metric_events as
            select
                'funnel' as metric_name, 'step' as clause, 'event_name' as match_field,
                unnest([{names}]) as match_value, cast(null as varchar) as tag_name,
                cast(null as varchar) as tag_value, unnest(range(1, 5)) as part, 1 as min_count;
            checkpoint;
            """
        )


def _keep_experiments(database: Path, experiments: int) -> None:
    with duckdb.connect(database) as connection:
        connection.execute(
            "create or replace table int_counted_exposures as"
            f" from all_exposures where cast(experiment_id as int) <= {experiments};"
            " checkpoint"
        )


def _compile(database: Path, scratch: Path) -> Path:
    """The model's SQL, to be run on tables of its schema."""
    work = scratch / "dbt"
    done = subprocess.run(
        dbt_command(
            *("compile", "--select", MODEL, "--full-refresh", "--target", "incremental"),
            project=ROOT,
            profiles=ROOT / "tests" / "profiles",
            work=work,
        ),
        env=os.environ | {"OPTIMIZELY_E3_WAREHOUSE": str(database)},
        capture_output=True,
        encoding="utf-8",
    )
    if done.returncode != 0:
        raise BrokenBenchmark(f"dbt compile: {done.stdout}{done.stderr}")
    [found] = work.glob(f"compiled/*/models/**/{MODEL}.sql")
    statements = scratch / "funnel.sql"
    select = found.read_text(encoding="utf-8")
    statements.write_text(f"create or replace table {MODEL} as\n{select}", encoding="utf-8")
    return statements


def _compare(database: Path) -> None:
    """Of the first experiment, the model's rows are those by hand."""
    microseconds = ", ".join(
        f"cast(round(seconds_since_{since} * 1000000) as bigint)"
        for since in ("exposure", "first_step", "previous_step")
    )
    with duckdb.connect(database, read_only=True) as connection:
        [(ours, by_hand, different)] = connection.execute(
            f"""
            with ours as (
                select
                    visitor_id, variation_id, step, reached_at, chain_started_at, {microseconds}
                from {MODEL}
                where experiment_id = '1'
            )
            select
                (select count(*) from ours),
                (select count(*) from by_hand),
                (select count(*) from (from ours except from by_hand))
            """
        ).fetchall()
    if ours != by_hand or different or not ours:
        raise BrokenBenchmark(
            f"{MODEL} has {ours:,} rows of the first experiment, by hand there are {by_hand:,}; "
            f"{different:,} differ"
        )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=20_000_000, help="step events")
    parser.add_argument("--experiments", type=int, default=10, help="at most 10")
    parser.add_argument("--crowd", type=int, default=100_000, help="events of one visitor")
    add_options(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
