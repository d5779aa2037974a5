"""What a file may hold: any physical type lands the same; what would lose something stays out."""

import io
import random
from collections.abc import Callable
from datetime import datetime
from itertools import permutations
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loader import spec
from loader.errors import ExitCode
from loader.landing.footers import BadFile, Footer, read_footer
from loader.pull import PullResult
from tests.loader.exports import (
    conversion,
    conversions_of,
    day,
    expected,
    few_days,
    landed_units,
    pull,
    query,
    staged,
)
from tests.loader.files import MILLISECONDS, columns, parquet, spoil_pages, table_bytes
from tests.models.histories import parquet_bytes, write_state

INSTANT = datetime(2024, 2, 27, 5, 59, 59, 123000)
"""In New York it is still the day before."""

TIMESTAMPS: dict[str, tuple[pa.Array, dict[str, Any]]] = {
    "int64 milliseconds": (pa.array([MILLISECONDS, None]), {}),
    "TIMESTAMP_MILLIS": (pa.array([INSTANT, None], pa.timestamp("ms")), {}),
    "TIMESTAMP_MILLIS, UTC": (pa.array([INSTANT, None], pa.timestamp("ms", tz="UTC")), {}),
    "TIMESTAMP_MICROS": (pa.array([INSTANT, None], pa.timestamp("us")), {}),
    "TIMESTAMP_MICROS, UTC": (pa.array([INSTANT, None], pa.timestamp("us", tz="UTC")), {}),
    "nanoseconds": (pa.array([INSTANT, None], pa.timestamp("ns")), {}),
    "nanoseconds, UTC": (pa.array([INSTANT, None], pa.timestamp("ns", tz="UTC")), {}),
    "nanoseconds, New York": (
        pa.array([INSTANT, None], pa.timestamp("ns", tz="America/New_York")),
        {},
    ),
    "micros, written as of New York": (
        pa.array([INSTANT, None], pa.timestamp("us", tz="America/New_York")),
        {},
    ),
    "INT96": (
        pa.array([INSTANT, None], pa.timestamp("ns")),
        {"use_deprecated_int96_timestamps": True},
    ),
    "legacy TIMESTAMP_MILLIS": (pa.array([INSTANT, None], pa.timestamp("ms")), {"version": "1.0"}),
}

TEXT = pa.string()
TEXT_MAP = pa.map_(TEXT, TEXT)


def elements(kind: str, **types: pa.DataType) -> pa.DataType:
    """A list of a column's structs, every field a text but for `types`."""
    return pa.list_(
        pa.struct([(name, types.get(name, TEXT)) for name in spec.ELEMENT_FIELDS[kind]])
    )


ATTRIBUTE = {"id": "300", "name": "n", "type": "t", "value": "v"}
EXPERIMENT = {"campaign_id": "C", "experiment_id": "E", "variation_id": "V", "is_holdback": True}
UNLIKE: dict[str, list[tuple[pa.Array, list[Any]]]] = {
    "value": [
        (pa.array([7, None], pa.int32()), [7.0, None]),
        (pa.array([10.49, 1e300]), [10.49, 1e300]),
        (pa.array([0.5, 3.0], pa.float32()), [0.5, 3.0]),
    ],
    "revenue": [
        (pa.array([1, None], pa.int32()), [1, None]),
        (pa.array([2**40, -(2**40)]), [2**40, -(2**40)]),
    ],
    "timestamp": [
        (pa.array([time, None], pa.timestamp(unit)), [time, None])
        for unit, time in {
            "ns": datetime(2024, 2, 27),
            "us": datetime(2500, 1, 1),  # which nanoseconds do not reach
            "ms": datetime(2500, 1, 2),
        }.items()
    ],
    "tags": [
        (pa.array([[("k", None)], None], pa.map_(TEXT, pa.null())), [{"k": None}, None]),
        (pa.array([[("k", "v")], []], TEXT_MAP), [{"k": "v"}, {}]),
    ],
    "attributes": [
        (pa.array([[], None], pa.list_(pa.null())), [[], None]),
        (
            pa.array([[ATTRIBUTE | {"id": None}], []], elements(spec.ATTRIBUTES, id=pa.null())),
            [[ATTRIBUTE | {"id": None}], []],
        ),
        (pa.array([[ATTRIBUTE], None], elements(spec.ATTRIBUTES)), [[ATTRIBUTE], None]),
    ],
    "experiments": [
        (
            pa.array(
                [[EXPERIMENT | {"is_holdback": None}], []],
                elements(spec.EXPERIMENTS, is_holdback=pa.null()),
            ),
            [[EXPERIMENT | {"is_holdback": None}], []],
        ),
        (
            pa.array([[EXPERIMENT], None], elements(spec.EXPERIMENTS, is_holdback=pa.bool_())),
            [[EXPERIMENT], None],
        ),
    ],
}
"""By column, arrays of types that can all be landed, and what each lands as."""


