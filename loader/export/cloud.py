"""What S3 and Google Cloud Storage have in common: everything but their names and their keys."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from obstore.exceptions import (
    BaseError,
    InvalidPathError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import GCSStore, S3Store

from loader.credentials.lease import Lease
from loader.errors import ExitCode, LoaderError, shown
from loader.export.addresses import is_vendors
from loader.export.store import CHUNK_BYTES, ExportFile, gone, replaced, save

if TYPE_CHECKING:
    from obstore import GetOptions
    from obstore.store import ClientConfig, RetryConfig

RETRIES: "RetryConfig" = {"max_retries": 10, "retry_timeout": timedelta(minutes=2)}
CLIENT: "ClientConfig" = {
    "connect_timeout": timedelta(seconds=10),
    "read_timeout": timedelta(seconds=30),
    "timeout": timedelta(days=1),  # of a whole request: 30 s by default, too short for a large file
}
RANGE_BYTES = 64 * 1024 * 1024
"""A larger file is fetched piece by piece, each with retries of its own."""

RENEWALS = 3
"""How often one operation may be given new credentials: a token may be revoked while others are."""

LISTING_ATTEMPTS = 5
BROKEN_LISTING = "Error getting list response body"
"""What obstore says of a listing whose answer broke off."""

BUCKET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
FOLDER_MARKER = re.compile(r"(^|/)((experiment|event)=[^/]*|[^/]*_\$folder\$)$")
"""How the empty objects end that consoles and Hadoop write to show a folder."""

ERROR_CODE = re.compile(r"<Code>\s*([A-Za-z0-9.]{1,64})\s*</Code>")
ERROR_REGION = re.compile(r"<Region>\s*([a-z0-9-]{1,32})\s*</Region>")
HTTP_STATUS = re.compile(r"status code: ([0-9]{3})")

REJECTED_CODES = {
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "TokenRefreshRequired",
}
"""Answers, beside HTTP status 401, that other credentials may cure."""

OWN_BUCKET_REMEDY = (
    "allow listing and reading (for a lake also writing and deleting) to these credentials"
)

WRONG_REGION_CODES = {
    "PermanentRedirect",
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
}

Asked = TypeVar("Asked")


@dataclass(frozen=True)
class Cloud:
    """One of the clouds: its name, and what to do, by error code, when access is refused."""

    name: str
    remedies: Mapping[str, str]
    vendor_remedy: str
    """For any other 403, in the vendor's own bucket."""
    login_remedy: str
    """For any other 401."""
    read_remedy: str
    """For a file that can be listed and not read."""


@dataclass(frozen=True)
class Bucket:
    """A bucket and how it is reached."""

    client: S3Store | GCSStore
    cloud: Cloud
    url: str
    """`s3://<bucket>/` or `gs://<bucket>/`."""
    endpoint_url: str | None
    region: str | None
    """Where the client takes the bucket to be; None: that does not matter."""
    origin: str
    """Where the credentials come from, in words."""
    lease: Lease[Any] | None = field(repr=False)
    """None: obstore looks after the credentials itself."""


