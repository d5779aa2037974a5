"""The demo's export: deterministic, shaped like the real one, awkward, and true about itself."""

import hashlib
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from loader import spec
from loader.demo import DemoSummary, write_export
from loader.demo.folders import escape, event_folder, experiment_folder
from loader.errors import ExitCode, LoaderError

MINUTE = 60_000
DAY = 24 * 60 * MINUTE
ERA_CHANGE = "2023-10-09"
TEXT_TYPE = "string"
STRUCT = "list<element: struct<{}>>"
ARROW_TYPES = {
    spec.TEXT: TEXT_TYPE,
    spec.LONG: "int64",
    spec.DOUBLE: "double",
    spec.BOOLEAN: "bool",
    spec.TIMESTAMP: "timestamp[ms, tz=UTC]",
    spec.ATTRIBUTES: STRUCT.format("id: string, name: string, type: string, value: string"),
    spec.EXPERIMENTS: STRUCT.format(
        "campaign_id: string, experiment_id: string, variation_id: string, is_holdback: bool"
    ),
}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> DemoSummary:
    return write_export(tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="module")
def rows(demo: DemoSummary) -> Iterator[duckdb.DuckDBPyConnection]:
    """Tables `decisions` and `conversions`, and `everything`: both; with each file's day."""
    with duckdb.connect() as connection:
        for table in spec.TABLES.values():
            files = [str(path) for path in part_files(demo.folder, table.export_type)]
            connection.read_parquet(
                files, union_by_name=True, filename=True, hive_partitioning=False
            ).create_view("files")
            connection.execute(
                f"""
                create table {table.name} as
                select
                    * exclude (timestamp, process_timestamp),
                    epoch_ms(timestamp) as sent_at,
                    epoch_ms(process_timestamp) as received_at,
                    lower(uuid) as event_id,
                    regexp_extract(filename, 'date=([0-9-]+)', 1) as day,
                    regexp_extract(filename, '/([^/]+)/[^/]+$', 1) as folder
                from files
                """
            )
            connection.execute("drop view files")
        connection.execute(
            """
            create view everything as
            select 'decisions' as type, visitor_id, uuid, event_id, sent_at, received_at, day,
                session_id, attributes, user_agent, referer, user_ip
            from decisions
            union all
            select 'conversions', visitor_id, uuid, event_id, sent_at, received_at, day,
                session_id, attributes, user_agent, referer, user_ip
            from conversions
            """
        )
        yield connection


def part_files(folder: Path, export_type: str = "*") -> list[Path]:
    return sorted(folder.glob(f"v1/account_id=*/type={export_type}/date=*/*/part-*.parquet"))


def number(connection: duckdb.DuckDBPyConnection, query: str) -> Any:
    row = connection.execute(query).fetchone()
    assert row is not None
    return row[0]


def hashes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


# --- the same arguments give the same bytes -----------------------------------------------------


def test_same_bytes_whatever_time_zone_hash_seed_and_number_of_workers(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from loader.demo import writer;"
        "writer.EVENTS_PER_CHUNK = 1000; writer.MOST_WORKERS = int(sys.argv[2]);"
        "writer.os.cpu_count = lambda: 4;"
        "writer.write_export(Path(sys.argv[1]), visitors=300, events=6000)"
    )
    found = []
    for zone, hash_seed, workers in (("America/New_York", "1", "1"), ("Asia/Tokyo", "2", "4")):
        folder = tmp_path / hash_seed
        environment = os.environ | {"TZ": zone, "PYTHONHASHSEED": hash_seed}
        command = [sys.executable, "-c", program, str(folder), workers]
        root = Path(__file__).parents[2]
        subprocess.run(command, env=environment, check=True, cwd=root)
        found.append(hashes(folder))
    assert found[0] == found[1]
    assert any("part-00005-" in name for name in found[0])


def test_another_seed_gives_another_export(tmp_path: Path) -> None:
    one, two = (
        {
            digest
            for name, digest in hashes(
                write_export(tmp_path / str(seed), seed=seed, events=500, visitors=50).folder
            ).items()
            if "/part-" in name and "/part-99999-" not in name
        }
        for seed in (1, 2)
    )
    assert one
    assert one.isdisjoint(two)