class Landing:
    """Lands files as one day of conversions."""

    def __init__(self, folder: Path):
        self.root = folder / "export"
        self.warehouse = folder / "w.duckdb"

    def land(self, *files: bytes) -> PullResult:
        """Makes the day hold these files, and pulls."""
        self.write(*files)
        return pull(self.root, self.warehouse)

    def write(self, *files: bytes) -> None:
        """Makes the day hold these files."""
        folder = self.root / f"type=events/date={day(0)}"
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.iterdir():
            path.unlink()
        for number, content in enumerate(files):
            (folder / f"part-{number}.parquet").write_bytes(content)
        (folder / "_SUCCESS").touch()

    def values(self, sql: str) -> list[Any]:
        """Values of an expression, by file and row."""
        rows = query(
            self.warehouse,
            f"""
            select {sql} from optimizely_raw.conversions
            inner join optimizely_ledger.files on _file_id = file_id order by key, _file_row
            """,
        )
        return [value for (value,) in rows]


@pytest.fixture
def landing(tmp_path: Path) -> Landing:
    return Landing(tmp_path)


class TestTimestamps:
    @pytest.mark.parametrize("shape", TIMESTAMPS)
    def test_is_the_same_instant(self, landing: Landing, shape: str) -> None:
        array, options = TIMESTAMPS[shape]
        landing.land(parquet(columns(timestamp=array), **options))
        assert landing.values("timestamp") == [INSTANT, None]
        assert landing.values("typeof(timestamp)") == ["TIMESTAMP", "TIMESTAMP"]


