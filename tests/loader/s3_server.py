"""An S3 server for tests: moto in a process of its own, behind a proxy.

moto (5.2, tried) checks signatures, actions and the keys a policy grants, but not the condition on
a listing's prefix: the proxy answers for that one, as the vendor's bucket does. It also counts
requests, and answers with an error where a test asks for one. Objects are put past the proxy, by
an administrator.

Fixture `s3_export`: a fresh bucket, and a user who may read below one prefix of it.
"""

import http.client
import json
import math
import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.request
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, unquote_plus, urlsplit

import boto3
import pytest
from botocore.config import Config

PAGE_SIZE = 100
"""Keys in a page of a listing, where Amazon's have a thousand: pages are filled sooner."""
PREFIX = "v1/account_id=12345/"
REGION = "us-east-1"


@dataclass
class Fault:
    """An answer the proxy gives instead of the server's, `times` times."""

    status: int
    code: str
    times: int


@dataclass
class BucketRules:
    """One bucket to the proxy: what may be listed, what was asked for, what must fail."""

    prefix: str
    requests: Counter[str] = field(default_factory=Counter)
    faults: dict[str, Fault] = field(default_factory=dict)
    denied_listings: list[str] = field(default_factory=list)
    sessions: dict[str, float] = field(default_factory=dict)
    """When the temporary keys end that this bucket's sessions use, by `time.monotonic()`."""

    access_keys: set[str] = field(default_factory=set)
    """What the requests were signed with."""
    rejected: int = 0
    """Requests with the keys of a session that was over."""
    delay: float = 0.0
    """How long, in seconds, an answer takes."""


