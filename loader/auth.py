"""Temporary credentials as settings for other tools: aws, s5cmd, gcloud, DuckDB."""

from loader import api
from loader.credentials import vendor
from loader.credentials.aws import AwsKeys, aws_lease
from loader.credentials.lease import Grant
from loader.errors import ExitCode, LoaderError, shown
from loader.export.access import Access
from loader.export.addresses import account_of, is_vendors, s3_address
from loader.export.opening import ACCOUNT_ID, granted_base, is_folder, may_ask_api

Settings = dict[str, str | None]
"""Variables of an environment; None: to be unset, as it would belong to other credentials."""


def read_settings(source: str | None, access: Access) -> Settings:
    """Credentials for `source`, by the same rules as a pull's; without a source, for the vendor's.

    Where an account has its export at both clouds and the source says neither, those for S3.

    Raises LoaderError: credentials, usage (the account of the source is not the token's; Google's
    own default credentials, which no one needs to print), or transient.
    """
    source = source or ""
    if source and is_folder(source):
        raise LoaderError(
            f"{shown(source)} is a folder, which needs no credentials: give an account's number, "
            "s3://… or gs://…",
            ExitCode.USAGE,
        )
    account = source if ACCOUNT_ID.fullmatch(source) else account_of(source)
    is_for_api = not source or bool(ACCOUNT_ID.fullmatch(source)) or is_vendors(source)
    if source.startswith("gs://"):
        if not (is_for_api and may_ask_api(access)):
            raise LoaderError(
                f"there is nothing to print for that bucket: set {api.TOKEN_VARIABLE} for the"
                " vendor's, and use `gcloud auth print-access-token` for one of your own",
                ExitCode.USAGE,
            )
        return _google(account)
    if not (is_for_api and may_ask_api(access)):
        lease, _ = aws_lease(access)
        base = s3_address(source) if source == account else source
        return _aws(lease.grant(), base if base.startswith("s3://") else None)
    keys = vendor.s3_lease()
    try:
        base = granted_base(keys, account, "s3")
    except api.ApiRefusal:
        if source.startswith("s3://"):
            raise
        return _google(account)
    return _aws(keys.grant(), f"s3://{base}")


def _aws(grant: Grant[AwsKeys], base: str | None) -> Settings:
    return {
        "AWS_ACCESS_KEY_ID": grant.keys.access_key_id,
        "AWS_SECRET_ACCESS_KEY": grant.keys.secret_access_key,
        "AWS_SESSION_TOKEN": grant.keys.session_token,
        "AWS_SESSION_EXPIRATION": None if grant.expiration is None else str(grant.expiration),
        "S3_BASE_PATH": base,
    }


def _google(account: str | None) -> Settings:
    tokens = vendor.gcs_lease()
    base = granted_base(tokens, account, "gs")
    return {
        "CLOUDSDK_AUTH_ACCESS_TOKEN": tokens.grant().keys,
        "GCS_BASE_PATH": f"gs://{base}",
    }