class CloudStore:
    """A prefix of a bucket. Every listing is sent with a final slash: access is granted only below.

    Safe for many threads: the client and the lease are, and nothing else is held.
    """

    def __init__(self, bucket: Bucket, folder: str):
        """`folder` is `''` or ends with a slash."""
        self.bucket = bucket
        self._folder = folder

    @property
    def identity(self) -> str:
        """`s3://bucket/prefix/`, followed by ` at https://host` when that is not the cloud's own.

        The same whichever credentials are used.
        """
        endpoint_url = self.bucket.endpoint_url
        place = f" at {endpoint_url}" if endpoint_url else ""
        return f"{self.bucket.url}{self._folder}{place}"

    def at(self, folder: str) -> "CloudStore":
        """See ObjectStore.at."""
        return CloudStore(self.bucket, self._folder + folder)

    def address(self, key: str) -> str:
        """See ObjectStore.address."""
        return f"{self.bucket.url}{self._folder}{key}"

    def folders(self, folder: str) -> list[str]:
        """See ObjectStore.folders."""
        return self.level(folder)[0]

    def level(self, folder: str) -> tuple[list[str], list[str]]:
        """See ObjectStore.level."""
        prefix = self._folder + folder
        listed = self._listing(
            prefix, lambda: self.bucket.client.list_with_delimiter(prefix or None)
        )
        folders = sorted(path.removeprefix(prefix) for path in listed["common_prefixes"])
        return folders, sorted(found["path"].removeprefix(prefix) for found in listed["objects"])

    def files(self, folder: str) -> list[ExportFile]:
        """See ObjectStore.files. Empty objects that only show a folder are left out."""
        prefix = self._folder + folder
        return self._listing(prefix, lambda: list(self._files(prefix)))

    def download(self, file: ExportFile, path: Path) -> None:
        """See ObjectStore.download. The GET carries the listed ETag in If-Match."""
        save(self._chunks(file), file, path)

    def _files(self, prefix: str) -> Iterator[ExportFile]:
        for page in self.bucket.client.list(prefix or None, chunk_size=1000):
            for found in page:
                path, size = found["path"], found["size"]
                if size == 0 and (path == prefix.rstrip("/") or FOLDER_MARKER.search(path)):
                    continue
                key = path.removeprefix(self._folder)
                yield ExportFile(key=key, size=size, etag=found["e_tag"])

    def _listing(self, prefix: str, ask: Callable[[], Asked]) -> Asked:
        """What `ask` lists; from the start again if an answer breaks off, or with new keys.

        obstore sends a request again, but does not read an answer again that broke off.
        """
        renewals = broken = 0
        while True:
            used = self._keys()
            try:
                return ask()
            except (BaseError, ValueError) as error:
                if renewals < RENEWALS and self._has_others(error, used):
                    renewals += 1
                    continue
                broken += 1
                if broken == LISTING_ATTEMPTS or BROKEN_LISTING not in str(error):
                    raise self._explain(error, prefix) from error

    def _chunks(self, file: ExportFile) -> Iterator[memoryview]:
        for start in range(0, max(file.size, 1), RANGE_BYTES):
            yield from self._piece(file, start, min(start + RANGE_BYTES, file.size))

    def _piece(self, file: ExportFile, start: int, end: int) -> Iterator[memoryview]:
        """The bytes from `start` to `end`, from where they were cut if credentials are rejected."""
        renewals = 0
        while True:
            used = self._keys()
            try:
                for chunk in self._get(file, start, end):
                    start += len(chunk)
                    yield chunk
                return
            except (BaseError, FileNotFoundError) as error:
                if renewals == RENEWALS or not self._has_others(error, used):
                    raise self._explain_download(error, file) from error
                renewals += 1

    def _get(self, file: ExportFile, start: int, end: int) -> Iterator[memoryview]:
        options: GetOptions = {}
        if file.etag is not None:
            options["if_match"] = file.etag
        if end - start < file.size:
            options["range"] = (start, end)
        result = self.bucket.client.get(self._folder + file.key, options=options)
        if result.meta["size"] != file.size:
            raise replaced(file)
        for chunk in result.stream(min_chunk_size=CHUNK_BYTES):
            yield memoryview(chunk)

    def _keys(self) -> object:
        """The credentials as they are now, renewed if it is time."""
        return self.bucket.lease.grant().keys if self.bucket.lease else None

    def _has_others(self, error: Exception, used: object) -> bool:
        """Whether the store rejected the credentials, and there are others now."""
        is_rejected = _status_of(error) == 401 or _code_of(error) in REJECTED_CODES
        lease = self.bucket.lease
        return is_rejected and lease is not None and lease.replace(used)

    def _explain_download(self, error: Exception, file: ExportFile) -> LoaderError:
        if isinstance(error, PreconditionError):
            return replaced(file)
        if isinstance(error, FileNotFoundError):
            return gone(file)
        # S3 answers 403, not 404, for a missing key when the right to list ends at a prefix
        path = self._folder + file.key
        if isinstance(error, PermissionDeniedError) and _code_of(error) == "AccessDenied":
            if file not in self.files(file.key.rpartition("/")[0] + "/"):
                return gone(file)
            cloud = self.bucket.cloud
            return LoaderError(
                f"{shown(self.bucket.url + path)} can be listed but not read; {cloud.name} says"
                f" AccessDenied: {cloud.read_remedy}",
                ExitCode.CREDENTIALS,
            )
        return self._explain(error, path)

    def _explain(self, error: Exception, path: str) -> LoaderError:
        lease = self.bucket.lease
        is_ours = isinstance(error, UnauthenticatedError) and _status_of(error) is None
        if is_ours and lease is not None:
            if isinstance(lease.failure, LoaderError):
                return lease.failure
            return LoaderError(
                f"the credentials of {lease.origin} could not be renewed: check them and try again",
                ExitCode.CREDENTIALS,
            )
        remedy = lease.remedy if lease else None
        return explain(error, self.bucket.url + path, self.bucket.cloud, remedy)