class Proxy(ThreadingHTTPServer):
    """Passes requests on to `upstream` (host, port), unless a bucket's rules say otherwise."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, upstream: tuple[str, int]):
        super().__init__(("127.0.0.1", 0), ProxyHandler)
        self.upstream = upstream
        self.rules: dict[str, BucketRules] = {}
        self.lock = threading.Lock()
        self.clock_offset = 0.0
        """How many seconds the server's clock is ahead of this machine's."""
        self.region: str | None = None
        """What a HEAD of a bucket says its region is."""
        self.external_ids: dict[str, str] = {}
        """By role, the external id that its trust policy asks for, which moto does not look at."""
        self.assumed: list[tuple[str, str]] = []
        """Session name and duration of each role that was assumed."""

    def reset(self) -> None:
        """As it was for a new test; what was uploaded stays."""
        self.clock_offset, self.region = 0.0, None
        self.external_ids.clear()
        self.assumed.clear()


class ProxyHandler(BaseHTTPRequestHandler):
    """One connection of the proxy."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    server: Proxy

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        bucket, _, key = url.path.lstrip("/").partition("/")
        kind = "GET" if key else "LIST"
        rules = self.server.rules.get(bucket)
        if rules is None:
            return self._pass_on()
        with self.server.lock:
            rules.requests[kind] += 1
            fault = rules.faults.get(kind)
            if fault is not None:
                fault.times -= 1
                if fault.times == 0:
                    del rules.faults[kind]
        if fault is not None:
            return self._answer(fault.status, _error_body(fault.code, fault.code))
        if abs(self.server.clock_offset) > 15 * 60:
            return self._answer(403, _error_body("RequestTimeTooSkewed", "Too large."))
        time.sleep(rules.delay)
        signed = re.search(r"Credential=([^/]+)/", self.headers.get("Authorization", ""))
        access_key = signed[1] if signed else ""
        rules.access_keys.add(access_key)
        if rules.sessions.get(access_key, math.inf) <= time.monotonic():
            rules.rejected += 1
            return self._answer(400, _error_body("ExpiredToken", "The token has expired."))
        if kind == "LIST":
            prefix = parse_qs(url.query).get("prefix", [""])[0]
            if not prefix.startswith(rules.prefix):
                rules.denied_listings.append(prefix)
                return self._answer(403, _error_body("AccessDenied", "Access Denied"))
        return self._pass_on()

    def do_HEAD(self) -> None:
        """Of a bucket or the server: anyone learns the time and the region, as at Amazon."""
        self.send_response_only(403)
        self.send_header("Date", formatdate(time.time() + self.server.clock_offset, usegmt=True))
        if self.server.region:
            self.send_header("x-amz-bucket-region", self.server.region)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_PUT(self) -> None:
        self._count_and_pass_on()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        asked = {name: values[0] for name, values in parse_qs(body.decode("latin-1")).items()}
        if asked.get("Action") == "AssumeRole":
            wanted = self.server.external_ids.get(asked["RoleArn"])
            if wanted is not None and asked.get("ExternalId") != wanted:
                return self._answer(403, _sts_error("AccessDenied"))
            self.server.assumed.append((asked["RoleSessionName"], asked["DurationSeconds"]))
        return self._pass_on(body)

    def do_DELETE(self) -> None:
        self._count_and_pass_on()

    def _count_and_pass_on(self) -> None:
        bucket = unquote(urlsplit(self.path).path).lstrip("/").partition("/")[0]
        if bucket in self.server.rules:
            with self.server.lock:
                self.server.rules[bucket].requests[self.command] += 1
        self._pass_on()

    def _pass_on(self, body: bytes | None = None) -> None:
        """Send the request on as it came, `Host` too, or its signature would not hold."""
        if body is None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        # S3 checks the signature of what a query means, moto of how it is spelt: a space as +, …
        path, mark, query = self.path.partition("?")
        address = path + mark + "".join(map(_spelt, re.split(r"([&=])", query)))
        upstream = http.client.HTTPConnection(*self.server.upstream, timeout=60)
        try:
            upstream.putrequest(self.command, address, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() != "connection":
                    upstream.putheader(name, value)
            upstream.endheaders(body)
            answer = upstream.getresponse()
            content = answer.read()
        finally:
            upstream.close()
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response_only(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def _spelt(text: str) -> str:
    """A part of a query, or the sign between two, encoded as a signature wants it."""
    return text if text in ("&", "=") else quote(unquote_plus(text), safe="-_.~")


def _error_body(code: str, message: str) -> bytes:
    """An error as S3's documentation words it."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>{message}</Message>"
        "<RequestId>4442587FB7D0A2F9</RequestId><HostId>test</HostId></Error>"
    ).encode()


def _sts_error(code: str) -> bytes:
    """An error as STS words it."""
    return (
        '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error>'
        f"<Type>Sender</Type><Code>{code}</Code><Message>refused</Message></Error>"
        "<RequestId>4442587F</RequestId></ErrorResponse>"
    ).encode()


class S3Server:
    """moto and its proxy, with permissions enforced; `stop` ends both."""

    def __init__(self, log: Path):
        port = _free_port()
        self._log = log.open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.loader.moto_server", "-H", "127.0.0.1", "-p", str(port)],
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env=cleaned_environment() | {"MOTO_S3_DEFAULT_MAX_KEYS": str(PAGE_SIZE)},
        )
        self.direct_url = f"http://127.0.0.1:{port}"
        try:
            self._wait()
            self._set_up_administrator()
            self.proxy = Proxy(("127.0.0.1", port))
        except BaseException:
            self._end_process()
            raise
        self._thread = threading.Thread(target=self.proxy.serve_forever, daemon=True)
        self._thread.start()
        self.endpoint_url = f"http://127.0.0.1:{self.proxy.server_address[1]}"

    def stop(self) -> None:
        """End the proxy and moto's process."""
        self.proxy.shutdown()
        self.proxy.server_close()
        self._end_process()

    def export(self, prefix: str = PREFIX, bucket: str | None = None) -> "S3Export":
        """A new bucket, and a user and a role that may list and get below `prefix` only."""
        if bucket is None or bucket not in self.proxy.rules:
            bucket = bucket or f"bucket-{uuid.uuid4().hex[:12]}"
            self.s3.create_bucket(Bucket=bucket)
        statements: list[dict[str, Any]] = [
            {
                "Effect": "Allow",
                "Action": "s3:ListBucket",
                "Resource": f"arn:aws:s3:::{bucket}",
                "Condition": {"StringLike": {"s3:prefix": f"{prefix}*"}},
            },
            {
                "Effect": "Allow",
                "Action": "s3:GetObject",
                "Resource": f"arn:aws:s3:::{bucket}/{prefix}*",
            },
        ]
        name = f"reader-{uuid.uuid4().hex[:12]}"
        role_arn = self._role(name, statements)
        assume = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": role_arn}
        key = self._user(name, [*statements, assume])
        rules = BucketRules(prefix)
        self.proxy.rules[bucket] = rules
        return S3Export(
            proxy=self.proxy,
            endpoint_url=self.endpoint_url,
            bucket=bucket,
            prefix=prefix,
            credentials={
                "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
                "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
            },
            role_arn=role_arn,
            rules=rules,
            s3=self.s3,
            sts=self.sts,
        )

    def writable_bucket(self) -> tuple[str, dict[str, str]]:
        """A new bucket, and the environment of a user who may do anything in it."""
        bucket = f"bucket-{uuid.uuid4().hex[:12]}"
        self.s3.create_bucket(Bucket=bucket)
        resources = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
        key = self._user(
            f"writer-{uuid.uuid4().hex[:12]}",
            [{"Effect": "Allow", "Action": "s3:*", "Resource": resources}],
        )
        return bucket, {
            "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
            "AWS_ENDPOINT_URL_S3": self.endpoint_url,
            "AWS_REGION": REGION,
        }

    def _wait(self) -> None:
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"{self.direct_url}/moto-api/data.json", timeout=5).close()
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                return

    def _set_up_administrator(self) -> None:
        """Make a user who may do all, then have permissions enforced from here on."""
        self._iam = self._client("iam", "anyone", "anything")
        key = self._user("administrator", [{"Effect": "Allow", "Action": "*", "Resource": "*"}])
        switch = urllib.request.Request(
            f"{self.direct_url}/moto-api/reset-auth",
            data=b"0",  # how many more requests go unchecked
            headers={"Content-Type": "text/plain"},  # as a form it is not read, and moto fails
            method="POST",
        )
        urllib.request.urlopen(switch, timeout=5).close()
        self._iam = self._client("iam", key["AccessKeyId"], key["SecretAccessKey"])
        self.s3 = self._client("s3", key["AccessKeyId"], key["SecretAccessKey"])
        self.sts = self._client("sts", key["AccessKeyId"], key["SecretAccessKey"])

    def _user(self, name: str, statements: list[dict[str, Any]]) -> dict[str, str]:
        self._iam.create_user(UserName=name)
        self._iam.put_user_policy(
            UserName=name,
            PolicyName="only",
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": statements}),
        )
        key: dict[str, str] = self._iam.create_access_key(UserName=name)["AccessKey"]
        return key

    def _role(self, name: str, statements: list[dict[str, Any]]) -> str:
        trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "*"}}
        role = self._iam.create_role(
            RoleName=name,
            AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
        )["Role"]
        self._iam.put_role_policy(
            RoleName=name,
            PolicyName="only",
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": statements}),
        )
        return str(role["Arn"])

    def _client(self, service: str, access_key: str, secret: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.direct_url,
            region_name=REGION,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret,
            config=Config(
                s3={"addressing_style": "path"},
                max_pool_connections=16,
                request_checksum_calculation="when_required",
            ),
        )

    def _end_process(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()


@dataclass
class S3Export:
    """One bucket with one account's prefix, as the vendor gives it to a customer."""

    proxy: Proxy
    endpoint_url: str
    bucket: str
    prefix: str
    credentials: dict[str, str]
    role_arn: str
    """A role that the user of `credentials` may assume, with the same rights."""
    rules: BucketRules
    s3: Any
    sts: Any

    @property
    def source(self) -> str:
        """What a user gives: `s3://bucket/v1/account_id=12345/`."""
        return f"s3://{self.bucket}/{self.prefix}"

    @property
    def environment(self) -> dict[str, str]:
        """A whole environment for a command: nothing of this machine's own AWS settings."""
        return cleaned_environment() | self.credentials | {"AWS_ENDPOINT_URL_S3": self.endpoint_url}

    @property
    def account(self) -> str:
        """The number of the account whose prefix this is."""
        return self.prefix.rstrip("/").rpartition("=")[2]

    @property
    def rejected(self) -> int:
        """Requests that came with keys of a session that was over."""
        return self.rules.rejected

    def slow_down(self, seconds: float) -> None:
        """Have each answer take this long."""
        self.rules.delay = seconds

    @property
    def requests(self) -> Counter[str]:
        """Requests since the bucket was made, or since `requests.clear()`: `LIST`, `GET`, …"""
        return self.rules.requests

    def upload(self, folder: Path) -> None:
        """Put every file of a folder below the prefix; `folder` holds the `type=` folders."""
        files = [path for path in folder.rglob("*") if path.is_file()]

        def put(path: Path) -> None:
            self.put(str(path.relative_to(folder)), path.read_bytes())

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(put, files))

    def put(self, key: str, body: bytes = b"") -> None:
        """Put one object; `key` is relative to the prefix."""
        self.s3.put_object(Bucket=self.bucket, Key=self.prefix + key, Body=body)

    def delete(self, key: str) -> None:
        """Delete one object; `key` is relative to the prefix."""
        self.s3.delete_object(Bucket=self.bucket, Key=self.prefix + key)

    def fail(self, kind: str, status: int, code: str, times: int = 1) -> None:
        """Have the next `times` requests of a kind (`LIST`, `GET`) answered with this error."""
        self.rules.faults[kind] = Fault(status, code, times)

    def issue(self, lifetime: float = 3600.0) -> dict[str, str]:
        """Temporary keys, as STS answers; after `lifetime` seconds they are ExpiredToken."""
        ends_at = time.monotonic() + lifetime
        keys: dict[str, str] = self.sts.assume_role(
            RoleArn=self.role_arn, RoleSessionName="issued"
        )["Credentials"]
        self.rules.sessions[keys["AccessKeyId"]] = ends_at
        return keys

    def revoke(self) -> None:
        """End every session that was issued so far."""
        for key in self.rules.sessions:
            self.rules.sessions[key] = 0.0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


