"""Where the vendor keeps the exports: folders of one bucket of S3, and buckets at Google."""

import re

S3_BUCKET = "optimizely-events-data"
GCS_BUCKET_START = "optimizely-e3-"
ACCOUNT_IN_ADDRESS = re.compile(rf"(?:account_id=|^gs://{GCS_BUCKET_START})([0-9]+)(?=/|$)")


def s3_folder(account: str) -> str:
    """The folder of an account in the vendor's bucket of S3."""
    return f"v1/account_id={account}/"


def s3_address(account: str) -> str:
    """Address of an account's export at S3."""
    return f"s3://{S3_BUCKET}/{s3_folder(account)}"


def gcs_address(account: str) -> str:
    """Address of an account's export at Google."""
    return f"gs://{GCS_BUCKET_START}{account}/"


def is_vendors(address: str) -> bool:
    """Whether `address` is in one of the vendor's own buckets."""
    scheme, _, rest = address.partition("://")
    bucket = rest.partition("/")[0]
    if scheme == "gs":
        return bucket.startswith(GCS_BUCKET_START)
    return scheme == "s3" and bucket == S3_BUCKET


def account_of(address: str) -> str | None:
    """The number of the account whose export is at `address`, where it can be seen."""
    found = ACCOUNT_IN_ADDRESS.search(address)
    return found[1] if found else None
