"""Compares the pages of a Parquet file with the checksums it carries, without decoding them.

DuckDB does not look at these checksums: of files with one flipped bit it loads most without a word.
Where a file carries none, nothing is found. Source: the Apache Parquet format, `FileMetaData` and
`PageHeader` in Thrift's compact protocol; the checksum is CRC-32 of a page's bytes as they stand in
the file.

No checksum covers the header of a page. What in it can change rows without a word is compared with
the rest: the kind of page, how many values it has, and how its NULLs are encoded. (Pages of version
2 also say how long the part with the NULLs is, which only decoding it would tell.)

The footer is read here, not by pyarrow: asked for a column of a damaged one, pyarrow (26) ends the
whole process (`terminate called after throwing an instance of 'parquet::ParquetException'`).
"""

import mmap
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

CODECS = ("uncompressed", "snappy", "gzip", "lzo", "brotli", "lz4", "zstd", "lz4_raw")

_ROW_GROUPS, _COLUMNS, _COLUMN_METADATA = 4, 1, 3
_PATH, _CODEC, _VALUES, _SIZE, _DATA_PAGE, _DICTIONARY_PAGE = 3, 4, 5, 7, 9, 11
_CHUNK_FIELDS = dict.fromkeys((_PATH, _CODEC, _VALUES, _SIZE, _DATA_PAGE, _DICTIONARY_PAGE))
_FOOTER_FIELDS = {_ROW_GROUPS: {_COLUMNS: {_COLUMN_METADATA: _CHUNK_FIELDS}}}
"""Fields of `FileMetaData` that are read, by their ids, down to those of `ColumnMetaData`."""

_MAGIC = b"PAR1"
_KIND_FIELD = 1
_COMPRESSED_SIZE_FIELD = 3
_CRC_FIELD = 4
_DATA_KIND = 0
_HEADER_OF_KIND = {_DATA_KIND: 5, 1: 6, 2: 7, 3: 8}
"""Kinds of page: data, index, dictionary, data of version 2; and which field is its own header."""

_VALUES_FIELD = 1
_VALUE_PAGES = (_DATA_KIND, 3)
_LEVEL_ENCODING_FIELDS = (3, 4)
_LEVEL_ENCODINGS = (3, 4)
"""RLE and BIT_PACKED, which are all that levels of a page of data can have."""

_PAGE_FIELDS: dict[int, Any] = {
    **dict.fromkeys((_KIND_FIELD, _COMPRESSED_SIZE_FIELD, _CRC_FIELD)),
    **{field: {_VALUES_FIELD: None} for field in _HEADER_OF_KIND.values()},
    _HEADER_OF_KIND[_DATA_KIND]: dict.fromkeys((_VALUES_FIELD, *_LEVEL_ENCODING_FIELDS)),
}
"""Fields of `PageHeader` that are read, by their ids."""

_FIELDS_WITHOUT_CRC = {1, 2, 3}
"""Integer fields of every page's header: its type and its two sizes."""

_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(1, 13)
"""Types of Thrift's compact protocol."""


class BadPage(Exception):
    """A page whose bytes are not those that were written, or whose header cannot be read."""


class _BadChecksum(BadPage):
    """A page whose checksum was read and differs."""


@dataclass(frozen=True)
class Chunk:
    """Where the pages of one column of one row group are; -1 where the footer does not say."""

    column: str
    codec: str
    start: int
    size: int
    values: int
    """With NULLs; of lists, those of the elements."""


def check_pages(source: BinaryIO) -> int:
    """Compares every page that carries a checksum with it; returns how many did.

    Raises:
        BadPage: Naming the column.
    """
    checked = 0
    damaged: list[str] = []
    with mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if _has_no_checksums(content):
            return 0
        for chunk in _chunks(content):
            try:
                checked += _check_chunk(content, chunk)
            except _BadChecksum as error:
                raise BadPage(_told(chunk.column)) from error
            except (BadPage, IndexError, RecursionError):
                damaged.append(chunk.column)
    # Some old writers note wrong places; those carry no checksums, and the reader is the judge.
    if damaged and checked:
        raise BadPage(_told(damaged[0]))
    return checked


def read_chunks(source: BinaryIO) -> list[Chunk]:
    """The column chunks that the footer of an open file names; none where it cannot be read."""
    with mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return list(_chunks(content))


def _has_no_checksums(content: mmap.mmap) -> bool:
    """Whether the first page's header is a whole one without a checksum: then no page has one.

    Most files are so, and their footers need not be read.
    """
    try:
        return _Reader(content, len(_MAGIC)).integers().keys() == _FIELDS_WITHOUT_CRC
    except (BadPage, IndexError, RecursionError):
        return False


def _chunks(content: mmap.mmap) -> Iterator[Chunk]:
    size = int.from_bytes(content[-8:-4], "little")
    try:
        footer = _Reader(content, len(content) - 8 - size).struct(_FOOTER_FIELDS)
        columns = [column for group in footer[_ROW_GROUPS] for column in group[_COLUMNS]]
        for column in columns:
            fields = column[_COLUMN_METADATA]
            codec = _integer(fields, _CODEC)
            starts = [_integer(fields, _DATA_PAGE), _integer(fields, _DICTIONARY_PAGE)]
            yield Chunk(
                ".".join(part.decode(errors="replace") for part in fields.get(_PATH, [])),
                CODECS[codec] if 0 <= codec < len(CODECS) else f"codec {codec}",
                min(starts) if starts[1] > 0 else starts[0],
                _integer(fields, _SIZE),
                _integer(fields, _VALUES),
            )
    except (BadPage, IndexError, KeyError, RecursionError, TypeError, AttributeError):
        return  # a footer that is damaged: the reader of the rows is the judge


