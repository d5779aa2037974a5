"""Optimizely's REST API: one GET at a time, with a personal access token."""

import json
import os
import re
import time
import urllib.error
import urllib.request
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from loader.errors import ExitCode, LoaderError, shown

TOKEN_VARIABLE = "OPTIMIZELY_API_TOKEN"  # noqa: S105
URL_VARIABLE = "OPTIMIZELY_API_URL"
DEFAULT_URL = "https://api.optimizely.com"

ATTEMPTS = 5
TIMEOUT_SECONDS = 30.0
LONGEST_PAUSE_SECONDS = 30.0
RETRIED_STATUSES = {408, 429, 500, 502, 503, 504}


class Answer(NamedTuple):
    """What the API answered, and when by its own clock (seconds since 1970; None: not said)."""

    content: Any
    answered_at: float | None


def has_token() -> bool:
    """Whether the environment holds a token."""
    return bool(os.environ.get(TOKEN_VARIABLE))


def get(path: str) -> Answer:
    """The JSON at `path`, such as `/v2/experiments?project_id=1`; busy servers are asked again.

    The token and the answer are never part of an error: both may be secrets.

    Raises:
        LoaderError: No token, or one that is refused (credentials); a request the API does not
            take (usage); an API that cannot be reached (transient).
    """
    request = urllib.request.Request(  # noqa: S310 - base_url lets only http and https through
        base_url() + path,
        headers={"Authorization": f"Bearer {_token()}", "Accept": "application/json"},
    )
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with OPENER.open(request, timeout=TIMEOUT_SECONDS) as answer:
                content = json.loads(answer.read())
                return Answer(content, clock(answer.headers.get("Date")))
        except urllib.error.HTTPError as error:
            with error:
                if error.code not in RETRIED_STATUSES or attempt == ATTEMPTS:
                    raise _refused(path, error.code) from None
                pause = _pause(attempt, error.headers.get("Retry-After"))
        except (OSError, HTTPException, ValueError) as error:  # no answer, a cut one, not JSON
            if attempt == ATTEMPTS:
                raise LoaderError(
                    f"the API at {base_url()} cannot be reached or understood "
                    f"({type(error).__name__}): check the network and {URL_VARIABLE}, "
                    "then try again",
                    ExitCode.TRANSIENT,
                ) from None
            pause = _pause(attempt, None)
        time.sleep(pause)
    raise AssertionError("every attempt returns, raises or goes on")


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the token to another server."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


OPENER = urllib.request.build_opener(_NoRedirects)
"""Gives the first answer, a redirect too."""


def base_url() -> str:
    """Where the API is; LoaderError (usage) if that is set to what may not get the token."""
    url = (os.environ.get(URL_VARIABLE) or DEFAULT_URL).rstrip("/")
    try:
        parts = urlsplit(url)
    except ValueError:  # a bracket that is not closed
        parts = urlsplit("")
    is_here = parts.hostname in ("127.0.0.1", "localhost", "::1")
    if (parts.scheme != "https" and not (parts.scheme == "http" and is_here)) or "@" in url:
        raise LoaderError(
            f"{URL_VARIABLE} is no address of an API: write it as https://<host>", ExitCode.USAGE
        )
    return url


def _token() -> str:
    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    if not token:
        raise LoaderError(
            f"no API token: set {TOKEN_VARIABLE} to a personal access token of Optimizely",
            ExitCode.CREDENTIALS,
        )
    if not re.fullmatch(r"[\x21-\x7e]+", token):
        raise LoaderError(
            f"{TOKEN_VARIABLE} holds a space or another odd character: copy the token again",
            ExitCode.CREDENTIALS,
        )
    return token


def _refused(path: str, status: int) -> LoaderError:
    where = shown(path.partition("?")[0])
    if status in (401, 403):
        return LoaderError(
            f"the API refuses the token for {where} (HTTP {status}): check {TOKEN_VARIABLE}, "
            "or make a new token with access to this account",
            ExitCode.CREDENTIALS,
        )
    if status in RETRIED_STATUSES:
        return LoaderError(
            f"the API is busy or broken at {where} (HTTP {status}): try again later",
            ExitCode.TRANSIENT,
        )
    return ApiRefusal(
        f"the API does not take the request {where} (HTTP {status}): "
        "check that the account has what was asked for",
        status,
    )


class ApiRefusal(LoaderError):
    """The API understood, and has no such thing; `status` is the HTTP status."""

    def __init__(self, message: str, status: int):
        super().__init__(message, ExitCode.USAGE)
        self.status = status


def _pause(attempt: int, retry_after: str | None) -> float:
    try:
        asked = float(retry_after or 0)
    except ValueError:  # a date: rare, and the pause doubles anyway
        asked = 0.0
    return min(max(asked, 0.25 * (1 << attempt)), LONGEST_PAUSE_SECONDS)


def clock(date_header: str | None) -> float | None:
    """The time that an answer's header `Date` says (seconds since 1970); None: not said."""
    try:
        return parsedate_to_datetime(date_header).timestamp() if date_header else None
    except ValueError:
        return None
