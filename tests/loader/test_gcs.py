"""An export at Google: what is listed and copied, with which credentials, and what went wrong."""

import json
import os
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from obstore.exceptions import GenericError

from loader.credentials import google
from loader.errors import ExitCode, LoaderError
from loader.export import cloud
from loader.export.access import Access
from loader.export.gcs import GCS
from loader.export.layout import Export, SourceChanged, open_export
from tests.loader.command import Command
from tests.loader.gcs_server import GcsExport, GcsServer
from tests.loader.s3_server import S3Export
from tests.loader.stores import AWKWARD_NAMES, check_error
from tests.loader.token_api import TokenApi

DAY = date(2026, 1, 2)
FOLDER = f"type=events/date={DAY}/"


@pytest.fixture
def bucket(gcs_export: GcsExport, token_api: TokenApi) -> GcsExport:
    """A bucket that the token API opens, with one file of five bytes."""
    token_api.gcs = gcs_export
    gcs_export.put(f"{FOLDER}part-0", b"hello")
    return gcs_export


def open_gcs_export(export: GcsExport, source: str | None = None) -> Export:
    return open_export(source or export.source, Access(endpoint_url=export.endpoint_url))


def test_lists_and_copies_awkward_keys(bucket: GcsExport, tmp_path: Path) -> None:
    bucket.delete(f"{FOLDER}part-0")
    bodies = {f"{FOLDER}event={name}/part-0.parquet": name.encode() for name in AWKWARD_NAMES}
    for key, body in bodies.items():
        bucket.put(key, body)
    export = open_gcs_export(bucket)
    files = export.day("events", DAY).files
    assert [file.key for file in files] == sorted(bodies)
    for number, file in enumerate(files):
        export.download(file, tmp_path / str(number))
        assert (tmp_path / str(number)).read_bytes() == bodies[file.key]


def test_reads_every_page_of_a_listing(bucket: GcsExport) -> None:
    bucket.page_size = 7
    bucket.delete(f"{FOLDER}part-0")
    keys = [f"{FOLDER}event=e/part-{number:05}" for number in range(50)]
    for key in keys:
        bucket.put(key)
    export = open_gcs_export(bucket)
    bucket.requests.clear()
    assert [file.key for file in export.day("events", DAY).files] == keys
    assert bucket.requests == {"LIST": 8}


