"""Temporary credentials for the vendor's own buckets, from its token API."""

from typing import Any

from loader import api
from loader.credentials.aws import AwsKeys
from loader.credentials.lease import Grant, Lease
from loader.errors import ExitCode, LoaderError

DURATION_SECONDS = 3600.0
"""What is asked of S3's, and what Google's tokens last, whose answer does not say it."""

S3_PATH = "/v2/export/credentials?duration=1h"
GCS_PATH = "/v2/export/credentials/gcp"

ORIGIN = f"the token API ({api.TOKEN_VARIABLE})"
REMEDY = f"check {api.TOKEN_VARIABLE}, or make a new token with access to this account"


def s3_lease() -> Lease[AwsKeys]:
    """Keys for the account's prefix of the vendor's S3 bucket; nothing is asked for yet."""
    return Lease(_ask_s3, ORIGIN, REMEDY)


def gcs_lease() -> Lease[str]:
    """Access tokens for the account's bucket at Google; nothing is asked for yet."""
    return Lease(_ask_gcs, ORIGIN, REMEDY)


def _ask_s3(_: bool) -> Grant[AwsKeys]:
    answer = api.get(S3_PATH)
    given = _part(answer.content, "credentials", dict)
    keys = AwsKeys(
        _part(given, "accessKeyId", str),
        _part(given, "secretAccessKey", str),
        _part(given, "sessionToken", str),
    )
    expiration = given.get("expiration")
    if not isinstance(expiration, int | float) or isinstance(expiration, bool):
        expiration = None
    lifetime = DURATION_SECONDS
    if expiration is not None and answer.answered_at is not None:
        lifetime = min(lifetime, expiration / 1000 - answer.answered_at)
    base = _part(answer.content, "s3Path", str)
    return Grant(keys, lifetime, base, None if expiration is None else int(expiration))


def _ask_gcs(_: bool) -> Grant[str]:
    content = api.get(GCS_PATH).content
    return Grant(_part(content, "token", str), DURATION_SECONDS, _part(content, "uri", str))


def _part(content: Any, name: str, kind: type) -> Any:
    """One member of an answer; the answer itself is never shown."""
    found = content.get(name) if isinstance(content, dict) else None
    if not isinstance(found, kind) or not found:
        raise LoaderError(
            f"the token API's answer has no {name}: try again later, or use credentials of "
            "your own",
            ExitCode.TRANSIENT,
        )
    return found
