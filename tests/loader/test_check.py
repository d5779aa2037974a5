"""`loader check`: what it looks at, and what it says when something is wrong."""

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from loader.demo import write_export
from loader.errors import ExitCode
from loader.export import cloud
from tests.loader.command import Command
from tests.loader.files import damage
from tests.loader.gcs_server import GcsExport, GcsServer
from tests.loader.holder import held_open
from tests.loader.s3_server import S3Export
from tests.loader.token_api import TokenApi

NAMES = [
    "token",
    "clock",
    "credentials",
    "region",
    "source",
    "layout",
    "readiness",
    "reading",
    "warehouse",
]


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small export."""
    folder = tmp_path_factory.mktemp("demo") / "export"
    write_export(folder, seed=1, days=2, visitors=5, events=20)
    return folder


@pytest.fixture
def filled(s3_export: S3Export, demo: Path) -> S3Export:
    s3_export.upload(demo)
    return s3_export


class Checked:
    """What `loader check --json` said."""

    def __init__(self, loader: Command, *arguments: str | Path):
        done = loader("check", "--json", *arguments)
        self.exit_code = done.returncode
        self.text = done.stdout + done.stderr
        assert done.stderr == ""
        self.found: list[dict[str, Any]] = json.loads(done.stdout)
        assert [check["name"] for check in self.found] == NAMES

    def statuses(self, status: str) -> list[str]:
        return [check["name"] for check in self.found if check["status"] == status]

    def message(self, name: str) -> str:
        [message] = [check["message"] for check in self.found if check["name"] == name]
        assert isinstance(message, str)
        assert message.isprintable()
        return message

    def fails(self, name: str, exit_code: ExitCode, *texts: str) -> None:
        """Only this check failed; its message holds these texts, the last at its end."""
        assert self.statuses("fail") == [name], self.text
        assert self.exit_code == exit_code
        for text in texts:
            assert text in self.message(name)
        assert self.message(name).endswith(texts[-1])


def s3_options(export: S3Export, source: str | None = None) -> list[str]:
    return ["--source", source or export.source, "--endpoint-url", export.endpoint_url]


def test_all_is_well(loader: Command, filled: S3Export) -> None:
    filled.proxy.region = "us-east-1"
    checked = Checked(loader, *s3_options(filled))
    assert checked.exit_code == ExitCode.DONE
    assert checked.statuses("fail") == []
    assert checked.statuses("skipped") == ["token"]
    assert checked.statuses("warn") == ["readiness"]  # the demo is of 2023
    assert "decisions, events" in checked.message("layout")
    assert "rows" in checked.message("reading")
    assert checked.message("credentials") == "from boto3's chain"
    assert not any(secret in checked.text for secret in filled.credentials.values())
    assert list(loader.folder.iterdir()) == []


def test_as_text(loader: Command, filled: S3Export) -> None:
    done = loader("check", *s3_options(filled))
    assert done.returncode == ExitCode.DONE
    lines = done.stdout.splitlines()
    assert [line.split()[1] for line in lines] == NAMES
    assert lines[0] == "skipped  token        OPTIMIZELY_API_TOKEN is not set"


def test_a_missing_slash_works(loader: Command, filled: S3Export) -> None:
    checked = Checked(loader, *s3_options(filled, filled.source.rstrip("/")))
    assert checked.statuses("fail") == []


def test_a_folder(loader: Command, demo: Path) -> None:
    checked = Checked(loader, "--source", demo)
    assert checked.exit_code == ExitCode.DONE
    assert checked.statuses("skipped") == ["token", "clock", "credentials", "region"]


def test_the_vendor_s_buckets(
    loader: Command,
    vendor_export: S3Export,
    gcs_export: GcsExport,
    token_api: TokenApi,
    demo: Path,
) -> None:
    token_api.s3, token_api.gcs = vendor_export, gcs_export
    for export in (vendor_export, gcs_export):
        export.upload(demo)
        checked = Checked(loader, "--source", export.source, "--endpoint-url", export.endpoint_url)
        assert checked.statuses("fail") == [], checked.text
        assert "OPTIMIZELY_API_TOKEN" in checked.message("credentials")
        assert gcs_export.source in checked.message("token")
        assert not any(secret in checked.text for secret in token_api.secrets)


@pytest.mark.parametrize("hours", [0, 3])
def test_an_account_s_number(
    loader: Command, vendor_export: S3Export, token_api: TokenApi, demo: Path, hours: int
) -> None:
    """The clock is compared with the API's: where the export is, only the API knows."""
    vendor_export.upload(demo)
    token_api.s3, token_api.clock_offset = vendor_export, hours * 3600
    checked = Checked(
        loader, "--source", vendor_export.account, "--endpoint-url", vendor_export.endpoint_url
    )
    assert checked.statuses("fail") == (["clock"] if hours else []), checked.text
    assert vendor_export.source in checked.message("source")


