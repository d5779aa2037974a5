"""A folder served as an S3 bucket, fast enough not to be what is measured.

`python -m benchmarks.s3_server FOLDER` prints its port. It answers ListObjectsV2 (pages of 1,000,
prefix, delimiter), GET with Range and If-Match, and HEAD; it checks no signature. `GET /requests`
gives the number of requests by kind since the last time it was asked. The listing is taken once.
"""

import asyncio
import json
import sys
from bisect import bisect_left, bisect_right
from collections import Counter
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape

PAGE_KEYS = 1000
REASONS = {200: "OK", 206: "Partial Content", 404: "Not Found", 412: "Precondition Failed"}


@dataclass(frozen=True)
class Stored:
    """One object."""

    path: Path
    size: int
    etag: str
    modified: float


@dataclass
class Bucket:
    """All objects by key, and what was asked for."""

    objects: dict[str, Stored]
    keys: list[str]
    requests: Counter[str] = field(default_factory=Counter)


def read_bucket(folder: Path) -> Bucket:
    """The files below a folder as objects."""
    objects = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        found = path.stat()
        etag = f'"{found.st_ino:x}-{found.st_mtime_ns:x}"'
        key = path.relative_to(folder).as_posix()
        objects[key] = Stored(path, found.st_size, etag, found.st_mtime)
    return Bucket(objects, sorted(objects))


class Connection(asyncio.Protocol):
    """One connection; requests on it are answered in order."""

    def __init__(self, bucket: Bucket):
        self._bucket = bucket
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._received += data
        while b"\r\n\r\n" in self._received:  # no request that is answered here has a body
            head, _, self._received = self._received.partition(b"\r\n\r\n")
            self._answer(head.decode("latin-1"))

    def _answer(self, head: str) -> None:
        request, *lines = head.split("\r\n")
        method, target, _ = request.split(" ")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines)
        }
        url = urlsplit(target)
        key = unquote(url.path).lstrip("/").partition("/")[2]
        if url.path == "/requests":
            body = json.dumps(self._bucket.requests).encode()
            self._bucket.requests.clear()
            self._send(200, {}, body)
        elif not key:
            self._bucket.requests["LIST"] += 1
            query = {name: values[0] for name, values in parse_qs(url.query).items()}
            self._send(200, {"Content-Type": "application/xml"}, self._list(query))
        else:
            self._bucket.requests[method] += 1
            self._send_object(method, self._bucket.objects.get(key), headers)

    def _send_object(self, method: str, found: Stored | None, headers: dict[str, str]) -> None:
        if found is None:
            return self._send(404, {}, b"<Error><Code>NoSuchKey</Code></Error>")
        if headers.get("if-match", found.etag) != found.etag:
            return self._send(412, {}, b"<Error><Code>PreconditionFailed</Code></Error>")
        about = {
            "ETag": found.etag,
            "Last-Modified": formatdate(found.modified, usegmt=True),
            "Accept-Ranges": "bytes",
        }
        if method == "HEAD":
            return self._send(200, about, b"", length=found.size)
        body = found.path.read_bytes()
        if "range" in headers:
            first, _, last = headers["range"].removeprefix("bytes=").partition("-")
            start, end = int(first), min(int(last or found.size), found.size - 1)
            about["Content-Range"] = f"bytes {start}-{end}/{found.size}"
            return self._send(206, about, body[start : end + 1])
        return self._send(200, about, body)

    def _send(
        self, status: int, headers: dict[str, str], body: bytes, length: int | None = None
    ) -> None:
        size = len(body) if length is None else length
        lines = [f"HTTP/1.1 {status} {REASONS[status]}", f"Content-Length: {size}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self._transport.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
        self._transport.write(body)

    def _list(self, query: dict[str, str]) -> bytes:
        keys, prefix = self._bucket.keys, query.get("prefix", "")
        delimiter = query.get("delimiter", "")
        after = query.get("continuation-token", query.get("start-after", ""))
        place = max(bisect_left(keys, prefix), bisect_right(keys, after))
        entries: list[str] = []
        encode = quote if query.get("encoding-type") == "url" else escape
        last = ""
        while len(entries) < PAGE_KEYS and place < len(keys) and keys[place].startswith(prefix):
            last = key = keys[place]
            place += 1
            below, found, _ = key[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
            if found:
                folder = prefix + below + delimiter
                entries.append(
                    f"<CommonPrefixes><Prefix>{encode(folder)}</Prefix></CommonPrefixes>"
                )
                last = folder + chr(0x10FFFF)
                place = bisect_right(keys, last)
                continue
            stored = self._bucket.objects[key]
            entries.append(
                f"<Contents><Key>{encode(key)}</Key><Size>{stored.size}</Size>"
                f"<ETag>{escape(stored.etag)}</ETag>"
                "<LastModified>2024-01-01T00:00:00.000Z</LastModified>"
                "<StorageClass>STANDARD</StorageClass></Contents>"
            )
        is_cut = place < len(keys) and keys[place].startswith(prefix)
        more = f"<NextContinuationToken>{escape(last)}</NextContinuationToken>" if is_cut else ""
        return (
            '<?xml version="1.0" encoding="UTF-8"?>'
            '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<Prefix>{encode(prefix)}</Prefix><KeyCount>{len(entries)}</KeyCount>"
            f"<MaxKeys>{PAGE_KEYS}</MaxKeys><IsTruncated>{str(is_cut).lower()}</IsTruncated>"
            f"{more}{''.join(entries)}</ListBucketResult>"
        ).encode()


async def _serve(folder: Path) -> None:
    bucket = read_bucket(folder)
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(bucket), "127.0.0.1", 0, backlog=512
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