OWN_SETTINGS = ("AWS_", "GOOGLE_", "OPTIMIZELY_")


def cleaned_environment() -> dict[str, str]:
    """This process's environment without its settings for the clouds and the loader."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OWN_SETTINGS)}
    return kept | {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
    }


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """The server of the whole session."""
    server = S3Server(tmp_path_factory.mktemp("s3") / "moto.log")
    yield server
    server.stop()


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of this machine's own settings; fixtures that set some come after this one."""
    for name in list(os.environ):
        if name.startswith(OWN_SETTINGS):
            monkeypatch.delenv(name)
    for name, value in cleaned_environment().items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def s3_export(
    s3_server: S3Server, clean_environment: None, monkeypatch: pytest.MonkeyPatch
) -> S3Export:
    """A fresh bucket; this process's environment holds its keys, but not its endpoint."""
    s3_server.proxy.reset()
    export = s3_server.export()
    for name, value in export.credentials.items():
        monkeypatch.setenv(name, value)
    return export


@pytest.fixture
def vendor_export(s3_server: S3Server, clean_environment: None) -> S3Export:
    """A fresh account in the vendor's own bucket; the environment holds no keys for it."""
    s3_server.proxy.reset()
    account = uuid.uuid4().int % 10**10
    return s3_server.export(f"v1/account_id={account}/", "optimizely-events-data")
