"""Google's own default credentials: obstore finds and renews them."""

import os
import socket
from contextlib import suppress
from pathlib import Path

from loader.errors import ExitCode, LoaderError

SETTINGS = (
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_SERVICE_ACCOUNT",
    "GOOGLE_SERVICE_ACCOUNT_PATH",
    "GOOGLE_SERVICE_ACCOUNT_KEY",
    "GOOGLE_BEARER_TOKEN",
    "GOOGLE_SKIP_SIGNATURE",
)
"""Where obstore looks first."""

USER_FILE = Path(".config/gcloud/application_default_credentials.json")
METADATA_HOST = "metadata.google.internal"
METADATA_SECONDS = 3.0


def find_default() -> str:
    """Where the default credentials come from; nothing is sent to Google.

    Raises LoaderError (credentials) where there are none: obstore would ask for those of a machine
    at Google, and give up after two minutes.
    """
    for name in SETTINGS:
        if os.environ.get(name):
            return name
    with suppress(RuntimeError):  # a user without a home
        if (Path.home() / USER_FILE).is_file():
            return "Google's application default credentials"
    host = os.environ.get("GCE_METADATA_HOST") or METADATA_HOST
    name, _, port = host.partition(":")
    try:
        socket.create_connection((name, int(port or 80)), METADATA_SECONDS).close()
    except (OSError, ValueError):
        raise LoaderError(
            "no Google credentials found: run `gcloud auth application-default login`, or set"
            " GOOGLE_APPLICATION_CREDENTIALS, or OPTIMIZELY_API_TOKEN for the vendor's own bucket",
            ExitCode.CREDENTIALS,
        ) from None
    return "this machine's service account"