class TestAccepted:
    @pytest.mark.parametrize(
        ("column", "array", "landed"),
        [
            ("experiments", pa.nulls(2), [None, None]),
            ("experiments", pa.array([[], None], pa.list_(pa.null())), [[], None]),
            ("tags", pa.nulls(2), [None, None]),
            ("tags", pa.array([[], [("k", None)]], pa.map_(TEXT, pa.null())), [{}, {"k": None}]),
            ("referer", pa.array(["x", None]).dictionary_encode(), ["x", None]),
            ("referer", pa.array(["x", None], pa.large_string()), ["x", None]),
            ("referer", pa.array(["nul\0é🛒", ""]), ["nul\0é🛒", ""]),
            ("revenue", pa.array([-5, None], pa.int32()), [-5, None]),
            ("revenue", pa.array([2**63 - 1, -(2**63)]), [2**63 - 1, -(2**63)]),
            ("value", pa.array([0.5, None], pa.float32()), [0.5, None]),
            ("value", pa.array([7, None], pa.int32()), [7.0, None]),
            ("visitor_id", pa.nulls(2), [None, None]),
        ],
        ids=str,
    )
    def test_physical_type(
        self, landing: Landing, column: str, array: pa.Array, landed: list[Any]
    ) -> None:
        assert landing.land(parquet(columns(**{column: array}))).exit_code == ExitCode.DONE
        assert landing.values(column) == landed

    def test_optional_columns_may_be_absent(self, landing: Landing) -> None:
        landing.land(parquet(columns()))
        optional = [c.name for c in spec.CONVERSIONS.columns if not c.is_required]
        assert len(optional) == 14
        for name in optional:
            assert landing.values(f'"{name}"') == [None, None]

    def test_fields_of_a_struct_in_another_order(self, landing: Landing) -> None:
        element = {"id": "I", "name": None, "type": "T", "value": "V"}
        fields = pa.struct([(name, TEXT) for name in ("value", "extra", "type", "name", "id")])
        array = pa.array([[element | {"extra": "E"}], []], pa.list_(fields))
        experiment = {
            "campaign_id": "C",
            "experiment_id": "E",
            "variation_id": "V",
            "is_holdback": True,
        }
        reverse = pa.struct(
            [("is_holdback", pa.bool_())]
            + [(name, TEXT) for name in ("variation_id", "experiment_id", "campaign_id")]
        )
        experiments = pa.array([[experiment], [None]], pa.list_(reverse))

        landing.land(parquet(columns(attributes=array, experiments=experiments)))

        assert landing.values("attributes") == [[element], []]
        assert landing.values("experiments") == [[experiment], [None]]

    def test_unlike_files_in_one_day(self, landing: Landing) -> None:
        files = [
            parquet(columns(revenue=pa.array([1, 2], pa.int32()))),
            parquet(columns(tags=pa.array([[("k", "v")], None], TEXT_MAP))),
            parquet(columns()),
        ]
        [landed] = landing.land(*files).landed
        assert landed.row_count == 6
        assert landing.values("tags") == [None, None, {"k": "v"}, None, None, None]
        assert landing.values("_file_row") == [0, 1, 0, 1, 0, 1]

    @pytest.mark.parametrize("column", UNLIKE)
    def test_a_file_lands_the_same_whichever_are_beside_it(
        self, landing: Landing, column: str
    ) -> None:
        for first, second in permutations(UNLIKE[column], 2):
            cases = (first, second)
            files = [parquet(columns(**{column: array})) for array, _ in cases]
            assert landing.land(*files).exit_code == ExitCode.DONE
            assert landing.values(column) == [value for _, landed in cases for value in landed]

    @pytest.mark.parametrize("row_groups", [0, 1])
    def test_no_rows(self, landing: Landing, row_groups: int) -> None:
        table = pa.table(columns()).slice(0, 0)
        target = io.BytesIO()
        with pq.ParquetWriter(target, table.schema) as writer:
            for _ in range(row_groups):
                writer.write_table(table)
        [landed] = landing.land(target.getvalue(), parquet(columns())).landed
        assert (landed.file_count, landed.row_count) == (2, 2)

    def test_many_row_groups_keep_the_row_number(self, landing: Landing) -> None:
        table = pa.table(columns(uuid=pa.array([str(n) for n in range(2)])))
        landing.land(table_bytes(pa.concat_tables([table] * 5), row_group_size=1))
        assert landing.values("_file_row") == list(range(10))
        assert landing.values("uuid") == ["0", "1"] * 5


REFUSED: dict[str, tuple[dict[str, pa.Array | None], str]] = {
    "revenue is double": (
        {"revenue": pa.array([1.0, 2.0])},
        "column revenue is double, which cannot become long",
    ),
    "revenue is unsigned": ({"revenue": pa.array([1, 2], pa.uint64())}, "revenue is uint64"),
    "revenue is decimal": (
        {"revenue": pa.array([1, 2]).cast(pa.decimal128(25, 2))},
        "revenue is decimal128(25, 2)",
    ),
    "value is long": ({"value": pa.array([1, 2])}, "value is int64, which cannot become double"),
    "value is text": ({"value": pa.array(["1", "2"])}, "value is string"),
    "timestamp is text": (
        {"timestamp": pa.array(["2024-02-27", None])},
        "timestamp is string, which cannot become timestamp",
    ),
    "timestamp is double": ({"timestamp": pa.array([1.7e12, None])}, "timestamp is double"),
    "timestamp is a date": ({"timestamp": pa.array([day(0), None])}, "timestamp is date32[day]"),
    "timestamp is int32": ({"timestamp": pa.array([1, 2], pa.int32())}, "timestamp is int32"),
    "visitor is a number": ({"visitor_id": pa.array([1, 2])}, "visitor_id is int64"),
    "visitor is bytes": ({"visitor_id": pa.array([b"v", b"w"])}, "visitor_id is binary"),
    "tags are structs": (
        {"tags": pa.array([[{"key": "k", "value": "v"}], None])},
        "column tags is list<",
    ),
    "tags are text": ({"tags": pa.array(["{}", None])}, "column tags is string"),
    "tags hold numbers": (
        {"tags": pa.array([[("k", 1)], None], pa.map_(TEXT, pa.int64()))},
        "which cannot become text_map",
    ),
    "attributes are a map": (
        {"attributes": pa.array([[("k", "v")], None], TEXT_MAP)},
        "which cannot become attributes",
    ),
    "attributes lack a field": (
        {"attributes": pa.array([[{"name": "n", "value": "v"}], None])},
        "which cannot become attributes",
    ),
    "attributes have a field twice": (
        {"attributes": pa.array([[{"Name": "x", **ATTRIBUTE}], None])},
        "which cannot become attributes",
    ),
    "attributes hold numbers": (
        {"attributes": pa.array([[{"id": 1, "name": "n", "type": "t", "value": "v"}], None])},
        "which cannot become attributes",
    ),
    "holdback is text": (
        {
            "experiments": pa.array(
                [[dict.fromkeys(spec.ELEMENT_FIELDS[spec.EXPERIMENTS], "true")], None]
            )
        },
        "which cannot become experiments",
    ),
    "two required columns are absent": (
        {"visitor_id": None, "revenue": None},
        "required columns are missing: visitor_id, revenue",
    ),
    "a column in another letter case": (
        {"visitor_id": None, "Visitor_ID": pa.array(["v", "w"])},
        "required columns are missing: visitor_id",
    ),
    "a second column in another letter case": (
        {"Visitor_ID": pa.array(["v", "w"])},
        "two columns have one name",
    ),
    "a column that the reader adds": (
        {"File_Row_Number": pa.array([7, 8])},
        "a column has a name that the reader needs: File_Row_Number",
    ),
    "another column that the reader adds": (
        {"filename": pa.array(["a", "b"])},
        "a column has a name that the reader needs: filename",
    ),
}


