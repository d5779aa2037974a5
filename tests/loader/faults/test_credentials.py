"""Keys and tokens that expire, are revoked, or cannot be had."""

from collections.abc import Iterator

import pytest

from loader import api
from loader.errors import ExitCode
from tests.loader.exports import few_days
from tests.loader.faults.faulty import (
    ENDLESSLY,
    Change,
    FaultProxy,
    cut,
    dropped,
    error,
    fault_proxy,
    meanwhile,
    plain,
)
from tests.loader.faults.trial import Trial
from tests.loader.token_api import TokenApi

pytestmark = pytest.mark.usefixtures("impatient")

REJECTED: dict[str, tuple[str, int, str]] = {
    "expired": ("s3", 400, "ExpiredToken"),
    "revoked": ("s3", 403, "InvalidAccessKeyId"),
    "invalid": ("s3", 400, "InvalidToken"),
    "denied": ("s3", 403, "AccessDenied"),
    "expired at Google": ("gcs", 401, "AuthenticationRequired"),
    "denied at Google": ("gcs", 403, "AccessDenied"),
}


@pytest.fixture(params=["vendor", "gcs"])
def token_trial(request: pytest.FixtureRequest) -> Trial:
    """A trial whose bucket is opened by the token API."""
    found: Trial = request.getfixturevalue(f"{request.param}_trial")
    return found


@pytest.fixture
def api_proxy(token_api: TokenApi, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    """A fault proxy between the loader and the token API; nobody waits before asking again."""
    monkeypatch.setattr(api, "_pause", lambda *_: 0.0)
    monkeypatch.setattr(api, "TIMEOUT_SECONDS", 0.5)
    with fault_proxy(token_api.url) as proxy:
        monkeypatch.setenv(api.URL_VARIABLE, proxy.url)
        yield proxy


@pytest.mark.parametrize(("store", "status", "code"), REJECTED.values(), ids=REJECTED)
@pytest.mark.parametrize("kind", ["LIST", "GET"])
def test_rejected_for_ever(
    request: pytest.FixtureRequest, store: str, status: int, code: str, kind: str
) -> None:
    trial: Trial = request.getfixturevalue(f"{store}_trial")
    trial.publish(few_days(2))
    trial.proxy.spoil(kind, error(status, code), times=ENDLESSLY, after=trial.rng.randrange(4))
    assert code in trial.fails(ExitCode.CREDENTIALS)
    trial.recovers()


@pytest.mark.parametrize("kind", ["LIST", "GET"])
def test_revoked_once_in_a_while(token_trial: Trial, token_api: TokenApi, kind: str) -> None:
    token_trial.publish(few_days(2))
    revoke = meanwhile(token_trial.bucket.revoke)  # type: ignore[attr-defined]
    for after in (1, 3):
        token_trial.proxy.spoil(kind, revoke, after=after)
    token_trial.survives()
    assert token_api.calls.total() >= 3


def test_that_expire_soon_are_renewed_in_time(token_trial: Trial, token_api: TokenApi) -> None:
    token_api.lifetime = 2.0
    token_trial.publish(few_days(2))
    token_trial.survives()


def test_revoked_and_the_api_refuses(token_trial: Trial, token_api: TokenApi) -> None:
    token_trial.publish(few_days(2))

    def revoke() -> None:
        token_trial.bucket.revoke()  # type: ignore[attr-defined]
        token_api.fail(401, times=1000)

    token_trial.proxy.spoil("GET", meanwhile(revoke), after=2)
    assert api.TOKEN_VARIABLE in token_trial.fails(ExitCode.CREDENTIALS)
    token_api.fail(401, times=0)
    token_trial.recovers()


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, ExitCode.USAGE),
        (401, ExitCode.CREDENTIALS),
        (403, ExitCode.CREDENTIALS),
        (429, ExitCode.TRANSIENT),
        (500, ExitCode.TRANSIENT),
        (503, ExitCode.TRANSIENT),
    ],
)
def test_an_api_that_answers_with_errors(
    token_trial: Trial, api_proxy: FaultProxy, status: int, code: ExitCode
) -> None:
    token_trial.publish(few_days(1))
    body = b'{"code": "error", "message": "refused", "uuid": "0"}'
    api_proxy.spoil("GET", plain(status, body, "application/json"), times=ENDLESSLY)
    token_trial.fails(code)
    api_proxy.heal()
    token_trial.recovers()


UNHEARD: dict[str, Change] = {
    "429": plain(429, b"{}"),
    "500": plain(500, b"oops"),
    "reset": dropped,
    "truncated": cut(0.5, "close"),
    "stalled": cut(0.5, "stall"),
    "not JSON": plain(200, b"<html>sign in to this network</html>"),
}


@pytest.mark.parametrize("change", UNHEARD.values(), ids=UNHEARD)
def test_an_api_that_is_unwell_for_a_while(
    token_trial: Trial, api_proxy: FaultProxy, change: Change
) -> None:
    token_trial.publish(few_days(1))
    api_proxy.spoil("GET", change, times=2)
    token_trial.survives()


@pytest.mark.parametrize("change", UNHEARD.values(), ids=UNHEARD)
def test_an_api_that_is_unwell_for_long(
    gcs_trial: Trial, api_proxy: FaultProxy, change: Change
) -> None:
    gcs_trial.publish(few_days(1))
    api_proxy.spoil("GET", change, times=ENDLESSLY)
    assert "try again" in gcs_trial.fails(ExitCode.TRANSIENT)
    api_proxy.heal()
    gcs_trial.recovers()


def test_an_answer_that_lacks_something(token_trial: Trial, token_api: TokenApi) -> None:
    token_trial.publish(few_days(1))
    for name in ("credentials", "s3Path", "token", "uri"):
        token_api.changed[name] = None
    token_trial.fails(ExitCode.TRANSIENT)
    token_api.changed.clear()
    token_trial.recovers()


def test_a_secret_would_be_found(trial: Trial) -> None:
    trial.publish(few_days(1))
    trial.secrets.append(trial.bucket.source)  # --json says it, and the ledger holds it
    with pytest.raises(AssertionError):
        trial.pull("--dry-run", "--json")
    with pytest.raises(AssertionError, match=r"w\.duckdb"):
        trial.pull()