def test_a_complete_demo_is_left_as_it_is(tmp_path: Path) -> None:
    first = write_export(tmp_path, events=300, visitors=20)
    newest = max(path.stat().st_mtime_ns for path in tmp_path.rglob("*"))
    assert write_export(tmp_path, events=300, visitors=20) == first
    assert max(path.stat().st_mtime_ns for path in tmp_path.rglob("*")) == newest


def test_an_interrupted_demo_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> tuple[int, int]:
        raise KeyboardInterrupt

    monkeypatch.setattr("loader.demo.writer._write_empty_part", fail)
    with pytest.raises(KeyboardInterrupt):
        write_export(tmp_path / "cut", events=300, visitors=20)
    assert part_files(tmp_path / "cut")
    assert not list(tmp_path.rglob("_SUCCESS"))
    monkeypatch.undo()
    finished = write_export(tmp_path / "cut", events=300, visitors=20)
    whole = write_export(tmp_path / "whole", events=300, visitors=20)
    assert finished == replace(whole, folder=finished.folder)
    assert hashes(tmp_path / "cut") == hashes(tmp_path / "whole")


@pytest.mark.parametrize("note", [None, "not json", '{"arguments": {"seed": 9}}'])
def test_a_folder_with_another_export_is_refused(tmp_path: Path, note: str | None) -> None:
    (tmp_path / "v1").mkdir()
    if note is not None:
        (tmp_path / "demo.json").write_text(note)
    with pytest.raises(LoaderError, match=r"choose an empty folder$") as refusal:
        write_export(tmp_path, events=10)
    assert refusal.value.exit_code is ExitCode.USAGE


@pytest.mark.parametrize(
    "arguments",
    [
        {"days": 0},
        {"days": 3651},
        {"visitors": 1, "days": 1, "events": 1001},
    ],
)
def test_impossible_arguments_are_refused(tmp_path: Path, arguments: dict[str, int]) -> None:
    with pytest.raises(LoaderError, match=r"^[a-z0-9].*: choose ") as refusal:
        write_export(tmp_path / "new", **arguments)
    assert refusal.value.exit_code is ExitCode.USAGE
    assert not (tmp_path / "new").exists()


# --- sizes --------------------------------------------------------------------------------------


def test_summary_says_what_was_written(demo: DemoSummary) -> None:
    files = part_files(demo.folder)
    assert demo.files == len(files)
    assert demo.bytes == sum(path.stat().st_size for path in files)
    assert demo.events == sum(pq.read_metadata(path).num_rows for path in files)
    assert demo.first_date.isoformat() == "2023-10-02"
    assert demo.last_date.isoformat() == "2023-10-15"
    note = json.loads((demo.folder / "demo.json").read_text())
    assert note["arguments"] == {"seed": 1, "days": 14, "visitors": 3000, "events": 60000}


def test_events_and_visitors_are_as_asked(
    demo: DemoSummary, rows: duckdb.DuckDBPyConnection
) -> None:
    assert demo.events == pytest.approx(60_000, rel=0.05)
    assert number(rows, "select count(distinct visitor_id) from everything") == pytest.approx(
        3000, rel=0.05
    )


@pytest.mark.parametrize("days", [1, 2, 6, 7, 40])
@pytest.mark.parametrize(("events", "visitors"), [(1, 1), (1, 500), (40, 3), (2500, 2000)])
def test_small_demos(tmp_path: Path, days: int, events: int, visitors: int) -> None:
    demo = write_export(tmp_path, days=days, events=events, visitors=visitors)
    assert demo.events == pytest.approx(events, rel=0.05)


@pytest.mark.parametrize("days", [1, 7])
def test_no_events_leave_only_marks(tmp_path: Path, days: int) -> None:
    demo = write_export(tmp_path, days=days, events=0)
    assert (demo.files, demo.events, demo.bytes) == (0, 0, 0)
    names = {path.name for path in (tmp_path / "v1").rglob("*") if path.is_file()}
    assert names == {"_SUCCESS"}


# --- shape --------------------------------------------------------------------------------------


def test_every_file_has_the_columns_of_the_specification(demo: DemoSummary) -> None:
    optional = {"experiments", "properties"}
    for path in part_files(demo.folder):
        table = spec.TABLES["decisions" if "type=decisions" in str(path) else "events"]
        schema = pq.read_schema(path)
        expected = [
            column
            for column in table.columns
            if column.name in schema.names or column.name not in optional
        ]
        assert schema.names == [column.name for column in expected]
        assert schema.metadata is None
        for column in expected:
            kind = str(schema.field(column.name).type)
            assert schema.field(column.name).nullable
            if column.kind == spec.TEXT_MAP:
                assert kind.startswith("map<string, string")
            else:
                assert kind == ARROW_TYPES[column.kind]


