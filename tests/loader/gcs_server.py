"""A server for tests that speaks the XML API of Google Cloud Storage, with bearer tokens.

It lists in pages, honours `If-Match` and `Range`, counts requests, and answers with an error where
a test asks for one.

Fixture `gcs_export`: a fresh bucket named as the vendor's, and the tokens that open it.
"""

import hashlib
import threading
import time
import uuid
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import pytest

from tests.loader.s3_server import Fault, cleaned_environment


@dataclass(frozen=True)
class StoredObject:
    """One object and when it was written, in seconds since 1970."""

    body: bytes
    written_at: float

    @cached_property
    def etag(self) -> str:
        return f'"{hashlib.md5(self.body).hexdigest()}"'


@dataclass
class GcsExport:
    """One account's bucket, as the vendor gives it to a customer."""

    endpoint_url: str
    bucket: str
    account: str
    prefix: str = ""
    page_size: int = 1000
    objects: dict[str, StoredObject] = field(default_factory=dict)
    tokens: dict[str, float] = field(default_factory=dict)
    """When each token ends, by `time.monotonic()`."""
    requests: Counter[str] = field(default_factory=Counter)
    """Requests since the bucket was made, or since `requests.clear()`: `LIST`, `GET`."""
    faults: dict[str, Fault] = field(default_factory=dict)
    rejected: int = 0
    """Requests that came with a token that had ended, or that never was."""
    delay: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def source(self) -> str:
        """What a user gives: `gs://optimizely-e3-<id>/`."""
        return f"gs://{self.bucket}/{self.prefix}"

    @property
    def environment(self) -> dict[str, str]:
        """A whole environment for a command, but for what the token API's says."""
        return cleaned_environment() | {"GOOGLE_BASE_URL": self.endpoint_url}

    def upload(self, folder: Path) -> None:
        """Put every file of a folder below the prefix; `folder` holds the `type=` folders."""
        for path in folder.rglob("*"):
            if path.is_file():
                self.put(str(path.relative_to(folder)), path.read_bytes())

    def put(self, key: str, body: bytes = b"") -> None:
        """Put one object; `key` is relative to the prefix."""
        with self.lock:
            self.objects[self.prefix + key] = StoredObject(body, time.time())

    def delete(self, key: str) -> None:
        """Delete one object; `key` is relative to the prefix."""
        with self.lock:
            del self.objects[self.prefix + key]

    def fail(self, kind: str, status: int, code: str, times: int = 1) -> None:
        """Have the next `times` requests of a kind (`LIST`, `GET`) answered with this error."""
        self.faults[kind] = Fault(status, code, times)

    def slow_down(self, seconds: float) -> None:
        """Have each answer take this long."""
        self.delay = seconds

    def issue(self, lifetime: float = 3600.0) -> str:
        """A token that opens the bucket for `lifetime` seconds."""
        token = f"ya29.{uuid.uuid4().hex}"
        self.tokens[token] = time.monotonic() + lifetime
        return token

    def revoke(self) -> None:
        """End every token that was issued so far."""
        for token in self.tokens:
            self.tokens[token] = 0.0


