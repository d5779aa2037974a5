"""A proxy that spoils answers on their way: what networks, stores and their clocks do to a client.

It stands between the loader and any server on loopback, and asks that server first: what it spoils
is a real answer.
"""

import http.client
import random
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import parse_qs, unquote, urlsplit

ENDLESSLY = 10**9
CLOCK_TOLERANCE = timedelta(minutes=15)
"""How far S3 lets a client's clock be off."""


@dataclass(frozen=True)
class Request:
    """A request as it came. `kind` is LIST, or GET for all else."""

    kind: str
    address: str
    headers: dict[str, str]


@dataclass(frozen=True)
class Answer:
    """An answer on its way: `sent` bytes of the body are sent, then the connection ends so."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    sent: int | None = None
    ending: Literal["whole", "close", "reset", "stall"] = "whole"


Change = Callable[[Answer], Answer]


@dataclass
class Fault:
    """What becomes of the next `times` answers to such requests whose address has all parts."""

    kind: str
    change: Change
    parts: tuple[str, ...] = ()
    times: int = 1
    after: int = 0
    """So many of these answers come through first."""
    struck: int = 0

    def strikes(self, request: Request) -> bool:
        """Whether this request is one of them; counts it."""
        if request.kind != self.kind or not all(part in request.address for part in self.parts):
            return False
        if self.after:
            self.after -= 1
            return False
        if self.struck == self.times:
            return False
        self.struck += 1
        return True


class FaultProxy(ThreadingHTTPServer):
    """Passes requests on to `upstream`, an `http://host:port`, and spoils what is asked for."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, upstream: str):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = urlsplit(upstream).netloc
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.faults: list[Fault] = []
        self.armed: list[Fault] = []
        """All faults there ever were; a test whose fault never struck has tried nothing."""
        self.requests: list[Request] = []
        self.clock_error = timedelta(0)
        """How far this server's clock is ahead of the client's, or the client's behind it."""
        self.lock = threading.Lock()
        self.is_over = threading.Event()
        """Set when stalled answers may end."""

    def spoil(self, kind: str, change: Change, *parts: str, times: int = 1, after: int = 0) -> None:
        """Spoils the next `times` answers, once `after` of them came through."""
        fault = Fault(kind, change, parts, times, after)
        with self.lock:
            self.faults.append(fault)
            self.armed.append(fault)

    def heal(self) -> None:
        """Spoils nothing more."""
        with self.lock:
            self.faults.clear()
        self.clock_error = timedelta(0)

    def met(self, request: Request) -> list[Change]:
        """Notes a request, and gives what is to be done to its answer: one fault at a time."""
        with self.lock:
            self.requests.append(request)
            struck = next((fault for fault in self.faults if fault.strikes(request)), None)
            changes = [struck.change] if struck else []
        if abs(self.clock_error) > CLOCK_TOLERANCE and "x-amz-date" in request.headers:
            changes.append(self._check_date(request.headers["x-amz-date"]))
        return changes

    def _check_date(self, text: str) -> Change:
        signed_at = datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        if abs(datetime.now(UTC) + self.clock_error - signed_at) > CLOCK_TOLERANCE:
            return error(403, "RequestTimeTooSkewed")
        return lambda answer: answer

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients go away in the middle, as they should."""


@contextmanager
def fault_proxy(upstream: str) -> Iterator[FaultProxy]:
    """A fault proxy that serves until the context is left."""
    with FaultProxy(upstream) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.is_over.set()
            proxy.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    server: FaultProxy
    _upstream: http.client.HTTPConnection | None = None

    def do_GET(self) -> None:
        request = self._request()
        changes = self.server.met(request)
        answer = self._ask()
        for change in changes:
            answer = change(answer)
        self._send(answer)

    def finish(self) -> None:
        if self._upstream is not None:
            self._upstream.close()
        with suppress(OSError):
            super().finish()

    def _request(self) -> Request:
        kind = "LIST" if "list-type" in parse_qs(urlsplit(self.path).query) else "GET"
        headers = {name.lower(): value for name, value in self.headers.items()}
        return Request(kind, unquote(self.path), headers)

    def _ask(self) -> Answer:
        """What the server says. `Host` is passed on as it came, or a signature would not hold."""
        if self._upstream is None:
            self._upstream = http.client.HTTPConnection(self.server.upstream, timeout=60)
        upstream = self._upstream
        upstream.putrequest("GET", self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() != "connection":
                upstream.putheader(name, value)
        upstream.endheaders()
        found = upstream.getresponse()
        content = found.read()
        left_out = ("connection", "transfer-encoding", "content-length")
        headers = [pair for pair in found.getheaders() if pair[0].lower() not in left_out]
        return Answer(found.status, tuple(headers), content)

    def _send(self, answer: Answer) -> None:
        if answer.sent is None and answer.ending == "reset":
            return self._reset()
        self.send_response_only(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body[: answer.sent])
        self.wfile.flush()
        if answer.ending == "stall":
            self.server.is_over.wait()
        if answer.ending == "reset":
            return self._reset()
        self.close_connection = answer.ending != "whole"

    def _reset(self) -> None:
        """Ends the connection with RST instead of FIN."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def error(status: int, code: str) -> Change:
    """Another answer: an error as S3 and GCS word it."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code}</Message></Error>"
    return plain(status, body.encode(), "application/xml")


def plain(status: int, body: bytes, content_type: str = "text/html") -> Change:
    """Another answer: this text, as load balancers and hotel networks give it."""
    return lambda _: Answer(status, (("Content-Type", content_type),), body)


def dropped(answer: Answer) -> Answer:
    """The connection is reset before the answer begins."""
    return replace(answer, sent=None, ending="reset")


def cut(share: float, ending: Literal["close", "reset", "stall"]) -> Change:
    """All of the header and its length, this share of the body, then nothing more; never all."""
    return lambda answer: replace(
        answer, sent=min(int(len(answer.body) * share), len(answer.body) - 1), ending=ending
    )


def shortened(answer: Answer) -> Answer:
    """Half of the body, with a length that agrees."""
    return replace(answer, body=answer.body[: len(answer.body) // 2])


def flipped(rng: random.Random) -> Change:
    """One bit of the body is another; each time another one."""

    def change(answer: Answer) -> Answer:
        return replace(answer, body=flip_bit(answer.body, rng))

    return change


def flip_bit(body: bytes, rng: random.Random) -> bytes:
    """The same bytes but for one bit."""
    bit = rng.randrange(len(body) * 8)
    spoiled = bytearray(body)
    spoiled[bit // 8] ^= 1 << bit % 8
    return bytes(spoiled)


def one_in(count: int, changes: Sequence[Change], rng: random.Random) -> Change:
    """One answer in so many is spoiled, each in any of these ways."""

    def change(answer: Answer) -> Answer:
        return rng.choice(changes)(answer) if rng.randrange(count) == 0 else answer

    return change


def meanwhile(act: Callable[[], object]) -> Change:
    """The answer comes through as it is; before it does, something else happens."""

    def change(answer: Answer) -> Answer:
        act()
        return answer

    return change


@dataclass
class Listed:
    """Edits pages of a listing, and notes the keys that were met."""

    edit: Callable[[str], str]
    part: str
    met: list[str] = field(default_factory=list)

    def __call__(self, answer: Answer) -> Answer:
        def each(found: re.Match[str]) -> str:
            if self.part not in unquote(found[0]):
                return found[0]
            self.met.append(found[0])
            return self.edit(found[0])

        page = answer.body.decode()
        edited = re.sub(r"<Contents>.*?</Contents>", each, page, flags=re.DOTALL)
        return replace(answer, body=edited.encode())


def repeated(part: str) -> Listed:
    """Keys that hold `part` stand in the page twice."""
    return Listed(lambda entry: entry + entry, part)


def left_out(part: str) -> Listed:
    """Keys that hold `part` are not in the page."""
    return Listed(lambda _: "", part)


class CarriedOver(Listed):
    """Keys that hold `part` stand in their page, and in each page after it once more."""

    def __init__(self, part: str):
        super().__init__(lambda entry: entry, part)

    def __call__(self, answer: Answer) -> Answer:
        earlier = "".join(self.met).encode()
        page = super().__call__(answer)
        return replace(page, body=page.body.replace(b"<Contents>", earlier + b"<Contents>", 1))
