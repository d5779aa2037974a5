"""`loader auth`: settings for other tools."""

import json
import shlex
import subprocess
import time

import pytest

from loader.auth import read_settings
from loader.errors import ExitCode, LoaderError
from loader.export.access import Access
from tests.loader.command import Command, Done
from tests.loader.gcs_server import GcsExport
from tests.loader.s3_server import S3Export
from tests.loader.stores import check_error
from tests.loader.token_api import TokenApi


def settings(done: Done) -> dict[str, str]:
    """What a shell makes of the output."""
    assert done.returncode == ExitCode.DONE
    assert done.stderr == ""
    shell = subprocess.run(
        ["sh", "-c", 'eval "$1"; env -0', "sh", done.stdout],
        env={"AWS_SESSION_TOKEN": "of before"},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    found = dict(line.split("=", 1) for line in shell.stdout.split("\0") if line)
    return {name: value for name, value in found.items() if name not in ("PWD", "SHLVL", "_")}


@pytest.mark.parametrize("source", [None, "account", "address"])
def test_from_the_token_api(
    loader: Command, vendor_export: S3Export, token_api: TokenApi, source: str | None
) -> None:
    token_api.s3 = vendor_export
    address = {"account": vendor_export.account, "address": vendor_export.source}.get(source or "")
    found = settings(loader("auth", *(["--source", address] if address else [])))
    assert set(found) == {
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_SESSION_EXPIRATION",
        "S3_BASE_PATH",
    }
    assert found["S3_BASE_PATH"] == vendor_export.source
    assert found["AWS_ACCESS_KEY_ID"] in vendor_export.rules.sessions
    assert found["AWS_SECRET_ACCESS_KEY"] in token_api.secrets
    assert found["AWS_SESSION_TOKEN"] in token_api.secrets
    assert int(found["AWS_SESSION_EXPIRATION"]) / 1000 == pytest.approx(time.time() + 3600, abs=30)


def test_an_account_at_google_only(
    loader: Command, gcs_export: GcsExport, token_api: TokenApi
) -> None:
    token_api.gcs = gcs_export
    for source in ([], ["--source", gcs_export.account], ["--source", gcs_export.source]):
        found = settings(loader("auth", *source))
        assert found["GCS_BASE_PATH"] == gcs_export.source
        assert found["CLOUDSDK_AUTH_ACCESS_TOKEN"] in gcs_export.tokens


def test_of_a_role(loader: Command, s3_export: S3Export, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", s3_export.endpoint_url)
    found = loader.json(
        "auth", "--role-arn", s3_export.role_arn, "--source", s3_export.source.rstrip("/")
    )
    assert found["AWS_ACCESS_KEY_ID"] != s3_export.credentials["AWS_ACCESS_KEY_ID"]
    assert int(found["AWS_SESSION_EXPIRATION"]) / 1000 == pytest.approx(time.time() + 3600, abs=30)
    assert found["S3_BASE_PATH"] == s3_export.source.rstrip("/")


def test_of_a_role_with_settings_that_cannot_be_read(
    loader: Command, s3_export: S3Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "abc")
    done = loader("auth", "--role-arn", s3_export.role_arn, "--source", s3_export.source)
    assert (done.returncode, done.stderr.count("\n")) == (ExitCode.CREDENTIALS, 1)
    assert "the AWS credentials cannot be used (ValueError)" in done.stderr


def test_keys_without_a_session_unset_what_belongs_to_another(
    loader: Command, s3_export: S3Export
) -> None:
    done = loader("auth")
    assert settings(done) == s3_export.credentials
    assert "unset AWS_SESSION_TOKEN\n" in done.stdout
    assert json.loads(loader("auth", "--json").stdout)["AWS_SESSION_TOKEN"] is None


def test_values_are_quoted_for_the_shell(
    loader: Command, s3_export: S3Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = "a'b \"$(touch oops)`c`\n;&|\\"
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", odd)
    done = loader("auth")
    assert settings(done)["AWS_SECRET_ACCESS_KEY"] == odd
    assert shlex.quote(odd) in done.stdout
    assert not (loader.folder / "oops").exists()


def test_an_endpoint_would_change_nothing(loader: Command) -> None:
    line = loader.refused("auth", "--endpoint-url", "http://localhost")
    assert line == "error: No such option: --endpoint-url: see loader --help"


@pytest.mark.parametrize("source", [".", "nowhere", "file:///nowhere"])
def test_a_folder_needs_no_credentials(loader: Command, source: str) -> None:
    assert "is a folder, which needs no credentials" in loader.refused("auth", "--source", source)


def test_an_own_bucket_at_google_has_nothing_to_print(token_api: TokenApi) -> None:
    with pytest.raises(LoaderError) as raised:
        read_settings("gs://my-copies/", Access())
    check_error(raised.value, ExitCode.USAGE, "gcloud auth print-access-token")


def test_an_account_without_a_token(s3_export: S3Export) -> None:
    found = read_settings("12345", Access())
    assert found["S3_BASE_PATH"] == "s3://optimizely-events-data/v1/account_id=12345/"


def test_a_refused_token_prints_nothing(loader: Command, token_api: TokenApi) -> None:
    token_api.token = "another"
    done = loader("auth")
    assert (done.returncode, done.stdout) == (ExitCode.CREDENTIALS, "")
    assert done.stderr.count("\n") == 1
    assert not any(secret in done.stderr for secret in token_api.secrets)