@pytest.mark.parametrize("prefix", ["", "v1/account_id=12345/"])
def test_the_types_are_found_by_looking(
    bucket: GcsExport, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.prefix = prefix
    bucket.put(f"{FOLDER}_SUCCESS")
    if prefix:
        del bucket.objects[f"{FOLDER}part-0"]
    export = open_gcs_export(bucket, f"gs://{bucket.bucket}")
    assert export.day("events", DAY).is_ready
    assert export.identity == f"gs://{bucket.bucket}/{prefix} at {bucket.endpoint_url}"


def test_a_large_file_is_fetched_in_pieces(
    bucket: GcsExport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = os.urandom(2500)
    bucket.put(f"{FOLDER}part-0", body)
    export = open_gcs_export(bucket)
    [file] = export.day("events", DAY).files
    bucket.requests.clear()
    monkeypatch.setattr(cloud, "RANGE_BYTES", 1000)
    export.download(file, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == body
    assert bucket.requests == {"GET": 3}


def test_replaced_or_gone_after_the_listing(bucket: GcsExport, tmp_path: Path) -> None:
    export = open_gcs_export(bucket)
    [file] = export.day("events", DAY).files
    with pytest.raises(SourceChanged, match="replaced"):
        export.download(replace(file, size=6), tmp_path / "copy")
    bucket.put(file.key, b"other")
    with pytest.raises(SourceChanged, match="replaced"):
        export.download(file, tmp_path / "copy")
    bucket.delete(file.key)
    with pytest.raises(SourceChanged, match="gone"):
        export.download(file, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize(
    ("status", "code", "exit_code", "remedy"),
    [
        (401, "AuthenticationRequired", ExitCode.CREDENTIALS, "OPTIMIZELY_API_TOKEN"),
        (403, "AccessDenied", ExitCode.CREDENTIALS, "the account's own"),
        (404, "NoSuchBucket", ExitCode.USAGE, "check its name"),
        (400, "InvalidArgument", ExitCode.USAGE, "check the source"),
        (503, "ServiceUnavailable", ExitCode.TRANSIENT, "try again later"),
    ],
)
def test_answers_of_the_store(
    bucket: GcsExport,
    monkeypatch: pytest.MonkeyPatch,
    token_api: TokenApi,
    status: int,
    code: str,
    exit_code: ExitCode,
    remedy: str,
) -> None:
    monkeypatch.setattr(cloud, "RETRIES", {"max_retries": 1, "retry_timeout": timedelta(seconds=5)})
    bucket.fail("LIST", status, code, times=10)
    with pytest.raises(LoaderError) as raised:
        open_gcs_export(bucket)

    check_error(raised.value, exit_code, remedy, bucket.bucket)
    assert not any(secret in str(raised.value) for secret in token_api.secrets)


def test_a_bucket_of_one_s_own_takes_google_s_default_credentials(
    gcs_server: GcsServer, token_api: TokenApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = gcs_server.export(bucket="my-copies")
    own.put(f"{FOLDER}part-0", b"hello")
    monkeypatch.setenv("GOOGLE_BEARER_TOKEN", own.issue())
    assert open_gcs_export(own).dates("events") == [DAY]
    assert not token_api.calls


def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    monkeypatch.setenv("GCE_METADATA_HOST", "127.0.0.1:1")
    for name in google.SETTINGS:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(LoaderError) as raised:
        google.find_default()
    check_error(raised.value, ExitCode.CREDENTIALS, "no Google credentials found")


def test_google_refuses_the_default_credentials() -> None:
    """As obstore tells of it: nothing of Google's answer is shown."""
    error = GenericError(
        "Generic GCS error: Error performing token request: Error performing POST"
        " https://accounts.google.com/o/oauth2/token in 1ms - Server returned non-2xx status code:"
        ' 400 Bad Request: {"error": "invalid_grant", "hunter2": ""}'
    )
    told = cloud.explain(error, "gs://my-copies/", GCS, None)
    check_error(
        told,
        ExitCode.CREDENTIALS,
        "gs://my-copies/: the credentials cannot be renewed (HTTP 400)",
        "`gcloud auth application-default login`",
    )
    assert "hunter2" not in str(told)


def test_what_was_landed_from_s3_is_not_landed_again_from_google(
    loader: Command,
    export: Path,
    vendor_export: S3Export,
    gcs_export: GcsExport,
    token_api: TokenApi,
) -> None:
    vendor_export.upload(export)
    gcs_export.upload(export)
    token_api.s3 = vendor_export
    at_s3 = loader.json(
        "pull", "--source", vendor_export.account, "--endpoint-url", vendor_export.endpoint_url
    )
    assert at_s3["days"] == 6
    token_api.gcs = gcs_export
    at_google = [
        loader.json("pull", "--source", source, "--endpoint-url", gcs_export.endpoint_url)
        for source in (gcs_export.source, gcs_export.source.rstrip("/"))
    ]
    assert [(done["days"], len(done["unchanged"])) for done in at_google] == [(0, 6), (0, 6)]
    assert gcs_export.requests["GET"] == 0


def test_in_a_process_of_its_own(
    loader: Command, export: Path, gcs_export: GcsExport, token_api: TokenApi
) -> None:
    """Everything comes from the environment."""
    gcs_export.upload(export)
    token_api.gcs = gcs_export
    settings = gcs_export.environment | token_api.environment
    done = loader.process(
        "pull", "--json", **settings | {"OPTIMIZELY_E3_SOURCE": gcs_export.account}
    )
    assert done.returncode == ExitCode.DONE, done.stderr
    assert json.loads(done.stdout)["days"] == 6
    token_api.fail(401, times=10)
    refused = loader.process(
        "pull", "--json", **settings | {"OPTIMIZELY_E3_SOURCE": gcs_export.account}
    )
    assert refused.returncode == ExitCode.CREDENTIALS
    assert refused.stderr.count("\n") == 1
    for secret in token_api.secrets:
        assert secret not in done.stdout + done.stderr + refused.stdout + refused.stderr


def test_no_google_credentials(
    bucket: GcsExport, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GCE_METADATA_HOST", "127.0.0.1:1")
    with pytest.raises(LoaderError) as raised:
        open_gcs_export(bucket, "gs://my-copies/")
    check_error(
        raised.value,
        ExitCode.CREDENTIALS,
        "no Google credentials found: run `gcloud auth application-default login`",
    )