def test_files_are_physically_like_the_real_ones(demo: DemoSummary) -> None:
    for path in part_files(demo.folder):
        assert path.name.endswith(".c000.snappy.parquet")
        described = pq.ParquetFile(path)
        for name in ("timestamp", "process_timestamp"):
            column = described.schema.column(described.schema_arrow.names.index(name))
            assert column.physical_type == "INT64"
            assert column.converted_type == "TIMESTAMP_MILLIS"
            assert "isAdjustedToUTC=true" in str(column.logical_type)
        for group in range(described.metadata.num_row_groups):
            columns = described.metadata.row_group(group)
            codecs = {columns.column(place).compression for place in range(columns.num_columns)}
            assert codecs == {"SNAPPY"}


def test_marks_stand_at_the_days_and_nowhere_else(demo: DemoSummary) -> None:
    account = next((demo.folder / "v1").iterdir())
    for export_type in spec.TABLES:
        days = sorted((account / f"type={export_type}").iterdir())
        assert len(days) == 13, "one of the 14 days is missing"
        assert all((day / "_SUCCESS").read_bytes() == b"" for day in days)
        holding_data = [day for day in days if any(child.is_dir() for child in day.iterdir())]
        assert len(holding_data) == 12, "one day is empty"
    assert len(list(demo.folder.rglob("_SUCCESS"))) == 26


def test_days_are_days_of_receipt(rows: duckdb.DuckDBPyConnection) -> None:
    wrong = """
        select count(*) from everything
        where day <> strftime(make_timestamp(received_at * 1000), '%Y-%m-%d')
    """
    assert number(rows, wrong) == 0


def test_folders_are_named_by_the_columns(rows: duckdb.DuckDBPyConnection) -> None:
    names = rows.execute("select distinct folder, event_name from conversions").fetchall()
    assert all(folder == event_folder(name) for folder, name in names)
    ids = rows.execute("select distinct folder, experiment_id from decisions").fetchall()
    assert all(folder == experiment_folder(one) for folder, one in ids)


def test_escaping_is_sparks() -> None:
    assert escape("a:b/c%d=e\"f#g'h*i?j\\k{l[m]n^o\x07") == (
        "a%3Ab%2Fc%25d%3De%22f%23g%27h%2Ai%3Fj%5Ck%7Bl%5Bm%5Dn%5Eo%07"
    )
    raw = "space + & ; ( ) } é 🛒"
    assert escape(raw) == raw
    assert (
        experiment_folder(None)
        == experiment_folder("")
        == ("experiment=__HIVE_DEFAULT_PARTITION__")
    )


# --- everything awkward is there ----------------------------------------------------------------

