"""The client of the REST API: what it asks again, what it refuses, and what it never tells."""

import time
from typing import Any

import pytest

from loader import api
from loader.errors import ExitCode, LoaderError
from tests.loader.gcs_server import GcsExport
from tests.loader.stores import check_error
from tests.loader.token_api import TokenApi

PATH = "/v2/export/credentials/gcp"


@pytest.fixture
def served(token_api: TokenApi, gcs_export: GcsExport) -> TokenApi:
    token_api.gcs = gcs_export
    return token_api


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the client would have slept."""
    slept: list[float] = []
    monkeypatch.setattr("loader.api.time.sleep", slept.append)
    return slept


def refusal(served: TokenApi, path: str = PATH) -> LoaderError:
    with pytest.raises(LoaderError) as raised:
        api.get(path)
    assert str(raised.value).isprintable()
    assert not any(secret in str(raised.value) for secret in served.secrets)
    return raised.value


def test_the_answer_and_the_server_s_clock(served: TokenApi) -> None:
    served.clock_offset = 7200
    answer = api.get(PATH)
    assert set(answer.content) == {"token", "uri"}
    assert answer.answered_at == pytest.approx(time.time() + 7200, abs=5)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_busy_server_is_asked_again(served: TokenApi, pauses: list[float], status: int) -> None:
    served.fail(status, times=4)
    assert api.get(PATH).content["token"]
    assert pauses == [0.5, 1.0, 2.0, 4.0]
    assert served.calls["gcs"] == 5


@pytest.mark.parametrize(
    ("asked", "pause"), [("7", 7.0), ("86400", 30.0), ("Fri, 31 Dec 2027 23:59:59 GMT", 0.5)]
)
def test_the_pause_the_server_asks_for(
    served: TokenApi, pauses: list[float], asked: str, pause: float
) -> None:
    served.fail(429, headers={"Retry-After": asked})
    api.get(PATH)
    assert pauses == [pause]


@pytest.mark.parametrize(
    ("status", "exit_code", "remedy", "calls"),
    [
        (401, ExitCode.CREDENTIALS, "make a new token with access to this account", 1),
        (403, ExitCode.CREDENTIALS, "make a new token with access to this account", 1),
        (400, ExitCode.USAGE, "check that the account has what was asked for", 1),
        (404, ExitCode.USAGE, "check that the account has what was asked for", 1),
        (301, ExitCode.USAGE, "check that the account has what was asked for", 1),
        (429, ExitCode.TRANSIENT, "try again later", 5),
        (500, ExitCode.TRANSIENT, "try again later", 5),
    ],
)
def test_refusals(
    served: TokenApi,
    pauses: list[float],
    status: int,
    exit_code: ExitCode,
    remedy: str,
    calls: int,
) -> None:
    served.fail(status, times=10)
    error = refusal(served, f"{PATH}?secret=hunter2")
    check_error(error, exit_code, f"HTTP {status}", remedy)
    assert str(error).endswith(remedy)
    assert "hunter2" not in str(error)
    assert served.calls["gcs"] == calls
    assert getattr(error, "status", None) == (status if exit_code == ExitCode.USAGE else None)


def test_a_redirect_takes_the_token_nowhere(served: TokenApi) -> None:
    """Not even to the same server."""
    served.fail(302, headers={"Location": f"{served.url}{PATH}"})
    refusal(served)
    assert served.calls["gcs"] == 1


def test_nobody_answers(
    served: TokenApi, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPTIMIZELY_API_URL", "http://127.0.0.1:1")
    check_error(refusal(served), ExitCode.TRANSIENT, "cannot be reached", "then try again")
    assert len(pauses) == 4


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example",
        "api.example",
        "ftp://127.0.0.1",
        "https://me:hunter2@api.example",
        "file:///etc/passwd",
        "https://[api.example",
    ],
)
def test_an_address_that_may_not_get_the_token(
    served: TokenApi, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("OPTIMIZELY_API_URL", url)
    error = refusal(served)
    check_error(error, ExitCode.USAGE, "OPTIMIZELY_API_URL", "https://<host>")
    assert "hunter2" not in str(error)


@pytest.mark.parametrize("token", ["", "  ", "a b", "a\nb", "é"])
def test_no_token(served: TokenApi, monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    monkeypatch.setenv("OPTIMIZELY_API_TOKEN", token)
    check_error(refusal(served), ExitCode.CREDENTIALS, "OPTIMIZELY_API_TOKEN")
    assert not served.calls


def test_a_token_may_end_with_a_line_break(
    served: TokenApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPTIMIZELY_API_TOKEN", f"{served.token}\n")
    assert api.get(PATH).content["token"]


def test_what_is_no_json_is_asked_again(
    served: TokenApi, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Any] = []

    def broken(text: bytes) -> Any:
        read.append(text)
        raise ValueError("hunter2")

    monkeypatch.setattr("loader.api.json.loads", broken)
    error = refusal(served)
    check_error(error, ExitCode.TRANSIENT, "ValueError", "then try again")
    assert "hunter2" not in str(error)
    assert len(read) == 5
