"""Compares the pages of a Parquet file with the checksums it carries, without decoding them.

DuckDB does not look at these checksums: of files with one flipped bit it loads most without a word.
Where a file carries none, nothing is found. Source: the Apache Parquet format, `PageHeader` in
Thrift's compact protocol; the checksum is CRC-32 of a page's bytes as they stand in the file.
"""

import mmap
import zlib
from typing import BinaryIO

import pyarrow.parquet as pq

_COMPRESSED_SIZE_FIELD = 3
_CRC_FIELD = 4

_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(1, 13)
"""Types of Thrift's compact protocol."""


class BadPage(Exception):
    """A page whose bytes are not those that were written, or whose header cannot be read."""


class BadChecksum(BadPage):
    """A page whose checksum was read and differs."""


def check_pages(source: BinaryIO, metadata: pq.FileMetaData) -> int:
    """Compares every page that carries a checksum with it; returns how many did.

    Args:
        source: The open file.
        metadata: Its footer.

    Raises:
        BadPage: Naming the column.
    """
    checked = 0
    damaged: list[str] = []
    with mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for group in range(metadata.num_row_groups):
            row_group = metadata.row_group(group)
            for number in range(row_group.num_columns):
                column = row_group.column(number)
                start = column.data_page_offset
                if column.has_dictionary_page and column.dictionary_page_offset > 0:
                    start = min(start, column.dictionary_page_offset)
                try:
                    checked += _check_chunk(content, start, column.total_compressed_size)
                except BadChecksum as error:
                    raise BadPage(_told(column.path_in_schema)) from error
                except (BadPage, IndexError, RecursionError):
                    damaged.append(column.path_in_schema)
    # Some old writers note wrong places; those carry no checksums, and the reader is the judge.
    if damaged and checked:
        raise BadPage(_told(damaged[0]))
    return checked


def _told(column: str) -> str:
    return f"a page of column {column} is not what was written: its checksum differs"


def _check_chunk(content: mmap.mmap, position: int, size: int) -> int:
    """Walks the pages of one column chunk, which are one behind the other."""
    end = position + size
    if not 0 <= position <= end <= len(content):
        raise BadPage
    checked = 0
    while position < end:
        header = _Reader(content, position)
        fields = header.integers()
        page_size = fields.get(_COMPRESSED_SIZE_FIELD, -1)
        position = header.position + page_size
        if page_size < 0 or position > end:
            raise BadPage
        if _CRC_FIELD in fields:
            with memoryview(content) as view, view[header.position : position] as page:
                if zlib.crc32(page) != fields[_CRC_FIELD] & 0xFFFFFFFF:
                    raise BadChecksum
            checked += 1
    return checked


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
            head = self._byte()
            count = head >> 4 if head >> 4 != 15 else self._varint()
            self._skip_elements(count, head & 0x0F)
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