CONVERSION_ATTRIBUTES = "conversions, unnest(attributes) as one(a)"
AWKWARD = {
    "old era with sessions": f"from decisions where day < '{ERA_CHANGE}' and session_id <> ''",
    "new era": f"from conversions where day >= '{ERA_CHANGE}' and session_id is null",
    "negative session": "from everything where session_id like '-%'",
    "colliding session": """
        from (select session_id from everything where session_id is not null
              group by session_id having count(distinct visitor_id) > 1)""",
    "experiments empty in the new era": f"""
        from conversions where day >= '{ERA_CHANGE}' and len(experiments) = 0""",
    "experiments several": "from conversions where len(experiments) > 2",
    "experiments held back": """
        from conversions, unnest(experiments) as one(e) where e.is_holdback""",
    "experiments without campaign": """
        from conversions, unnest(experiments) as one(e) where e.campaign_id = ''""",
    "decision and conversion in one millisecond": """
        from decisions inner join conversions using (visitor_id, sent_at)""",
    "late by hours": """
        from everything where received_at - sent_at between 3600000 and 86400000""",
    "late by days": "from everything where received_at - sent_at > 86400000",
    "clock ahead": "from everything where sent_at > received_at",
    "clock ahead by most of an hour": "from everything where sent_at - received_at > 45 * 60000",
    "upper case": "from everything where uuid = upper(uuid)",
    "lower case": "from everything where uuid = lower(uuid)",
    "duplicate on the same day": """
        from (select 1 from everything group by type, visitor_id, event_id, day
              having count(*) > 1)""",
    "duplicate across days": """
        from (select 1 from everything group by type, visitor_id, event_id
              having count(distinct day) > 1)""",
    "duplicate in other case": """
        from (select 1 from everything group by type, visitor_id, event_id
              having count(distinct uuid) > 1)""",
    "crossover in one millisecond": """
        from decisions as a inner join decisions as b using (visitor_id, experiment_id, sent_at)
        where experiment_id <> '' and a.variation_id < b.variation_id""",
    "crossover in a later visit": """
        from decisions as a inner join decisions as b using (visitor_id, experiment_id)
        where experiment_id <> '' and a.variation_id <> b.variation_id
            and b.sent_at > a.sent_at + 1800000""",
    "bot": f"""
        from {CONVERSION_ATTRIBUTES}
        where coalesce(a.name, a.id) = '$opt_bot_filtering' and a.value = 'true'""",
    "bot by id": f"""
        from {CONVERSION_ATTRIBUTES} where a.name is null and a.id = '$opt_bot_filtering'""",
    "not a bot": f"""
        from {CONVERSION_ATTRIBUTES} where a.name = '$opt_bot_filtering' and a.value = 'false'""",
    "experiment without campaign": """
        from decisions where campaign_id = '' and experiment_id <> ''""",
    "decision of no experiment, empty": """
        from decisions where experiment_id = '' and variation_id = ''""",
    "decision of no experiment, NULL": """
        from decisions where experiment_id is null and variation_id is null""",
    "event NULL": "from conversions where event_name is null and folder = 'event=NULL'",
    "event named by its entity": "from conversions where event_name = entity_id",
    "client_activation": "from conversions where event_type = 'client_activation'",
    "no event type": "from conversions where event_type is null",
    "revenue": "from conversions where revenue > 0 and value > 0",
    "value of doubles": "from conversions where value <> round(value, 2)",
    "quantity NULL": "from conversions where quantity is null",
    "quantity 0": "from conversions where quantity = 0",
    "quantity of many": "from conversions where quantity > 1",
    "two products of one basket": """
        from conversions as a inner join conversions as b using (visitor_id, sent_at, entity_id)
        where a.revenue > 0 and a.event_id < b.event_id""",
    "tags NULL": "from conversions where tags is null",
    "tags empty": "from conversions where cardinality(tags) = 0",
    "tags several": "from conversions where cardinality(tags) > 1",
    "tags with NULL value": """
        from conversions, unnest(map_values(tags)) as one(v) where v is null""",
    "tags hostile": """
        from conversions, unnest(map_values(tags)) as one(v) where v like '%<script>%'""",
    "attributes NULL": "from everything where attributes is null",
    "attributes empty": "from everything where len(attributes) = 0",
    "attributes several": "from everything where len(attributes) > 3",
    "attribute without name": f"from {CONVERSION_ATTRIBUTES} where a.name is null and a.id <> ''",
    "attribute of metadata": f"from {CONVERSION_ATTRIBUTES} where a.type = 'metadata'",
    "attribute typed": f"from {CONVERSION_ATTRIBUTES} where unicode(a.value) = 57344",
    "attribute hostile": f"from {CONVERSION_ATTRIBUTES} where a.value like '%<script>%'",
    "attribute with quotes": f"from {CONVERSION_ATTRIBUTES} where a.value like '%\"%'",
    "attribute without value": f"from {CONVERSION_ATTRIBUTES} where a.value is null",
    "properties": "from conversions where cardinality(properties) > 0",
    "user agent NULL": "from everything where user_agent is null",
    "user agent of a browser": "from everything where user_agent like 'Mozilla/5.0 (%'",
    "user agent hostile": "from everything where user_agent like '%<script>%'",
    "referer NULL": "from everything where referer is null",
    "referer hostile": "from everything where referer like '%\">%'",
    "address NULL": "from everything where user_ip is null",
    "address": "from everything where user_ip like '%.%.%.0'",
    "id beyond 32 bits": "from decisions where try_cast(experiment_id as bigint) > 4294967296",
    "visit over midnight": f"""
        from (select min(sent_at) // {DAY} as first_day, max(sent_at) // {DAY} as last_day
              from everything where session_id is not null group by visitor_id, session_id)
        where last_day > first_day""",
}