def explain(error: Exception, address: str, cloud: Cloud, remedy: str | None) -> LoaderError:
    """The one place where an error of obstore becomes one of ours.

    The store's error code is all that is quoted: obstore's own text is pages long and holds whole
    answers. `remedy` is what cures rejected credentials, where that does not depend on the code.
    """
    code = _code_of(error)
    status = _status_of(error)
    reason = code or (f"HTTP {status}" if status else "")
    where = shown(address)
    text = str(error)

    if isinstance(error, InvalidPathError | ValueError):
        return LoaderError(
            f"{where} holds a name with an empty part, a `.` or a control character:"
            " rename that object, or copy the export without it",
            ExitCode.BAD_INPUT,
        )
    if "Error performing token request" in text and status is not None and status < 500:
        return LoaderError(
            f"{where}: the credentials cannot be renewed (HTTP {status}): {cloud.login_remedy}",
            ExitCode.CREDENTIALS,
        )
    if code == "InvalidObjectState":
        return LoaderError(
            f"{where} is in an archive ({code}): restore it there first", ExitCode.BAD_INPUT
        )
    if code in cloud.remedies or code == "AccessDenied" or status in (401, 403):
        denied = cloud.vendor_remedy if is_vendors(address) else OWN_BUCKET_REMEDY
        what = cloud.remedies.get(code or "", cloud.login_remedy if status == 401 else denied)
        if remedy and (status == 401 or code in REJECTED_CODES):
            what = remedy
        return LoaderError(f"{where}: {cloud.name} says {reason}: {what}", ExitCode.CREDENTIALS)
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
            f"{where}: {cloud.name} says {reason}: check the source, the endpoint and the region",
            ExitCode.USAGE,
        )
    if status is not None:
        return LoaderError(
            f"{where}: {cloud.name} says {reason}: try again later", ExitCode.TRANSIENT
        )
    return LoaderError(
        f"{where} cannot be reached: check the network and the endpoint, then try again",
        ExitCode.TRANSIENT,
    )


def bucket_and_folder(address: str, scheme: str) -> tuple[str, str]:
    """`bucket/prefix`, with or without a final slash, as a name and a folder with one."""
    bucket, _, prefix = address.partition("/")
    if not BUCKET_NAME.fullmatch(bucket):  # not shown: it may hold keys, typed like a password
        raise LoaderError(
            f"that is no name of a bucket: write {scheme}://<bucket>/<prefix>/",
            ExitCode.USAGE,
        )
    return bucket, "".join(f"{part}/" for part in prefix.split("/") if part)


def checked_endpoint(endpoint_url: str | None) -> str | None:
    """The endpoint without a final slash; LoaderError (usage) if it is no address of a server."""
    if not endpoint_url:
        return None
    if not re.fullmatch(r"https?://[^@\s]+", endpoint_url):
        raise LoaderError(
            "the endpoint is no address of a server: write it as https://<host>[:<port>]",
            ExitCode.USAGE,
        )
    return endpoint_url.rstrip("/")


def client_options(endpoint_url: str | None) -> "ClientConfig":
    """Options of obstore's client for this endpoint."""
    return {**CLIENT, "allow_http": (endpoint_url or "").startswith("http://")}


def _code_of(error: Exception) -> str | None:
    found = ERROR_CODE.search(str(error))
    return found[1] if found else None


def _status_of(error: Exception) -> int | None:
    found = HTTP_STATUS.search(str(error))
    return int(found[1]) if found else None