def _integer(fields: dict[int, Any], field: int) -> int:
    value = fields.get(field, -1)
    if not isinstance(value, int):
        raise BadPage
    return value


def _told(column: str) -> str:
    return f"a page of column {column} is not what was written: its checksum or its header is wrong"


def _check_chunk(content: mmap.mmap, chunk: Chunk) -> int:
    """Walks the pages of one column chunk, which are one behind the other."""
    position, end = chunk.start, chunk.start + chunk.size
    if not 0 <= position <= end <= len(content):
        raise BadPage
    checked = values = 0
    while position < end:
        header = _Reader(content, position)
        fields = header.struct(_PAGE_FIELDS)
        page_size = _integer(fields, _COMPRESSED_SIZE_FIELD)
        position = header.position + page_size
        if page_size < 0 or position > end:
            raise BadPage
        if _CRC_FIELD in fields:
            with memoryview(content) as view, view[header.position : position] as page:
                if zlib.crc32(page) != _integer(fields, _CRC_FIELD) & 0xFFFFFFFF:
                    raise _BadChecksum
            checked += 1
        values += _values_of(fields)
    if checked and values != chunk.values:
        raise BadPage
    return checked


def _values_of(fields: dict[int, Any]) -> int:
    """How many of the column's values are in a page, by its header."""
    kind = _integer(fields, _KIND_FIELD)
    of_kind = fields.get(_HEADER_OF_KIND.get(kind, -1))
    if not isinstance(of_kind, dict):
        raise BadPage
    if kind == _DATA_KIND and any(
        of_kind.get(field) not in _LEVEL_ENCODINGS for field in _LEVEL_ENCODING_FIELDS
    ):
        raise BadPage
    return _integer(of_kind, _VALUES_FIELD) if kind in _VALUE_PAGES else 0


class _Reader:
    """Reads one struct of Thrift's compact protocol; `position` ends behind it."""

    def __init__(self, content: mmap.mmap, position: int):
        self._content = content
        self.position = position

    def integers(self) -> dict[int, int]:
        """The struct's own integer fields by their id; every other field is stepped over."""
        found = {}
        field = 0
        while head := self._byte():
            step, kind = head >> 4, head & 0x0F
            field = field + step if step else self._zigzag()
            if kind in (_I16, _I32, _I64):
                found[field] = self._zigzag()
            else:
                self._skip(kind)
        return found

    def struct(self, wanted: Mapping[int, Any]) -> dict[int, Any]:
        """The struct's fields that are wanted, by their id; every other one is stepped over.

        `wanted` maps the id of a field to what is wanted of the structs in it, or to None.
        """
        found = {}
        field = 0
        while head := self._byte():
            step, kind = head >> 4, head & 0x0F
            field = field + step if step else self._zigzag()
            if field in wanted:
                found[field] = self._value(kind, wanted[field])
            else:
                self._skip(kind)
        return found

    def _value(self, kind: int, wanted: Mapping[int, Any] | None) -> Any:
        if kind in (_I16, _I32, _I64):
            return self._zigzag()
        if kind == _BINARY:
            length = self._varint()
            start, self.position = self.position, self.position + length
            return self._content[start : self.position]
        if kind == _LIST:
            count, element = self._list_head()
            return [self._value(element, wanted) for _ in range(count)]
        if kind == _STRUCT and wanted is not None:
            return self.struct(wanted)
        raise BadPage

    def _list_head(self) -> tuple[int, int]:
        head = self._byte()
        return head >> 4 if head >> 4 != 15 else self._varint(), head & 0x0F

    def _skip(self, kind: int) -> None:
        if kind in (_TRUE, _FALSE):  # as a field, a boolean is its type
            return
        if kind == _BYTE:
            self.position += 1
        elif kind in (_I16, _I32, _I64):
            self._varint()
        elif kind == _DOUBLE:
            self.position += 8
        elif kind == _BINARY:
            length = self._varint()
            self.position += length
        elif kind in (_LIST, _SET):
            self._skip_elements(*self._list_head())
        elif kind == _MAP:
            if count := self._varint():
                kinds = self._byte()
                for _ in range(count):
                    self._skip_elements(1, kinds >> 4)
                    self._skip_elements(1, kinds & 0x0F)
        elif kind == _STRUCT:
            self.integers()
        else:
            raise BadPage

    def _skip_elements(self, count: int, kind: int) -> None:
        if count > len(self._content):  # a damaged count would keep the loop busy for ever
            raise BadPage
        for _ in range(count):
            # in a collection, a boolean is a byte
            self._skip(_BYTE if kind in (_TRUE, _FALSE) else kind)

    def _zigzag(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
            if shift > 63:
                raise BadPage

    def _byte(self) -> int:
        byte = self._content[self.position]
        self.position += 1
        return byte