@pytest.mark.parametrize("query", AWKWARD.values(), ids=AWKWARD.keys())
def test_awkward(rows: duckdb.DuckDBPyConnection, query: str) -> None:
    assert number(rows, f"select count(*) {query}") > 0


@pytest.mark.parametrize("text", [" ", ":", "/", "%", '"', "'", "+", ";", "é", "🛒", "=", "#"])
def test_awkward_event_names(rows: duckdb.DuckDBPyConnection, text: str) -> None:
    names = rows.execute("select distinct event_name from conversions").fetchall()
    assert any(text in name for (name,) in names if name is not None)


def test_columns_that_come_and_go(demo: DemoSummary) -> None:
    ways = defaultdict(set)
    for path in part_files(demo.folder, "events"):
        table = pq.read_table(path)
        is_new = path.parts[-3] >= f"date={ERA_CHANGE}"
        assert ("properties" in table.column_names) is is_new
        if not is_new:
            assert table["experiments"].null_count == 0
            assert table["session_id"].null_count == 0
            continue
        assert table["session_id"].null_count == len(table)
        if "experiments" not in table.column_names:
            ways["absent"].add(path)
        elif len(table):
            lengths = {
                None if one is None else len(one) for one in table["experiments"].to_pylist()
            }
            assert lengths in ({None}, {0})
            ways["empty" if lengths == {0} else "null"].add(path)
    assert set(ways) == {"absent", "empty", "null"}


def test_files_that_are_odd(demo: DemoSummary) -> None:
    assert any(pq.read_metadata(path).num_rows == 0 for path in part_files(demo.folder))
    assert list(demo.folder.glob("v1/*/*/*/.part-*.crc"))
    assert list(demo.folder.glob("v1/*/*/*/_temporary-part-*.parquet"))


def test_revenue_is_never_null(rows: duckdb.DuckDBPyConnection) -> None:
    assert number(rows, "select count(*) from conversions where revenue is null") == 0
    assert number(rows, "select count(*) from conversions where revenue = 0") > 0


# --- how often ----------------------------------------------------------------------------------


def test_duplicates_are_exact_but_for_receipt_and_case(rows: duckdb.DuckDBPyConnection) -> None:
    share = "select 1 - count(distinct (type, visitor_id, event_id)) / count(*) from everything"
    assert number(rows, share) == pytest.approx(0.005, abs=0.001)
    differing = """
        select count(*) from conversions as a inner join conversions as b using (event_id)
        where a.visitor_id <> b.visitor_id or a.sent_at <> b.sent_at or a.entity_id <> b.entity_id
    """
    assert number(rows, differing) == 0


def test_crossovers_are_rare(rows: duckdb.DuckDBPyConnection) -> None:
    share = """
        with exposures as (
            select count(distinct variation_id) as variations
            from decisions where experiment_id <> '' group by visitor_id, experiment_id)
        select count(*) filter (variations > 1) / count(*) from exposures
    """
    assert number(rows, share) == pytest.approx(0.01, abs=0.005)


def test_holdback_is_in_one_experiment(rows: duckdb.DuckDBPyConnection) -> None:
    held_back = rows.execute(
        """
        select experiment_id, count(distinct visitor_id) filter (is_holdback)
            / count(distinct visitor_id) as share
        from decisions group by 1 having share > 0
        """
    ).fetchall()
    assert held_back == [("21000000004", pytest.approx(0.03, abs=0.015))]
    assert number(rows, "select count(*) from decisions where is_holdback is null") == 0


def test_bots_are_bots_in_all_their_events(rows: duckdb.DuckDBPyConnection) -> None:
    flagged, whole, visitors = rows.execute(
        """
        with events as (
            select visitor_id, len(list_filter(attributes, lambda a:
                coalesce(a.name, a.id) = '$opt_bot_filtering'
                and lower(ltrim(a.value, chr(57344))) = 'true')) as flags
            from everything),
        visitors as (
            select bool_or(coalesce(flags, 0) > 0) as any_event,
                bool_and(coalesce(flags, 0) > 0) as all_events
            from events group by visitor_id)
        select count(*) filter (any_event), count(*) filter (all_events), count(*) from visitors
        """
    ).fetchall()[0]
    assert flagged == whole
    assert flagged / visitors == pytest.approx(0.01, abs=0.006)


