"""An export in a bucket at Google: the vendor's, or a copy in a bucket of one's own."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from obstore.exceptions import BaseError
from obstore.store import GCSStore

from loader.credentials.lease import Lease
from loader.errors import ExitCode, LoaderError
from loader.export import cloud
from loader.export.access import Access
from loader.export.addresses import gcs_address
from loader.export.cloud import Bucket, Cloud, CloudStore

if TYPE_CHECKING:
    from obstore.store import GCSCredential

ENDPOINT_VARIABLE = "GOOGLE_BASE_URL"
"""What obstore itself reads."""

GCS = Cloud(
    "Google Cloud Storage",
    {},
    f"check that the bucket is the account's own, {gcs_address('<id>')}, and that these"
    " credentials may list and read it",
    "check the Google credentials: run `gcloud auth application-default login`, or set"
    " GOOGLE_APPLICATION_CREDENTIALS",
    "allow storage.objects.get to these credentials",
)


def open_gcs(bucket: str, folder: str, access: Access, lease: Lease[str] | str) -> CloudStore:
    """A bucket's folder, `''` or with a final slash; no request is sent.

    Given a text in place of a lease of tokens, which says where they come from, obstore finds
    Google's default credentials and renews them. Raises LoaderError (usage) for a bad endpoint or
    file of credentials.
    """
    endpoint_url = endpoint(access)
    options: dict[str, Any] = {"base_url": endpoint_url} if endpoint_url else {}
    if isinstance(lease, Lease):
        options["credential_provider"] = _provider(lease)
    try:
        client = GCSStore(
            bucket,
            client_options=cloud.client_options(endpoint_url),
            retry_config=cloud.RETRIES,
            **options,
        )
    except (BaseError, ValueError) as error:
        raise LoaderError(
            f"gs://{bucket}/ cannot be opened: check GOOGLE_APPLICATION_CREDENTIALS, the other"
            " GOOGLE_* settings and the endpoint",
            ExitCode.USAGE,
        ) from error
    opened = Bucket(
        client,
        GCS,
        f"gs://{bucket}/",
        endpoint_url,
        region=None,
        origin=lease.origin if isinstance(lease, Lease) else lease,
        lease=lease if isinstance(lease, Lease) else None,
    )
    return CloudStore(opened, folder)


def endpoint(access: Access) -> str | None:
    """The endpoint that `access` or the environment names; None: Google's own."""
    return cloud.checked_endpoint(access.endpoint_url or os.environ.get(ENDPOINT_VARIABLE))


def _provider(lease: Lease[str]) -> "Callable[[], GCSCredential]":
    def provide() -> "GCSCredential":
        # Expired at once, so the lease is asked before every request.
        return {"token": lease.grant().keys, "expires_at": datetime.now(UTC)}

    return provide
