"""Page checksums: every damaged page of a file that carries them is found."""

import itertools
import random
from contextlib import suppress
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loader.landing.page_checksums import BadPage, Chunk, check_pages, read_chunks

SEED = 11
ROWS = 3_000


def rows() -> pa.Table:
    """Every shape of column that the export has: text, numbers, lists of structs, maps."""
    rng = random.Random(SEED)
    return pa.table(
        {
            "text": [rng.choice(["a", "bb", None, "é" * 20]) for _ in range(ROWS)],
            "number": [rng.randrange(10**12) for _ in range(ROWS)],
            "flag": [rng.random() < 0.5 for _ in range(ROWS)],
            "list": [[{"id": str(n), "is": True}] * (n % 3) for n in range(ROWS)],
            "map": pa.array(
                [[("k", str(n))] for n in range(ROWS)], pa.map_(pa.string(), pa.string())
            ),
        }
    )


def write(path: Path, **options: object) -> Path:
    pq.write_table(rows(), path, data_page_size=4_000, row_group_size=700, **options)
    return path


def checked_pages(path: Path) -> int:
    with path.open("rb") as source:
        return check_pages(source)


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("compression", ["snappy", "zstd", "none"])
@pytest.mark.parametrize("use_dictionary", [True, False])
def test_whole_files_pass(
    tmp_path: Path, version: str, compression: str, use_dictionary: bool
) -> None:
    path = write(
        tmp_path / "file.parquet",
        write_page_checksum=True,
        data_page_version=version,
        compression=compression,
        use_dictionary=use_dictionary,
    )
    columns = 7  # leaves of the five columns
    assert checked_pages(path) >= columns * 5  # row groups


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_finds_what_a_peer_finds(tmp_path: Path, version: str) -> None:
    path = write(tmp_path / "file.parquet", write_page_checksum=True, data_page_version=version)
    whole = path.read_bytes()
    metadata = pq.ParquetFile(path).metadata
    rng = random.Random(SEED)
    found = 0
    for _ in range(200):
        flipped = bytearray(whole)
        flipped[rng.randrange(4, len(whole) - metadata.serialized_size)] ^= 1 << rng.randrange(8)
        path.write_bytes(flipped)
        is_found = _is_found(path)
        found += is_found
        assert is_found or not _peer_finds(path)
    assert found > 120  # the others are in headers and indexes, which no checksum covers


@pytest.mark.parametrize("use_dictionary", [True, False])
def test_no_bit_of_a_header_changes_rows(tmp_path: Path, use_dictionary: bool) -> None:
    """Checksums do not cover headers: what DuckDB reads with one bit changed is the same, or no
    file."""
    path = tmp_path / "file.parquet"
    table = pa.table({"text": ["a", None, "b", "a"] * 5, "list": [[{"id": "1"}], [], None, []] * 5})
    pq.write_table(table, path, write_page_checksum=True, use_dictionary=use_dictionary)
    whole = path.read_bytes()
    pages = range(4, len(whole) - 8 - int.from_bytes(whole[-8:-4], "little"))
    unfound = 0
    with duckdb.connect() as connection:
        right = connection.execute(f"from '{path}'").fetchall()
        for position, bit in itertools.product(pages, range(8)):
            flipped = bytearray(whole)
            flipped[position] ^= 1 << bit
            path.write_bytes(flipped)
            if not _is_found(path):
                unfound += 1
                with suppress(duckdb.Error, UnicodeDecodeError):
                    found = connection.execute(f"from '{path}'").fetchall()
                    assert found == right, f"bit {bit} of byte {position}"
    assert unfound > 100  # statistics, and what DuckDB refuses


def _is_found(path: Path) -> bool:
    try:
        with path.open("rb") as source:
            check_pages(source)
    except BadPage:
        return True
    return False


def _peer_finds(path: Path) -> bool:
    try:
        pq.ParquetFile(path, page_checksum_verification=True).read()
    except (OSError, pa.ArrowException) as error:
        return "CRC checksum verification failed" in str(error)
    return False


def test_a_file_without_checksums_says_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "file.parquet")
    assert checked_pages(path) == 0
    content = bytearray(path.read_bytes())
    content[200] ^= 1
    path.write_bytes(content)
    assert checked_pages(path) == 0


def test_a_file_without_rows_passes(tmp_path: Path) -> None:
    path = tmp_path / "empty.parquet"
    pq.write_table(rows().slice(0, 0), path, write_page_checksum=True)
    assert checked_pages(path) == 0


def test_the_column_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "file.parquet", write_page_checksum=True, use_dictionary=False)
    column = pq.ParquetFile(path).metadata.row_group(2).column(1)
    content = bytearray(path.read_bytes())
    content[column.data_page_offset + column.total_compressed_size - 1] ^= 0x10
    path.write_bytes(content)
    with pytest.raises(BadPage, match="a page of column number is not what was written"):
        checked_pages(path)


@pytest.mark.parametrize("compression", ["snappy", "zstd", "gzip", "brotli", "lz4", "none"])
@pytest.mark.parametrize("use_dictionary", [True, False])
def test_the_footer_says_where_the_pages_are(
    tmp_path: Path, compression: str, use_dictionary: bool
) -> None:
    path = write(tmp_path / "file.parquet", compression=compression, use_dictionary=use_dictionary)
    metadata = pq.ParquetFile(path).metadata
    wanted = []
    for group in range(metadata.num_row_groups):
        for number in range(metadata.num_columns):
            column = metadata.row_group(group).column(number)
            start = column.dictionary_page_offset if use_dictionary else None
            codec = {"none": "uncompressed", "lz4": "lz4_raw"}.get(compression, compression)
            wanted.append(
                Chunk(
                    column.path_in_schema,
                    codec,
                    start or column.data_page_offset,
                    column.total_compressed_size,
                    column.num_values,
                )
            )
    with path.open("rb") as source:
        assert read_chunks(source) == wanted


def test_a_damaged_footer_ends_nothing(tmp_path: Path) -> None:
    # pyarrow's own column metadata ends the process at some of these.
    path = tmp_path / "file.parquet"
    rng = random.Random(SEED)
    for options in ({}, {"write_page_checksum": True}):
        pq.write_table(rows().slice(0, 50), path, **options)
        whole = path.read_bytes()
        size = pq.ParquetFile(path).metadata.serialized_size
        for _ in range(1_000):
            flipped = bytearray(whole)
            flipped[rng.randrange(len(whole) - 8 - size, len(whole))] ^= 1 << rng.randrange(8)
            path.write_bytes(flipped)
            with path.open("rb") as source, suppress(BadPage):
                check_pages(source)
                read_chunks(source)


def test_a_damaged_first_page_hides_no_checksum(tmp_path: Path) -> None:
    path = write(tmp_path / "file.parquet", write_page_checksum=True)
    whole = path.read_bytes()
    for place in range(4, 40):
        for bit in range(8):
            flipped = bytearray(whole)
            flipped[place] ^= 1 << bit
            path.write_bytes(flipped)
            with suppress(BadPage):
                assert checked_pages(path) > 0
