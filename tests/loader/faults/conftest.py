"""Fixtures of the fault suite."""

import random
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from loader.export import cloud
from tests.loader.command import Command
from tests.loader.faults.faulty import fault_proxy
from tests.loader.faults.report import PROPERTY
from tests.loader.faults.trial import Bucket, Trial
from tests.loader.gcs_server import GcsExport
from tests.loader.s3_server import S3Export
from tests.loader.token_api import TokenApi

READ_SECONDS = 0.3
"""How long a silent server is waited for where `impatient` is asked for."""


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """The same for one test and one seed, whatever runs before it."""
    return random.Random(f"{request.config.option.fault_seed} {request.node.nodeid}")


@pytest.fixture
def s3_trial(
    s3_export: S3Export, request: pytest.FixtureRequest, tmp_path: Path, rng: random.Random
) -> Iterator[Trial]:
    """A trial with a bucket in S3, and keys for it in the environment."""
    secrets = list(s3_export.credentials.values())
    yield from _trial(s3_export, secrets, request, tmp_path, rng)


@pytest.fixture
def gcs_trial(
    gcs_export: GcsExport,
    token_api: TokenApi,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    rng: random.Random,
) -> Iterator[Trial]:
    """A trial with a bucket at Google, which the token API opens."""
    token_api.gcs = gcs_export
    yield from _trial(gcs_export, token_api.secrets, request, tmp_path, rng)


@pytest.fixture
def vendor_trial(
    vendor_export: S3Export,
    token_api: TokenApi,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    rng: random.Random,
) -> Iterator[Trial]:
    """A trial with an account in the vendor's bucket in S3, which the token API opens."""
    token_api.s3 = vendor_export
    yield from _trial(vendor_export, token_api.secrets, request, tmp_path, rng)


@pytest.fixture(params=["s3", "gcs"])
def trial(request: pytest.FixtureRequest) -> Trial:
    """A trial with a bucket, in each store."""
    found: Trial = request.getfixturevalue(f"{request.param}_trial")
    return found


def _trial(
    bucket: Bucket,
    secrets: list[str],
    request: pytest.FixtureRequest,
    tmp_path: Path,
    rng: random.Random,
) -> Iterator[Trial]:
    folder = tmp_path / "warehouse"
    folder.mkdir()
    with fault_proxy(bucket.endpoint_url) as proxy:
        yield Trial(bucket, proxy, Command(tmp_path), folder, rng, secrets)
        request.node.user_properties.append((PROPERTY, len(proxy.armed)))
        unmet = [fault for fault in proxy.armed if not fault.struck]
    assert not unmet, f"never met: {unmet}"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few retries, soon after one another, and no patience with a silent server."""
    short = timedelta(milliseconds=10)
    monkeypatch.setattr(
        cloud,
        "RETRIES",
        {
            "max_retries": 4,
            "retry_timeout": timedelta(seconds=20),
            "backoff": {"init_backoff": short, "max_backoff": short, "base": 2},
        },
    )
    impatient = {**cloud.CLIENT, "read_timeout": timedelta(seconds=READ_SECONDS)}
    monkeypatch.setattr(cloud, "CLIENT", impatient)
