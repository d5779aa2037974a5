"""A REST API for tests: projects and their experiments, page by page, behind a token."""

import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.loader.command import Command

TOKEN = "2:an-API-token-that-nobody-may-see"
LARGEST_PAGE = 100


@dataclass
class RestApi:
    """What the API holds, what it was asked for, and where it must fail."""

    projects: dict[str, list[Any]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    statuses: dict[str, int] = field(default_factory=dict)
    """Status of every answer whose request holds this text."""
    counts_pages: bool = True

    def answer(self, target: str, authorization: str | None) -> tuple[int, Any]:
        """Status and content of the answer to one request."""
        if authorization != f"Bearer {TOKEN}":
            return 401, {"code": "unauthorized", "message": f"not {authorization}", "uuid": "1"}
        for text, status in self.statuses.items():
            if text in target:
                return status, {"code": "odd", "message": f"not {authorization}", "uuid": "2"}
        url = urlsplit(target)
        if url.path == "/v2/experiments":
            return self._page(parse_qs(url.query, strict_parsing=True))
        if found := re.fullmatch(r"/v2/experiments/([0-9]+)", url.path):
            for experiment in (each for project in self.projects.values() for each in project):
                if isinstance(experiment, dict) and str(experiment.get("id")) == found[1]:
                    return 200, experiment
        return 404, {"code": "not_found", "message": "no such thing", "uuid": "3"}

    def _page(self, query: dict[str, list[str]]) -> tuple[int, Any]:
        [project_id], [size], [page] = query["project_id"], query["per_page"], query["page"]
        if project_id not in self.projects or int(size) > LARGEST_PAGE:
            return 400, {"code": "bad_request", "message": "no such project", "uuid": "4"}
        start = int(size) * (int(page) - 1) if self.counts_pages else 0
        return 200, self.projects[project_id][start : start + int(size)]


@pytest.fixture
def rest_api(loader: Command, monkeypatch: pytest.MonkeyPatch) -> Iterator[RestApi]:
    """A running API; the command `loader` knows its address and its token."""
    api = RestApi()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            api.requests.append(self.path)
            status, content = api.answer(self.path, self.headers["Authorization"])
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """A test's output is for the test."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    # Looked at often whether it is to stop: each test waits for that.
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setenv("OPTIMIZELY_API_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("OPTIMIZELY_API_TOKEN", TOKEN)
    yield api
    server.shutdown()
    server.server_close()