class GcsServer(ThreadingHTTPServer):
    """Buckets by name; `stop` ends it."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), GcsHandler)
        self.buckets: dict[str, GcsExport] = {}
        self.clock_offset = 0.0
        """How many seconds the server's clock is ahead of this machine's."""
        self.endpoint_url = f"http://127.0.0.1:{self.server_address[1]}"
        self._thread = threading.Thread(target=self.serve_forever, daemon=True)
        self._thread.start()

    def export(self, prefix: str = "", bucket: str | None = None) -> GcsExport:
        """A new bucket, named as that of a new account; the files lie below `prefix`."""
        account = str(uuid.uuid4().int % 10**10)
        bucket = bucket or f"optimizely-e3-{account}"
        self.buckets[bucket] = GcsExport(self.endpoint_url, bucket, account, prefix)
        return self.buckets[bucket]

    def stop(self) -> None:
        self.shutdown()
        self.server_close()


class GcsHandler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    server: GcsServer

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        name, _, key = url.path.lstrip("/").partition("/")
        bucket = self.server.buckets.get(unquote(name))
        if bucket is None:
            return self._refuse(404, "NoSuchBucket")
        kind = "GET" if key else "LIST"
        with bucket.lock:
            bucket.requests[kind] += 1
            fault = bucket.faults.get(kind)
            if fault is not None:
                fault.times -= 1
                if fault.times == 0:
                    del bucket.faults[kind]
        if fault is not None:
            return self._refuse(fault.status, fault.code)
        time.sleep(bucket.delay)
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if bucket.tokens.get(token, 0.0) <= time.monotonic():
            is_others = any(
                other.tokens.get(token, 0.0) > time.monotonic()
                for other in self.server.buckets.values()
            )
            if is_others:
                return self._refuse(403, "AccessDenied")
            bucket.rejected += 1
            return self._refuse(401, "AuthenticationRequired")
        if kind == "GET":
            return self._get(bucket, unquote(key))
        asked = {name: values[0] for name, values in parse_qs(url.query).items()}
        return self._list(bucket, asked)

    def do_HEAD(self) -> None:
        self._answer(400, b"", {})

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        name, _, key = urlsplit(self.path).path.lstrip("/").partition("/")
        bucket = self.server.buckets[unquote(name)]
        key = unquote(key)
        with bucket.lock:
            if self.headers.get("x-goog-if-generation-match") == "0" and key in bucket.objects:
                return self._refuse(412, "PreconditionFailed")
            bucket.objects[key] = stored = StoredObject(body, time.time())
        self._answer(200, b"", {"ETag": stored.etag, "x-goog-generation": "1"})

    def do_DELETE(self) -> None:
        name, _, key = urlsplit(self.path).path.lstrip("/").partition("/")
        bucket = self.server.buckets[unquote(name)]
        with bucket.lock:
            found = bucket.objects.pop(unquote(key), None)
        if found is None:
            return self._refuse(404, "NoSuchKey")
        self._answer(204, b"", {})

    def date_time_string(self, timestamp: float | None = None) -> str:
        return super().date_time_string(time.time() + self.server.clock_offset)

    def _list(self, bucket: GcsExport, asked: dict[str, str]) -> None:
        prefix, delimiter = asked.get("prefix", ""), asked.get("delimiter")
        after = urlsafe_b64decode(asked.get("continuation-token", "")).decode()
        with bucket.lock:
            objects = dict(bucket.objects)
        found: dict[str, StoredObject | None] = {}
        for key, stored in objects.items():
            if key.startswith(prefix):
                head, cut, _ = key.removeprefix(prefix).partition(delimiter or "\0")
                if delimiter and cut:
                    found[prefix + head + delimiter] = None
                else:
                    found[key] = stored
        names = [name for name in sorted(found) if name > after]
        page = names[: bucket.page_size]
        is_cut = len(names) > len(page)
        following = urlsafe_b64encode(page[-1].encode()).decode() if is_cut else ""
        body = (
            "<?xml version='1.0' encoding='UTF-8'?>"
            "<ListBucketResult xmlns='http://doc.s3.amazonaws.com/2006-03-01'>"
            f"<Name>{bucket.bucket}</Name><Prefix>{escape(prefix)}</Prefix>"
            f"<KeyCount>{len(page)}</KeyCount><IsTruncated>{str(is_cut).lower()}</IsTruncated>"
            + (f"<NextContinuationToken>{following}</NextContinuationToken>" if is_cut else "")
            + "".join(_entry(name, found[name]) for name in page)
            + "</ListBucketResult>"
        )
        self._answer(200, body.encode(), {"Content-Type": "application/xml"})

    def _get(self, bucket: GcsExport, key: str) -> None:
        found = bucket.objects.get(key)
        if found is None:
            return self._refuse(404, "NoSuchKey")
        if self.headers.get("If-Match", found.etag) != found.etag:
            return self._refuse(412, "PreconditionFailed")
        headers = {
            "ETag": found.etag,
            "Last-Modified": formatdate(found.written_at, usegmt=True),
            "x-goog-generation": str(int(found.written_at * 1e6)),
        }
        asked = self.headers.get("Range")
        if asked is None:
            return self._answer(200, found.body, headers)
        first, _, last = asked.removeprefix("bytes=").partition("-")
        part = found.body[int(first) : int(last) + 1]
        end = int(first) + len(part) - 1
        headers["Content-Range"] = f"bytes {first}-{end}/{len(found.body)}"
        return self._answer(206, part, headers)

    def _refuse(self, status: int, code: str) -> None:
        body = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code></Error>"
        self._answer(status, body.encode(), {"Content-Type": "application/xml"})

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def _entry(key: str, found: StoredObject | None) -> str:
    """What a listing says of an object, or of a folder, which has none of its own."""
    if found is None:
        return f"<CommonPrefixes><Prefix>{escape(key)}</Prefix></CommonPrefixes>"
    written_at = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(found.written_at))
    return (
        f"<Contents><Key>{escape(key)}</Key><Generation>1</Generation>"
        f"<MetaGeneration>1</MetaGeneration><LastModified>{written_at}</LastModified>"
        f"<ETag>{escape(found.etag)}</ETag><Size>{len(found.body)}</Size></Contents>"
    )


@pytest.fixture(scope="session")
def gcs_server() -> Iterator[GcsServer]:
    """The server of the whole session."""
    server = GcsServer()
    yield server
    server.stop()


@pytest.fixture
def gcs_export(gcs_server: GcsServer, clean_environment: None) -> GcsExport:
    """A fresh bucket; nothing in this process's environment opens it."""
    return gcs_server.export()
