"""From what a user gives as the source to the store, with the credentials that belong to it."""

import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from loader import api
from loader.credentials import google, vendor
from loader.credentials.aws import aws_lease
from loader.credentials.lease import Lease
from loader.errors import ExitCode, LoaderError, shown
from loader.export import gcs, s3
from loader.export.access import Access
from loader.export.addresses import S3_BUCKET, account_of, is_vendors, s3_folder
from loader.export.cloud import bucket_and_folder
from loader.export.folder import FolderStore
from loader.export.gcs import open_gcs
from loader.export.s3 import open_s3
from loader.export.store import ObjectStore

ACCOUNT_ID = re.compile(r"[0-9]{1,20}")


def open_store(source: str, access: Access) -> ObjectStore:
    """The store of `source`: `s3://…`, `gs://…`, the number of an account, or a folder.

    Digits alone are an account, never a folder: that is written `./12345`. The token API gives the
    credentials where its token is in the environment, the source is an account or lies in the
    vendor's own bucket, and `access` names neither profile nor role. Otherwise they are those of
    boto3's chain, or Google's default ones.

    Raises LoaderError: usage (unknown source, nothing there), credentials, or transient.
    """
    if ACCOUNT_ID.fullmatch(source):
        return _open_account(source, access)
    if is_folder(source):
        return FolderStore(folder_of(source))
    scheme, _, rest = source.partition("://")
    if scheme == "s3":
        return _open_s3(rest, access)
    if scheme == "gs":
        return _open_gcs(rest, access)
    raise _unknown_source(f"{shown(scheme)}://")  # the rest may hold a password


def is_folder(source: str) -> bool:
    """Whether `source` is a folder of this machine."""
    scheme, separator, _ = source.partition("://")
    return not ACCOUNT_ID.fullmatch(source) and (not separator or scheme == "file")


def folder_of(source: str) -> Path:
    """The folder that `source`, a path or a `file://` address, stands for; it need not exist.

    Raises LoaderError (usage) for what no folder of this machine can be.
    """
    _, separator, rest = source.partition("://")
    if not separator:
        return _folder(source)
    host, slash, path = rest.partition("/")
    if host not in ("", "localhost"):
        raise _unknown_source("a file:// address of another machine")
    return _folder(unquote(slash + path) or "/")


def server_url(source: str, access: Access) -> str:
    """Address of the server that is asked first for a source in a cloud."""
    if source.startswith("gs://"):
        return gcs.endpoint(access) or "https://storage.googleapis.com"
    if ACCOUNT_ID.fullmatch(source) and may_ask_api(access):
        return api.base_url()
    return s3.endpoint(access) or f"https://s3.{s3.region(access)}.amazonaws.com"


def _open_account(account: str, access: Access) -> ObjectStore:
    """Google first: the vendor has announced the end of the export to S3."""
    if not may_ask_api(access):
        lease, region = aws_lease(access)
        return open_s3(S3_BUCKET, s3_folder(account), access, lease, region)
    tokens = vendor.gcs_lease()
    try:
        base = granted_base(tokens, account, "gs")
    except api.ApiRefusal:
        keys = vendor.s3_lease()
        return open_s3(*bucket_and_folder(granted_base(keys, account, "s3"), "s3"), access, keys)
    return open_gcs(*bucket_and_folder(base, "gs"), access, tokens)


def _open_s3(address: str, access: Access) -> ObjectStore:
    bucket, folder = bucket_and_folder(address, "s3")
    if not is_vendors(f"s3://{address}") or not may_ask_api(access):
        lease, region = aws_lease(access)
        return open_s3(bucket, folder, access, lease, region)
    keys = vendor.s3_lease()
    granted_base(keys, account_of(f"s3://{address}"), "s3")
    return open_s3(bucket, folder, access, keys)


def _open_gcs(address: str, access: Access) -> ObjectStore:
    bucket, folder = bucket_and_folder(address, "gs")
    if not is_vendors(f"gs://{address}") or not may_ask_api(access):
        return open_gcs(bucket, folder, access, google.find_default())
    tokens = vendor.gcs_lease()
    granted_base(tokens, account_of(f"gs://{address}"), "gs")
    return open_gcs(bucket, folder, access, tokens)


def may_ask_api(access: Access) -> bool:
    """Whether the token API may give credentials: a profile or a role goes before it."""
    return api.has_token() and not (access.aws_profile or access.role_arn)


def granted_base(lease: Lease[Any], account: str | None, scheme: str) -> str:
    """`bucket/prefix` where the API's credentials may read; it must be this account's, if it says.

    Raises LoaderError: usage for another account, and whatever the API's answer is worth.
    """
    base = lease.grant().base or ""
    if not base.startswith(f"{scheme}://"):
        raise LoaderError(
            f"the token API's answer has no address of {scheme}://: give the source as"
            f" {scheme}://<bucket>/<prefix>/",
            ExitCode.USAGE,
        )
    answered = account_of(base)
    if account is not None and answered is not None and account.lstrip("0") != answered.lstrip("0"):
        raise LoaderError(
            f"{api.TOKEN_VARIABLE} belongs to account {answered}, not {account}: set a token of"
            f" account {account}, or give --source {answered}",
            ExitCode.USAGE,
        )
    return base.removeprefix(f"{scheme}://")


def _folder(path: str) -> Path:
    if not path:
        raise _unknown_source("an empty one")
    try:
        os.fsencode(path)
        folder = Path(path).expanduser()
    except (RuntimeError, UnicodeError):  # the home of nobody; text that no path can hold
        raise _unknown_source("no path of this machine") from None
    if "\0" in path:
        raise _unknown_source("no path of this machine")
    return folder


def _unknown_source(what: str) -> LoaderError:
    return LoaderError(
        f"unknown source, {what}: give s3://<bucket>/<prefix>/, gs://<bucket>/, the number of an"
        " account, a folder, or file:///<folder>",
        ExitCode.USAGE,
    )
