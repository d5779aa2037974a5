"""An export in an S3 bucket: the vendor's, or a copy in a bucket of one's own."""

import os
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from obstore.auth.boto3 import Boto3CredentialProvider
from obstore.exceptions import (
    BaseError,
    InvalidPathError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import S3Store as ObstoreS3

from loader.errors import ExitCode, LoaderError, shown
from loader.export.access import Access
from loader.export.store import CHUNK_BYTES, ExportFile, gone, replaced, save

if TYPE_CHECKING:
    from obstore import GetOptions
    from obstore.store import ClientConfig, RetryConfig

ACCOUNT_PREFIX = "s3://optimizely-events-data/v1/account_id=<id>/"
DEFAULT_REGION = "us-east-1"
"""Where the vendor's bucket is."""

RETRIES: "RetryConfig" = {"max_retries": 10, "retry_timeout": timedelta(minutes=2)}
CLIENT: "ClientConfig" = {
    "connect_timeout": timedelta(seconds=10),
    "read_timeout": timedelta(seconds=30),
    "timeout": timedelta(days=1),  # of a whole request: 30 s by default, too short for a large file
}
RANGE_BYTES = 64 * 1024 * 1024
"""A larger file is fetched piece by piece, each with retries of its own."""

CREDENTIALS_LIFETIME = timedelta(minutes=5)
"""How long keys are used before boto3 is asked again; those it gives last ten minutes at least."""

BUCKET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
FOLDER_MARKER = re.compile(r"(^|/)((experiment|event)=[^/]*|[^/]*_\$folder\$)$")
"""How the empty objects end that consoles and Hadoop write to show a folder."""

ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
ERROR_CODE = re.compile(r"<Code>\s*([A-Za-z0-9.]{1,64})\s*</Code>")
ERROR_REGION = re.compile(r"<Region>\s*([a-z0-9-]{1,32})\s*</Region>")
HTTP_STATUS = re.compile(r"status code: ([0-9]{3})")


def open_s3(address: str, access: Access) -> "S3Store":
    """The store at `address`, `bucket/prefix` with or without a final slash; no request is sent.

    Keys come from boto3's chain (environment, profile, SSO, role). Raises LoaderError: usage for a
    bad address or endpoint, credentials when the chain gives none.
    """
    bucket, _, prefix = address.partition("/")
    if not BUCKET_NAME.fullmatch(bucket):  # not shown: it may hold keys, typed like a password
        raise LoaderError(
            f"that is no name of a bucket: write {ACCOUNT_PREFIX} or s3://<bucket>/<prefix>/",
            ExitCode.USAGE,
        )
    folder = "".join(f"{part}/" for part in prefix.split("/") if part)
    endpoint_url = access.endpoint_url or _first_set(ENDPOINT_VARIABLES)
    if endpoint_url and not re.fullmatch(r"https?://[^@\s]+", endpoint_url):
        raise LoaderError(
            "the endpoint is no address of a server: write it as https://<host>[:<port>]",
            ExitCode.USAGE,
        )
    provider, session_region = _credentials()
    region = access.region or os.environ.get("AWS_REGION") or session_region or DEFAULT_REGION
    options: dict[str, Any] = {}
    if endpoint_url:
        endpoint_url = endpoint_url.rstrip("/")
        options["endpoint"] = endpoint_url
    try:
        client = ObstoreS3(
            bucket,
            region=region,
            credential_provider=provider,
            client_options={**CLIENT, "allow_http": (endpoint_url or "").startswith("http://")},
            retry_config=RETRIES,
            **options,
        )
    except (BaseError, ValueError) as error:
        raise LoaderError(
            f"s3://{bucket}/ cannot be opened: check the AWS_* settings, endpoint and region",
            ExitCode.USAGE,
        ) from error
    return S3Store(client, f"s3://{bucket}/", folder, endpoint_url)


class S3Store:
    """A prefix of a bucket. Every listing is sent with a final slash: access is granted only below.

    Safe for many threads: the client is, and nothing else is held.
    """

    def __init__(self, client: ObstoreS3, bucket: str, folder: str, endpoint_url: str | None):
        """`bucket` is `s3://<bucket>/`; `folder` is `''` or ends with a slash."""
        self._client = client
        self._bucket = bucket
        self._folder = folder
        self._endpoint_url = endpoint_url

    @property
    def identity(self) -> str:
        """`s3://bucket/prefix/`, followed by ` at https://host` when that is not AWS's own."""
        place = f" at {self._endpoint_url}" if self._endpoint_url else ""
        return f"{self._bucket}{self._folder}{place}"

    def at(self, folder: str) -> "S3Store":
        """See ObjectStore.at."""
        return S3Store(self._client, self._bucket, self._folder + folder, self._endpoint_url)

    def folders(self, folder: str) -> list[str]:
        """See ObjectStore.folders."""
        return self.level(folder)[0]

    def level(self, folder: str) -> tuple[list[str], list[str]]:
        """See ObjectStore.level."""
        prefix = self._folder + folder
        try:
            listed = self._client.list_with_delimiter(prefix or None)
        except (BaseError, ValueError) as error:
            raise _explain(error, self._bucket + prefix) from error
        folders = sorted(path.removeprefix(prefix) for path in listed["common_prefixes"])
        return folders, sorted(found["path"].removeprefix(prefix) for found in listed["objects"])

    def files(self, folder: str) -> list[ExportFile]:
        """See ObjectStore.files. Empty objects that only show a folder are left out."""
        prefix = self._folder + folder
        files = []
        try:
            for page in self._client.list(prefix or None, chunk_size=1000):
                for found in page:
                    path, size = found["path"], found["size"]
                    if size == 0 and (path == prefix.rstrip("/") or FOLDER_MARKER.search(path)):
                        continue
                    key = path.removeprefix(self._folder)
                    files.append(ExportFile(key=key, size=size, etag=found["e_tag"]))
        except (BaseError, ValueError) as error:
            raise _explain(error, self._bucket + prefix) from error
        return files

    def download(self, file: ExportFile, path: Path) -> None:
        """See ObjectStore.download. The GET carries the listed ETag in If-Match."""
        save(self._chunks(file), file, path)

    def _chunks(self, file: ExportFile) -> Iterator[memoryview]:
        try:
            for start in range(0, max(file.size, 1), RANGE_BYTES):
                options: GetOptions = {}
                if file.etag is not None:
                    options["if_match"] = file.etag
                if file.size > RANGE_BYTES:
                    options["range"] = (start, min(start + RANGE_BYTES, file.size))
                result = self._client.get(self._folder + file.key, options=options)
                if result.meta["size"] != file.size:
                    raise replaced(file)
                for chunk in result.stream(min_chunk_size=CHUNK_BYTES):
                    yield memoryview(chunk)
        except PreconditionError as error:
            raise replaced(file) from error
        except FileNotFoundError as error:
            raise gone(file) from error
        except PermissionDeniedError as error:
            # S3 answers 403, not 404, for a missing key when the right to list ends at a prefix
            if _code_of(error) == "AccessDenied" and not self._is_listed(file):
                raise gone(file) from error
            raise _explain(error, self._bucket + self._folder + file.key) from error
        except BaseError as error:
            raise _explain(error, self._bucket + self._folder + file.key) from error

    def _is_listed(self, file: ExportFile) -> bool:
        return file in self.files(file.key.rpartition("/")[0] + "/")


def _first_set(variables: tuple[str, ...]) -> str | None:
    return next((os.environ[name] for name in variables if os.environ.get(name)), None)


def _credentials() -> tuple[Boto3CredentialProvider, str | None]:
    """Keys from boto3's chain, tried once so that a bad set-up shows at the start; its region."""
    try:
        session = boto3.Session()
        keys = session.get_credentials()
        if keys is None:
            raise LoaderError(
                "no AWS credentials found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY,"
                " or AWS_PROFILE",
                ExitCode.CREDENTIALS,
            )
        keys.get_frozen_credentials()
        return Boto3CredentialProvider(session, ttl=CREDENTIALS_LIFETIME), session.region_name
    except ClientError as error:
        reason = str(error.response.get("Error", {}).get("Code", "refused"))
        raise _bad_credentials(reason) from error
    except BotoCoreError as error:  # its text may quote what a credential process printed
        raise _bad_credentials(type(error).__name__) from error


def _bad_credentials(reason: str) -> LoaderError:
    return LoaderError(
        f"the AWS credentials cannot be used ({shown(reason)}): check AWS_PROFILE and the profile's"
        " settings, or sign in again with `aws sso login`",
        ExitCode.CREDENTIALS,
    )


CREDENTIALS_REMEDIES = {
    "AccessDenied": f"the prefix must be the account's own, {ACCOUNT_PREFIX}",
    "InvalidAccessKeyId": "no such access key; check AWS_ACCESS_KEY_ID or AWS_PROFILE",
    "SignatureDoesNotMatch": (
        "the secret does not belong to the access key; check AWS_SECRET_ACCESS_KEY or AWS_PROFILE"
    ),
    "ExpiredToken": "the temporary credentials have expired; get new ones and try again",
    "TokenRefreshRequired": "the temporary credentials have expired; get new ones and try again",
    "InvalidToken": "check AWS_SESSION_TOKEN: unset it, or set all three of the same credentials",
    "RequestTimeTooSkewed": "set this machine's clock",
}
"""What to do, by S3's error code; any other 401 or 403 is told like AccessDenied."""

WRONG_REGION_CODES = {
    "PermanentRedirect",
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
}


def _explain(error: Exception, address: str) -> LoaderError:
    """The one place where an error of obstore becomes one of ours.

    S3's error code is all that is quoted: obstore's own text is pages long and holds whole answers.
    """
    text = str(error)
    code = _code_of(error)
    found_status = HTTP_STATUS.search(text)
    status = int(found_status[1]) if found_status else None
    reason = code or (f"HTTP {status}" if status else "")
    where = shown(address)

    if isinstance(error, InvalidPathError | ValueError):
        return LoaderError(
            f"{where} holds a name with an empty part, a `.` or a control character:"
            " rename that object, or copy the export without it",
            ExitCode.BAD_INPUT,
        )
    if isinstance(error, UnauthenticatedError) and status is None:
        return _bad_credentials("they could not be renewed")
    if code == "InvalidObjectState":
        return LoaderError(
            f"{where} is in an archive ({code}): restore it there first", ExitCode.BAD_INPUT
        )
    if code in CREDENTIALS_REMEDIES or status in (401, 403):
        remedy = CREDENTIALS_REMEDIES.get(code or "", CREDENTIALS_REMEDIES["AccessDenied"])
        return LoaderError(f"{where}: S3 says {reason}: {remedy}", ExitCode.CREDENTIALS)
    if code in ("NoSuchBucket", "InvalidBucketName"):
        return LoaderError(
            f"{where}: there is no such bucket ({code}): check its name", ExitCode.USAGE
        )
    if code in WRONG_REGION_CODES or "incorrectly configured region" in text:
        found_region = ERROR_REGION.search(text)
        region = found_region[1] if found_region else "<the bucket's region>"
        return LoaderError(
            f"{where} is in another region: give it with --region {region}", ExitCode.USAGE
        )
    if status is not None and 400 <= status < 500 and status not in (408, 429):
        return LoaderError(
            f"{where}: S3 says {reason}: check the source, the endpoint and the region",
            ExitCode.USAGE,
        )
    if status is not None:
        return LoaderError(f"{where}: S3 says {reason}: try again later", ExitCode.TRANSIENT)
    return LoaderError(
        f"{where} cannot be reached: check the network and the endpoint, then try again",
        ExitCode.TRANSIENT,
    )


def _code_of(error: Exception) -> str | None:
    found = ERROR_CODE.search(str(error))
    return found[1] if found else None