def footer_of(content: bytes, folder: Path, table: spec.Table = spec.CONVERSIONS) -> Footer:
    path = folder / "file.parquet"
    path.write_bytes(content)
    return read_footer(path, table)


class TestRefused:
    @pytest.mark.parametrize("case", REFUSED)
    def test_schema(self, tmp_path: Path, case: str) -> None:
        changes, reason = REFUSED[case]
        with pytest.raises(BadFile) as refused:
            footer_of(parquet(columns(**changes)), tmp_path)
        assert reason in str(refused.value)

    @pytest.mark.parametrize("table", spec.TABLES.values(), ids=lambda table: table.name)
    def test_every_required_column_is_required(self, tmp_path: Path, table: spec.Table) -> None:
        required = [column.name for column in table.columns if column.is_required]
        assert len(required) >= 7
        for missing in required:
            arrays = {name: pa.nulls(1) for name in required if name != missing}
            with pytest.raises(BadFile, match=f"required columns are missing: {missing}$"):
                footer_of(parquet(arrays), tmp_path, table)

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda content: b"",
            lambda content: b"PAR1",
            lambda content: b"PAR1PAR1",
            lambda content: b"<Error><Code>AccessDenied</Code></Error>",
            lambda content: content[:-1],
            lambda content: content[: len(content) // 2],
            lambda content: content[10:],
            lambda content: b"PARE" + content[4:-4] + b"PARE",
        ],
        ids=["empty", "tiny", "magic only", "text", "cut", "half", "beheaded", "encrypted"],
    )
    def test_no_parquet(self, landing: Landing, spoil: Callable[[bytes], bytes]) -> None:
        result = landing.land(spoil(parquet(columns())))
        [(_, bad)] = result.quarantined
        [reason] = bad.bad_files.values()
        assert result.exit_code == ExitCode.BAD_INPUT
        assert reason.isprintable()

    def test_two_columns_of_one_name(self, tmp_path: Path) -> None:
        table = pa.table(columns())
        table = table.append_column("uuid", table["uuid"])
        with pytest.raises(BadFile, match="two columns have one name"):
            footer_of(table_bytes(table), tmp_path)

    @pytest.mark.parametrize("milliseconds", [2**63 - 1, -(2**63), 2**60])
    def test_timestamps_beyond_any_calendar(self, landing: Landing, milliseconds: int) -> None:
        spoilt = parquet(columns(timestamp=pa.array([milliseconds, None])))
        result = landing.land(parquet(columns()), spoilt)
        [(_, bad)] = result.quarantined
        assert [file.key for file in bad.bad_files] == [f"type=events/date={day(0)}/part-1.parquet"]

    def test_text_that_is_not_utf8(self, landing: Landing) -> None:
        buffers = pa.array([b"\xff", b"\xfe"]).buffers()
        text = pa.StringArray.from_buffers(2, buffers[1], buffers[2])
        assert landing.land(parquet(columns(visitor_id=text))).exit_code == ExitCode.BAD_INPUT

    def test_a_column_whose_name_is_not_utf8(self, landing: Landing) -> None:
        spoilt = parquet(columns(), store_schema=False).replace(b"visitor_id", b"\xff\xfesitor_id")
        result = landing.land(spoilt)
        assert result.exit_code == ExitCode.BAD_INPUT
        [(_, bad)] = result.quarantined
        assert "not a readable Parquet file" in str(bad)

    @pytest.mark.parametrize("compression", ["snappy", "zstd", "none"])
    def test_flipped_bits_never_end_in_a_traceback(
        self, landing: Landing, compression: str
    ) -> None:
        rng = random.Random(compression)
        good = table_bytes(pa.concat_tables([pa.table(columns())] * 200), compression=compression)
        outcomes = set()
        for _ in range(8):
            spoilt = bytearray(good)
            for _ in range(rng.choice((1, 3, 20))):
                spoilt[rng.randrange(len(spoilt))] ^= 1 << rng.randrange(8)
            result = landing.land(bytes(spoilt))
            outcomes.add(result.exit_code)
            assert all(landed.row_count == 400 for landed in result.landed)
        assert ExitCode.BAD_INPUT in outcomes
        assert outcomes <= {ExitCode.DONE, ExitCode.BAD_INPUT}


