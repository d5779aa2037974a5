"""An export in a bucket at Google: the vendor's, or a copy in a bucket of one's own."""

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from obstore.exceptions import BaseError
from obstore.store import GCSStore

from loader.credentials.lease import Lease
from loader.errors import ExitCode, LoaderError
from loader.export import cloud
from loader.export.access import Access
from loader.export.cloud import Bucket, Cloud, CloudStore

if TYPE_CHECKING:
    from obstore.store import GCSCredential

ENDPOINT_VARIABLE = "GOOGLE_BASE_URL"
"""What obstore itself reads."""

GCS = Cloud(
    "Google Cloud Storage",
    {
        "AccessDenied": (
            "check that the bucket is the account's own, gs://optimizely-e3-<id>/, and that these"
            " credentials may list and read it"
        ),
    },
    "check the Google credentials: run `gcloud auth application-default login`, or set"
    " GOOGLE_APPLICATION_CREDENTIALS",
)


def open_gcs(bucket: str, folder: str, access: Access, lease: Lease[str] | None) -> CloudStore:
    """A bucket's folder, `''` or with a final slash; no request is sent.

    Without a lease of tokens obstore finds Google's default credentials and renews them. Raises
    LoaderError (usage) for a bad endpoint or file of credentials.
    """
    endpoint_url = cloud.checked_endpoint(access.endpoint_url or os.environ.get(ENDPOINT_VARIABLE))
    options: dict[str, Any] = {"base_url": endpoint_url} if endpoint_url else {}
    if lease is not None:
        tokens = lease

        def provide() -> "GCSCredential":
            # Expired at once, so the lease is asked before every request.
            return {"token": tokens.grant().keys, "expires_at": datetime.now(UTC)}

        options["credential_provider"] = provide
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
    return CloudStore(Bucket(client, GCS, f"gs://{bucket}/", endpoint_url, lease), folder)
