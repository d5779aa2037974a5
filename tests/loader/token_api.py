"""A server for tests that answers as the vendor's token API does.

Fixture `token_api`: the environment names it and holds its token; a test says whose credentials it
gives: `token_api.s3 = vendor_export`, `token_api.gcs = gcs_export`.
"""

import json
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.loader.gcs_server import GcsExport
from tests.loader.s3_server import S3Export

KINDS = {"/v2/export/credentials": "s3", "/v2/export/credentials/gcp": "gcs"}


class TokenApi(ThreadingHTTPServer):
    """Both endpoints; its attributes may be changed at any time."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), TokenApiHandler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.token = f"2:{uuid.uuid4().hex}"
        self.s3: S3Export | None = None
        """Whose keys are given; None: the account has no export to S3."""
        self.gcs: GcsExport | None = None
        self.lifetime = 3600.0
        """Seconds that what is given lasts; an answer for S3 says it."""
        self.has_slash = True
        """Whether the address in an answer ends with a slash."""
        self.clock_offset = 0.0
        """How many seconds the server's clock is ahead of this machine's."""
        self.changed: dict[str, Any] = {}
        """Members of the answer that are given otherwise; None: left out."""
        self.calls: Counter[str] = Counter()
        """Requests for `s3` and `gcs`, refused ones too."""
        self.secrets: list[str] = [self.token]
        """Everything that may be in no output."""
        self.failure_headers: dict[str, str] = {}
        self._failures: list[int] = []
        # Looked at often whether it is to stop: each test waits for that.
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to use it."""
        return {"OPTIMIZELY_API_URL": self.url, "OPTIMIZELY_API_TOKEN": self.token}

    def fail(self, status: int, times: int = 1, headers: dict[str, str] | None = None) -> None:
        """Have the next `times` requests answered with this status, and these headers."""
        self._failures = [status] * times
        self.failure_headers = headers or {}

    def answer(self, kind: str, asked: dict[str, list[str]]) -> tuple[int, dict[str, Any]]:
        """HTTP status and content for one request."""
        self.calls[kind] += 1
        if self._failures:
            return _refusal(self._failures.pop())
        export = self.s3 if kind == "s3" else self.gcs
        if export is None:
            return _refusal(400)
        base = export.source.rstrip("/") + ("/" if self.has_slash else "")
        if isinstance(export, GcsExport):
            token = export.issue(self.lifetime)
            self.secrets.append(token)
            return 200, self._change({"token": token, "uri": base})
        if asked.get("duration") != ["1h"]:
            return _refusal(400)
        expiration = time.time() + self.clock_offset + self.lifetime
        keys = export.issue(self.lifetime)
        self.secrets += [keys["SecretAccessKey"], keys["SessionToken"]]
        credentials = {
            "accessKeyId": keys["AccessKeyId"],
            "secretAccessKey": keys["SecretAccessKey"],
            "sessionToken": keys["SessionToken"],
            "expiration": int(expiration * 1000),
        }
        return 200, self._change({"credentials": credentials, "s3Path": base})

    def _change(self, content: dict[str, Any]) -> dict[str, Any]:
        changed = content | self.changed
        return {name: value for name, value in changed.items() if value is not None}

    def stop(self) -> None:
        self.shutdown()
        self.server_close()


class TokenApiHandler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: TokenApi

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        kind = KINDS.get(url.path)
        if kind is None:
            status, content = _refusal(404)
        elif self.headers.get("Authorization") != f"Bearer {self.server.token}":
            status, content = _refusal(401)
        else:
            status, content = self.server.answer(kind, parse_qs(url.query))
        body = json.dumps(content).encode()
        self.send_response(status)
        if status != 200:
            for name, value in self.server.failure_headers.items():
                self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_HEAD(self) -> None:
        """To anyone; the answer says the time."""
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def date_time_string(self, timestamp: float | None = None) -> str:
        return formatdate(time.time() + self.server.clock_offset, usegmt=True)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def _refusal(status: int) -> tuple[int, dict[str, Any]]:
    return status, {"code": "error", "message": "refused", "uuid": str(uuid.uuid4())}


@pytest.fixture
def token_api(clean_environment: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[TokenApi]:
    """A fresh API, which this process's environment names."""
    server = TokenApi()
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    yield server
    server.stop()