class TestQuarantine:
    @pytest.mark.parametrize("fault", ["footer", "page"])
    def test_a_bad_file_keeps_its_day_out_until_it_is_mended(
        self, tmp_path: Path, fault: str
    ) -> None:
        warehouse = tmp_path / "w.duckdb"
        root = write_state(tmp_path / "export", few_days())
        pull(root, warehouse)
        state = few_days() | conversions_of(day(1), conversion("new", day(1)), part="part-new")
        [(key, _)] = state[("events", day(1))]
        state |= conversions_of(day(2), conversion("another", day(2)))
        write_state(tmp_path / "export", state)
        content = (root / key).read_bytes()
        (root / key).write_bytes(content[:-9] if fault == "footer" else spoil_pages(content))

        result = pull(root, warehouse)

        assert result.exit_code == ExitCode.BAD_INPUT
        assert landed_units(result) == [("events", day(2))]
        others = state | {("events", day(1)): few_days()[("events", day(1))]}
        assert staged(warehouse) == expected(others)
        [found] = query(
            warehouse,
            "select export_type, export_date, key, size from optimizely_ledger.quarantined_files",
        )
        assert found == ("events", day(1), key, (root / key).stat().st_size)
        [(reason,)] = query(warehouse, "select reason from optimizely_ledger.quarantined_files")
        assert reason

        assert pull(root, warehouse).exit_code == ExitCode.BAD_INPUT  # and again, not twice
        assert query(warehouse, "select count(*) from optimizely_ledger.quarantined_files") == [
            (1,)
        ]

        (root / key).write_bytes(content)
        assert landed_units(pull(root, warehouse)) == [("events", day(1))]
        assert staged(warehouse) == expected(state)
        assert query(warehouse, "from optimizely_ledger.quarantined_files") == []

    def test_only_the_bad_files_of_a_day_are_named(self, landing: Landing) -> None:
        good = parquet(columns())
        result = landing.land(good, b"bad", good, parquet(columns(uuid=None)))
        [(_, bad)] = result.quarantined
        assert [file.key[-14:] for file in bad.bad_files] == ["part-1.parquet", "part-3.parquet"]
        assert result.landed == []
        assert query(landing.warehouse, "from optimizely_ledger.days") == []

    def test_a_damaged_file_makes_no_other_seem_bad(self, landing: Landing) -> None:
        # Of some of these DuckDB says `FATAL Error`, and its database reads nothing from then on.
        [(key, rows), *_] = few_days(1)["events", day(0)]
        good = parquet_bytes(key, rows)
        rng = random.Random(5)
        refused = 0
        for number in range(34):
            damaged = bytearray(good)
            place = rng.randrange(len(good) // 2 if number % 2 else 0, len(good))
            damaged[place] ^= 1 << rng.randrange(8)
            for _, bad in landing.land(bytes(damaged), good).quarantined:
                assert [file.key[-14:] for file in bad.bad_files] == ["part-0.parquet"]
                refused += 1
        assert refused > 10