def test_one_experiment_runs_in_part_of_the_dates(rows: duckdb.DuckDBPyConnection) -> None:
    first, last = rows.execute(
        f"""
        select min(sent_at) // {DAY} - (select min(sent_at) // {DAY} from everything),
            (select max(sent_at) // {DAY} from everything) - max(sent_at) // {DAY}
        from decisions where experiment_id = '21000000005'
        """
    ).fetchall()[0]
    assert first > 0
    assert last > 0


def test_the_funnel_narrows_and_the_planted_effect_shows(
    rows: duckdb.DuckDBPyConnection,
) -> None:
    steps = [
        number(
            rows, f"select count(distinct visitor_id) from conversions where event_name = '{name}'"
        )
        for name in ("product_viewed", "add_to_cart", "checkout: started", "purchase")
    ]
    assert steps == sorted(steps, reverse=True)
    assert steps[3] > 0
    rates = dict(
        rows.execute(
            """
            with exposed as (
                select visitor_id, min_by(variation_id, sent_at) as variation_id
                from decisions where experiment_id = '21000000001' group by 1)
            select variation_id, avg((visitor_id in (
                select visitor_id from conversions where event_name = 'purchase'))::int)
            from exposed group by 1
            """
        ).fetchall()
    )
    assert rates["21000001002"] > 1.15 * rates["21000001001"]


# --- what the vendor says is true ---------------------------------------------------------------


def test_vendor_sessions_are_those_of_the_rule(rows: duckdb.DuckDBPyConnection) -> None:
    ours: dict[tuple[str, str], set[int]] = defaultdict(set)
    theirs: dict[tuple[str, int], set[str]] = defaultdict(set)
    cut_after_a_day = 0
    before: tuple[str, int] | None = None
    start = 0
    events = rows.execute(
        "select visitor_id, sent_at, session_id from everything order by visitor_id, sent_at"
    ).fetchall()
    for visitor, at, session in events:
        is_same = before is not None and before[0] == visitor
        rested = before is None or at - before[1] >= 30 * MINUTE
        if not is_same or rested or at - start > DAY:
            cut_after_a_day += is_same and not rested
            start = at
        before = (visitor, at)
        if session is not None:
            ours[visitor, session].add(start)
            theirs[visitor, start].add(session)
    assert len(ours) > 1000
    assert all(len(starts) == 1 for starts in ours.values())
    assert all(len(sessions) == 1 for sessions in theirs.values())
    assert cut_after_a_day >= 1, "a kiosk's session is cut after 24 hours"
    numbers = [int(session) for _, session in ours]
    assert min(numbers) >= -(2**31)
    assert max(numbers) < 2**31


def test_vendor_attribution_agrees_with_the_decisions(rows: duckdb.DuckDBPyConnection) -> None:
    first: dict[str, dict[str, tuple[int, str, str]]] = defaultdict(dict)
    held_back: dict[str, dict[str, tuple[int, str]]] = defaultdict(dict)
    for visitor, experiment, variation, campaign, is_holdback, at in rows.execute(
        """
        select visitor_id, experiment_id, variation_id, campaign_id, is_holdback, sent_at
        from decisions where experiment_id <> '' order by sent_at, received_at, event_id
        """
    ).fetchall():
        if is_holdback:
            held_back[visitor].setdefault(experiment, (at, variation))
        else:
            first[visitor].setdefault(experiment, (at, variation, campaign))
    conversions = rows.execute(
        f"select visitor_id, sent_at, experiments from conversions where day < '{ERA_CHANGE}'"
    ).fetchall()
    elements = 0
    for visitor, at, experiments in conversions:
        expected = {
            experiment: (variation, campaign)
            for experiment, (decided_at, variation, campaign) in first[visitor].items()
            if decided_at <= at
        }
        counted = [one for one in experiments if not one["is_holdback"]]
        found = {one["experiment_id"]: (one["variation_id"], one["campaign_id"]) for one in counted}
        assert found == expected
        assert len(found) == len(counted)
        for one in experiments:
            if one["is_holdback"]:
                decided_at, variation = held_back[visitor][one["experiment_id"]]
                assert decided_at <= at
                assert variation == one["variation_id"]
        elements += len(experiments)
    assert elements > 10_000