def test_a_wrong_key(loader: Command, filled: S3Export, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    checked = Checked(loader, *s3_options(filled))
    checked.fails(
        "source",
        ExitCode.CREDENTIALS,
        "SignatureDoesNotMatch",
        "check AWS_SECRET_ACCESS_KEY or AWS_PROFILE",
    )
    assert checked.statuses("skipped") == ["token", "layout", "readiness", "reading"]
    assert checked.message("reading") == "needs layout, which failed"
    assert "hunter2" not in checked.text


def test_no_keys(loader: Command, filled: S3Export, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    checked = Checked(loader, *s3_options(filled))
    checked.fails("credentials", ExitCode.CREDENTIALS, "or AWS_PROFILE", "vendor's own bucket")
    assert "source" in checked.statuses("skipped")


def test_another_account_s_prefix(loader: Command, filled: S3Export) -> None:
    checked = Checked(loader, *s3_options(filled, f"s3://{filled.bucket}/v1/account_id=1/"))
    checked.fails(
        "source",
        ExitCode.CREDENTIALS,
        "AccessDenied",
        "allow listing and reading (for a lake also writing and deleting) to these credentials",
    )


def test_a_revoked_token(loader: Command, filled: S3Export, token_api: TokenApi) -> None:
    """Also where the source does not need it: other commands do."""
    token_api.token = "another"
    checked = Checked(loader, *s3_options(filled))
    checked.fails(
        "token",
        ExitCode.CREDENTIALS,
        "HTTP 401",
        "check OPTIMIZELY_API_TOKEN, or make a new token with access to this account",
    )
    assert "reading" in checked.statuses("pass")


@pytest.mark.parametrize(("hours", "text"), [(3, "behind"), (-3, "ahead")])
def test_the_clock_is_hours_off(loader: Command, filled: S3Export, hours: int, text: str) -> None:
    filled.proxy.clock_offset = hours * 3600
    checked = Checked(loader, *s3_options(filled))
    assert checked.exit_code == ExitCode.CREDENTIALS
    assert checked.statuses("fail") == ["clock", "source"]
    assert checked.message("clock").endswith(
        f"s {text}: set it, for example with `timedatectl set-ntp true`"
    )
    assert "10,8" in checked.message("clock") or "10,79" in checked.message("clock")
    assert checked.message("source").endswith("set this machine's clock")


def test_a_clock_a_minute_off_does_no_harm(loader: Command, filled: S3Export) -> None:
    filled.proxy.clock_offset = 60
    assert "clock" in Checked(loader, *s3_options(filled)).statuses("pass")


def test_google_s_clock(
    loader: Command,
    gcs_export: GcsExport,
    gcs_server: GcsServer,
    token_api: TokenApi,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    token_api.gcs = gcs_export
    monkeypatch.setattr(gcs_server, "clock_offset", 7200.0)
    checked = Checked(
        loader, "--source", gcs_export.source, "--endpoint-url", gcs_export.endpoint_url
    )
    assert "clock" in checked.statuses("fail")


def test_nobody_answers(loader: Command, filled: S3Export, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloud, "RETRIES", {"max_retries": 1, "retry_timeout": timedelta(seconds=5)})
    checked = Checked(loader, "--source", filled.source, "--endpoint-url", "http://127.0.0.1:1")
    assert checked.exit_code == ExitCode.TRANSIENT
    assert checked.statuses("fail") == ["clock", "region"]
    for name in ("clock", "region"):
        assert checked.message(name).endswith("check the network and the endpoint, then try again")


def test_an_endpoint_that_is_no_address(loader: Command, filled: S3Export) -> None:
    endpoint = "http://localhost:abc"
    checked = Checked(loader, "--source", filled.source, "--endpoint-url", endpoint)
    assert "region" in checked.statuses("fail")
    assert "InvalidURL" in checked.message("region")


def test_another_region(loader: Command, filled: S3Export) -> None:
    filled.proxy.region = "eu-west-1"
    checked = Checked(loader, *s3_options(filled))
    checked.fails("region", ExitCode.USAGE, "another region", "--region eu-west-1")


def test_a_store_that_does_not_say_its_region(loader: Command, filled: S3Export) -> None:
    filled.fail("LIST", 301, "PermanentRedirect", times=100)
    checked = Checked(loader, *s3_options(filled))
    checked.fails("source", ExitCode.USAGE, "--region <the bucket's region>")


def test_listing_is_allowed_and_reading_is_not(loader: Command, filled: S3Export) -> None:
    """As where the bucket's key may not be used."""
    filled.fail("GET", 403, "AccessDenied", times=10)
    checked = Checked(loader, *s3_options(filled))
    checked.fails(
        "reading",
        ExitCode.CREDENTIALS,
        "can be listed but not read",
        "allow s3:GetObject to these credentials, and kms:Decrypt with the bucket's key",
    )


def test_a_file_that_is_no_parquet(loader: Command, tmp_path: Path) -> None:
    day = tmp_path / "export/type=events/date=2026-01-02"
    day.mkdir(parents=True)
    (day / "_SUCCESS").touch()
    (day / "part-0").write_bytes(b"hello")
    checked = Checked(loader, "--source", tmp_path / "export")
    checked.fails("reading", ExitCode.BAD_INPUT, "part-0", "ask the vendor to write the day again")
    assert "type=decisions is not there" in checked.message("layout")


def test_types_nobody_knows(loader: Command, tmp_path: Path) -> None:
    for name in ("events", "decisions", "decisions-rerun"):
        day = tmp_path / f"export/type={name}/date={date.today()}"
        day.mkdir(parents=True)
        (day / "_SUCCESS").touch()
    checked = Checked(loader, "--source", tmp_path / "export")
    assert checked.statuses("warn") == ["layout", "reading"]
    assert "type=decisions-rerun is not in the specification" in checked.message("layout")
    assert checked.exit_code == ExitCode.DONE


def test_nothing_is_ready(loader: Command, tmp_path: Path) -> None:
    for number in range(1, 6):
        day = tmp_path / f"export/type=events/date=2026-01-{number:02}"
        day.mkdir(parents=True)
        if number < 3:  # too old to count
            (day / "_SUCCESS").touch()
    checked = Checked(loader, "--source", tmp_path / "export")
    checked.fails("readiness", ExitCode.NOT_READY, "no day of events is ready", "_SUCCESS files")


def test_no_export(loader: Command, tmp_path: Path) -> None:
    checked = Checked(loader, "--source", tmp_path)
    checked.fails("layout", ExitCode.USAGE, "give the folder that holds them")
    checked = Checked(loader, "--source", tmp_path / "gone")
    checked.fails("source", ExitCode.USAGE, "give the folder that holds `type=…`")


def test_warehouses(
    loader: Command, demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("--source", demo, "--warehouse", tmp_path / "not/yet/w.duckdb")
    assert "will be made by the first pull" in Checked(loader, *options).message("warehouse")
    assert not (tmp_path / "not").exists()

    (tmp_path / "text").write_text("hello")
    checked = Checked(loader, "--source", demo, "--warehouse", tmp_path / "text/below/w.duckdb")
    checked.fails("warehouse", ExitCode.USAGE, "give another with --warehouse")
    checked = Checked(loader, "--source", demo, "--warehouse", tmp_path / "text")
    checked.fails("warehouse", ExitCode.USAGE, "with --warehouse")

    there = tmp_path / "w.duckdb"
    duckdb.connect(there).close()
    before = there.read_bytes()
    checked = Checked(loader, "--source", demo, "--warehouse", there)
    assert "can be written" in checked.message("warehouse")
    assert there.read_bytes() == before

    loader("pull", "--source", demo, "--warehouse", there)
    damage(there)
    checked = Checked(loader, "--source", demo, "--warehouse", there)
    checked.fails("warehouse", ExitCode.USAGE, "is damaged", "or pull into a new one")


def test_a_lake_in_place_of_the_warehouse(loader: Command, demo: Path, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    options = ("--source", demo, "--lake", lake, "--warehouse", tmp_path / "no/such/w.duckdb")
    assert "lake/ will be made by the first pull" in Checked(loader, *options).message("warehouse")
    assert not lake.exists()
    loader("pull", "--source", demo, "--lake", lake)
    checked = Checked(loader, *options)
    assert checked.exit_code == ExitCode.DONE
    assert checked.message("warehouse") == f"the lake {lake}/ can be read"
    commit = max((lake / "commits").iterdir())
    commit.write_text("[]")
    checked = Checked(loader, *options)
    checked.fails("warehouse", ExitCode.BAD_INPUT, "is no commit of a lake", "nobody needs it")


def test_a_warehouse_in_use_is_not_waited_for(loader: Command, demo: Path, tmp_path: Path) -> None:
    there = tmp_path / "w.duckdb"
    duckdb.connect(there).close()
    with held_open(there):
        checked = Checked(loader, "--source", demo, "--warehouse", there)
    checked.fails(
        "warehouse", ExitCode.DATABASE_IN_USE, "in use", "close it and run the command again"
    )


def test_the_gravest_failure_is_the_exit_code(
    loader: Command, filled: S3Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    checked = Checked(loader, *s3_options(filled), "--warehouse", loader.folder)
    assert checked.statuses("fail") == ["source", "warehouse"]
    assert checked.exit_code == ExitCode.CREDENTIALS


def test_no_source(loader: Command) -> None:
    assert "give --source or set OPTIMIZELY_E3_SOURCE" in loader.refused("check")
