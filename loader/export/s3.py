"""An export in an S3 bucket: the vendor's, or a copy in a bucket of one's own."""

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from obstore.exceptions import BaseError
from obstore.store import S3Store

from loader.credentials.aws import DEFAULT_REGION, AwsKeys
from loader.credentials.lease import Lease
from loader.errors import ExitCode, LoaderError
from loader.export import cloud
from loader.export.access import Access
from loader.export.addresses import s3_address
from loader.export.cloud import Bucket, Cloud, CloudStore

if TYPE_CHECKING:
    from obstore.store import S3Credential

ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")

S3 = Cloud(
    "S3",
    {
        "InvalidAccessKeyId": "no such access key; check AWS_ACCESS_KEY_ID or AWS_PROFILE",
        "SignatureDoesNotMatch": (
            "the secret does not belong to the access key; check AWS_SECRET_ACCESS_KEY or"
            " AWS_PROFILE"
        ),
        "ExpiredToken": "the temporary credentials have expired; get new ones and try again",
        "TokenRefreshRequired": (
            "the temporary credentials have expired; get new ones and try again"
        ),
        "InvalidToken": (
            "check AWS_SESSION_TOKEN: unset it, or set all three of the same credentials"
        ),
        "RequestTimeTooSkewed": "set this machine's clock",
    },
    f"the prefix must be the account's own, {s3_address('<id>')}",
    "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
    "allow s3:GetObject to these credentials, and kms:Decrypt with the bucket's key",
)


def open_s3(
    bucket: str,
    folder: str,
    access: Access,
    lease: Lease[AwsKeys],
    chain_region: str | None = None,
) -> CloudStore:
    """A bucket's folder, `''` or with a final slash; no request is sent.

    `chain_region` is the region the keys' own settings name. Raises LoaderError (usage) for a bad
    endpoint.
    """
    endpoint_url = endpoint(access)
    bucket_region = region(access, chain_region)
    options: dict[str, Any] = {"endpoint": endpoint_url} if endpoint_url else {}

    def provide() -> "S3Credential":
        keys = lease.grant().keys
        return {
            "access_key_id": keys.access_key_id,
            "secret_access_key": keys.secret_access_key,
            "token": keys.session_token,
            "expires_at": datetime.now(UTC),  # so the lease is asked before every request
        }

    try:
        client = S3Store(
            bucket,
            region=bucket_region,
            credential_provider=provide,
            client_options=cloud.client_options(endpoint_url),
            retry_config=cloud.RETRIES,
            **options,
        )
    except (BaseError, ValueError) as error:
        raise LoaderError(
            f"s3://{bucket}/ cannot be opened: check the AWS_* settings, endpoint and region",
            ExitCode.USAGE,
        ) from error
    opened = Bucket(client, S3, f"s3://{bucket}/", endpoint_url, bucket_region, lease.origin, lease)
    return CloudStore(opened, folder)


def endpoint(access: Access) -> str | None:
    """The endpoint of S3 that `access` or the environment names; None: Amazon's own."""
    found = (os.environ[name] for name in ENDPOINT_VARIABLES if os.environ.get(name))
    return cloud.checked_endpoint(access.endpoint_url or next(found, None))


def region(access: Access, chain_region: str | None = None) -> str:
    """The bucket's region, as far as anyone said."""
    return access.region or os.environ.get("AWS_REGION") or chain_region or DEFAULT_REGION
