"""Credentials: which are used, how long they are held, and what happens when they end."""

import hashlib
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import pytest

from loader.credentials import lease, vendor
from loader.credentials.aws import AwsKeys
from loader.credentials.lease import Grant, Lease
from loader.errors import ExitCode, LoaderError
from loader.export.access import Access
from loader.export.cloud import RENEWALS, CloudStore
from loader.export.layout import Export, open_export
from loader.export.opening import open_store
from tests.loader.gcs_server import GcsExport
from tests.loader.s3_server import S3Export
from tests.loader.stores import check_error
from tests.loader.token_api import TokenApi

DAY = date(2026, 1, 2)
FOLDER = f"type=events/date={DAY}/"
TRANSIENT = LoaderError("busy: try again later", ExitCode.TRANSIENT)


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    stopped = Clock()
    monkeypatch.setattr(lease, "time", stopped)
    return stopped


class Source:
    """Gives `keys-1`, `keys-2`, …; or fails, where a test says so."""

    def __init__(self, lifetime: float | None):
        self.lifetime = lifetime
        self.error: Exception | None = None
        self.asked: list[bool] = []

    def ask(self, is_fresh: bool) -> Grant[str]:
        self.asked.append(is_fresh)
        if self.error:
            raise self.error
        return Grant(f"keys-{len(self.asked)}", self.lifetime)


class TestLease:
    @pytest.mark.parametrize(
        ("lifetime", "renewed_after"), [(3600.0, 3300.0), (900.0, 600.0), (60.0, 30.0)]
    )
    def test_renewed_before_the_end(
        self, clock: Clock, lifetime: float, renewed_after: float
    ) -> None:
        source = Source(lifetime)
        held = Lease(source.ask, "a test")
        assert held.grant().keys == "keys-1"
        clock.now += renewed_after - 1
        assert held.grant().keys == "keys-1"
        clock.now += 1
        assert held.grant().keys == "keys-2"
        assert source.asked == [False, False]

    def test_what_does_not_expire_is_asked_for_once(self, clock: Clock) -> None:
        held = Lease(Source(None).ask, "a test")
        assert held.grant().keys == "keys-1"
        clock.now += 1e9
        assert held.grant().keys == "keys-1"

    def test_keys_that_still_hold_outlast_a_busy_server(self, clock: Clock) -> None:
        source = Source(3600.0)
        held = Lease(source.ask, "a test")
        held.grant()
        source.error = TRANSIENT
        clock.now += 3400
        assert held.grant().keys == held.grant().keys == "keys-1"
        assert len(source.asked) == 2  # it is not asked again at once
        clock.now += 199
        assert held.grant().keys == "keys-1"
        clock.now += 1 + lease.PATIENCE_SECONDS
        with pytest.raises(LoaderError, match="busy"):
            held.grant()
        source.error = None
        assert held.grant().keys == "keys-5"

    def test_a_refusal_ends_at_once(self, clock: Clock) -> None:
        source = Source(3600.0)
        held = Lease(source.ask, "a test")
        held.grant()
        source.error = LoaderError("refused", ExitCode.CREDENTIALS)
        clock.now += 3400
        with pytest.raises(LoaderError, match="refused"):
            held.grant()
        assert held.failure is source.error

    def test_of_many_threads_whose_keys_are_rejected_one_asks(self) -> None:
        source = Source(3600.0)
        held = Lease(source.ask, "a test")
        rejected = held.grant().keys
        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(lambda _: held.replace(rejected), range(50)))
        assert source.asked == [False, True]

    def test_the_same_keys_again_are_no_others(self) -> None:
        held = Lease(lambda _: Grant("same"), "a test")
        assert not held.replace(held.grant().keys)

    def test_secrets_are_in_no_repr(self) -> None:
        keys = AwsKeys("AKIA", "hunter2", "hunter3")
        assert "hunter" not in repr(keys) + repr(Grant(keys)) + repr(Grant("hunter2"))


class TestChoice:
    """Which credentials a source gets."""

    def origin(self, source: str, access: Access) -> str:
        store = open_store(source, access)
        assert isinstance(store, CloudStore)
        return store.bucket.origin

    def test_the_vendor_s_bucket_with_a_token(
        self, vendor_export: S3Export, token_api: TokenApi
    ) -> None:
        token_api.s3 = vendor_export
        access = Access(endpoint_url=vendor_export.endpoint_url)
        assert "OPTIMIZELY_API_TOKEN" in self.origin(vendor_export.source, access)
        assert token_api.calls == {"s3": 1}

    def test_a_bucket_of_one_s_own_with_a_token(
        self, s3_export: S3Export, token_api: TokenApi
    ) -> None:
        assert self.origin(s3_export.source, Access()) == "boto3's chain"
        assert not token_api.calls

    def test_a_role_goes_before_the_token(
        self, s3_export: S3Export, token_api: TokenApi, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", s3_export.endpoint_url)
        access = Access(role_arn=s3_export.role_arn)
        assert self.origin("s3://optimizely-events-data/v1/account_id=1", access).startswith("role")
        assert self.origin("1", access).startswith("role")
        assert not token_api.calls

    def test_without_a_token(self, s3_export: S3Export) -> None:
        store = open_store("12345", Access())
        assert store.identity == "s3://optimizely-events-data/v1/account_id=12345/"
        assert self.origin("12345", Access()) == "boto3's chain"


class TestAccount:
    """The source is the number of an account."""

    @pytest.mark.parametrize("has_slash", [True, False])
    def test_google_first(
        self,
        vendor_export: S3Export,
        gcs_export: GcsExport,
        token_api: TokenApi,
        has_slash: bool,
    ) -> None:
        token_api.s3, token_api.gcs, token_api.has_slash = vendor_export, gcs_export, has_slash
        gcs_export.put(f"{FOLDER}_SUCCESS")
        export = open_export(gcs_export.account, Access(endpoint_url=gcs_export.endpoint_url))
        assert export.day("events", DAY).is_ready
        assert export.identity.startswith(gcs_export.source)
        assert token_api.calls == {"gcs": 1}

    @pytest.mark.parametrize("has_slash", [True, False])
    def test_s3_where_there_is_nothing_at_google(
        self, vendor_export: S3Export, token_api: TokenApi, has_slash: bool
    ) -> None:
        token_api.s3, token_api.has_slash = vendor_export, has_slash
        vendor_export.put(f"{FOLDER}_SUCCESS")
        export = open_export(vendor_export.account, Access(endpoint_url=vendor_export.endpoint_url))
        assert export.day("events", DAY).is_ready
        assert export.identity.startswith(vendor_export.source)
        assert vendor_export.rules.denied_listings == []
        assert token_api.calls == {"gcs": 1, "s3": 1}

    def test_another_account_s_token(
        self, vendor_export: S3Export, gcs_export: GcsExport, token_api: TokenApi
    ) -> None:
        token_api.s3, token_api.gcs = vendor_export, gcs_export
        sources = [
            ("77", gcs_export.account),
            ("gs://optimizely-e3-77", gcs_export.account),
            ("s3://optimizely-events-data/v1/account_id=77", vendor_export.account),
        ]
        for source, account in sources:
            with pytest.raises(LoaderError) as raised:
                open_store(source, Access())
            check_error(
                raised.value,
                ExitCode.USAGE,
                f"belongs to account {account}, not 77",
                f"or give --source {account}",
            )

    def test_no_export_anywhere(self, token_api: TokenApi) -> None:
        with pytest.raises(LoaderError) as raised:
            open_store("77", Access())
        check_error(raised.value, ExitCode.USAGE, "HTTP 400", "check that the account has")

    def test_a_folder_of_digits_is_written_with_a_dot(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "77" / FOLDER).mkdir(parents=True)
        monkeypatch.chdir(tmp_path)
        assert open_export("./77").dates("events") == [DAY]


def opened(
    kind: str, vendor_export: S3Export, gcs_export: GcsExport, token_api: TokenApi
) -> tuple[S3Export | GcsExport, Export]:
    """An export at one of the clouds that the token API opens, with files on several pages."""
    served: S3Export | GcsExport = vendor_export if kind == "s3" else gcs_export
    token_api.s3, token_api.gcs = vendor_export, gcs_export
    gcs_export.page_size = 10
    served.put(f"{FOLDER}event=e/part-000", b"part-000")
    return served, open_export(served.source, Access(endpoint_url=served.endpoint_url))


@pytest.mark.parametrize("kind", ["s3", "gcs"])
class TestTokensEnd:
    def test_many_pages_and_downloads_outlive_many_tokens(
        self,
        kind: str,
        vendor_export: S3Export,
        gcs_export: GcsExport,
        token_api: TokenApi,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Whatever lasts longer than a token: no request is sent with one that has ended."""
        token_api.lifetime = 3.0
        monkeypatch.setattr("loader.credentials.vendor.DURATION_SECONDS", 3.0)
        served, export = opened(kind, vendor_export, gcs_export, token_api)
        for number in range(1, 40):
            served.put(f"{FOLDER}event=e/part-{number:03}", f"part-{number:03}".encode())
        served.slow_down(0.15)

        files = export.day("events", DAY).files
        for file in files:
            export.download(file, tmp_path / file.key.rpartition("/")[2])

        assert [path.read_bytes() for path in sorted(tmp_path.iterdir())] == [
            f"part-{number:03}".encode() for number in range(40)
        ]
        assert token_api.calls[kind] >= 4
        assert served.rejected == 0

    def test_a_revoked_token_is_replaced_once(
        self,
        kind: str,
        vendor_export: S3Export,
        gcs_export: GcsExport,
        token_api: TokenApi,
        tmp_path: Path,
    ) -> None:
        served, export = opened(kind, vendor_export, gcs_export, token_api)
        [file] = export.day("events", DAY).files
        assert token_api.calls == {kind: 1}
        served.revoke()
        assert export.dates("events") == [DAY]
        assert token_api.calls == {kind: 2}
        served.revoke()
        export.download(file, tmp_path / "copy")
        assert (tmp_path / "copy").read_bytes() == b"part-000"
        assert token_api.calls == {kind: 3}

    def test_a_token_whose_successor_is_revoked_too(
        self,
        kind: str,
        vendor_export: S3Export,
        gcs_export: GcsExport,
        token_api: TokenApi,
        tmp_path: Path,
    ) -> None:
        served, export = opened(kind, vendor_export, gcs_export, token_api)
        [file] = export.day("events", DAY).files
        code = ("ExpiredToken", 400) if kind == "s3" else ("AuthenticationRequired", 401)
        served.fail("GET", code[1], code[0], times=2)
        export.download(file, tmp_path / "copy")
        assert (tmp_path / "copy").read_bytes() == b"part-000"
        assert token_api.calls == {kind: 3}

    def test_a_store_that_rejects_every_token(
        self,
        kind: str,
        vendor_export: S3Export,
        gcs_export: GcsExport,
        token_api: TokenApi,
        tmp_path: Path,
    ) -> None:
        served, export = opened(kind, vendor_export, gcs_export, token_api)
        [file] = export.day("events", DAY).files
        for ask in (
            lambda: export.dates("events"),
            lambda: export.download(file, tmp_path / "copy"),
        ):
            code = ("ExpiredToken", 400) if kind == "s3" else ("AuthenticationRequired", 401)
            served.fail("LIST", code[1], code[0], times=10)
            served.fail("GET", code[1], code[0], times=10)
            calls = token_api.calls[kind]
            with pytest.raises(LoaderError) as raised:
                ask()
            check_error(
                raised.value, ExitCode.CREDENTIALS, code[0], "check OPTIMIZELY_API_TOKEN, or make"
            )
            assert token_api.calls[kind] == calls + RENEWALS
            assert not any(secret in str(raised.value) for secret in token_api.secrets)
        assert not (tmp_path / "copy").exists()

    def test_a_personal_token_that_is_revoked_too(
        self, kind: str, vendor_export: S3Export, gcs_export: GcsExport, token_api: TokenApi
    ) -> None:
        served, export = opened(kind, vendor_export, gcs_export, token_api)
        served.revoke()
        token_api.token = "another"
        with pytest.raises(LoaderError) as raised:
            export.dates("events")
        check_error(raised.value, ExitCode.CREDENTIALS, "HTTP 401", "or make a new token")

    def test_the_wall_clock_is_hours_off(
        self,
        kind: str,
        vendor_export: S3Export,
        gcs_export: GcsExport,
        token_api: TokenApi,
        clock: Clock,
    ) -> None:
        """The lifetime is what the API's own clock says; each server's clock may differ."""
        token_api.clock_offset = -5 * 3600
        _, export = opened(kind, vendor_export, gcs_export, token_api)
        clock.now += 3290
        export.dates("events")
        assert token_api.calls[kind] == 1
        clock.now += 20
        export.dates("events")
        assert token_api.calls[kind] == 2

    @pytest.mark.parametrize(
        "changed",
        [
            {"credentials": None, "token": None},
            {"credentials": {"accessKeyId": "x"}, "token": 5},
            {"s3Path": None, "uri": None},
            {"s3Path": "https://x", "uri": "https://x"},
        ],
    )
    def test_an_answer_that_is_none(
        self,
        kind: str,
        vendor_export: S3Export,
        gcs_export: GcsExport,
        token_api: TokenApi,
        changed: dict[str, object],
    ) -> None:
        token_api.changed = changed
        told = r"API's answer has no (\w+: .*, or use credentials of your own|address of .*)$"
        with pytest.raises(LoaderError, match=told) as raised:
            opened(kind, vendor_export, gcs_export, token_api)
        assert not any(secret in str(raised.value) for secret in token_api.secrets)


class TestLifetime:
    """How long keys for S3 are taken to last; see also the clock that is hours off."""

    @pytest.mark.parametrize(
        ("expiration", "expected"),
        [(900, 900), (86_400, 3600), (None, 3600), ("soon", 3600), (-5, 0)],
    )
    def test_never_longer_than_what_was_asked(
        self,
        vendor_export: S3Export,
        token_api: TokenApi,
        expiration: object,
        expected: float,
    ) -> None:
        token_api.s3 = vendor_export
        keys = vendor_export.issue()
        given = {
            "accessKeyId": keys["AccessKeyId"],
            "secretAccessKey": keys["SecretAccessKey"],
            "sessionToken": keys["SessionToken"],
            "expiration": expiration,
        }
        if isinstance(expiration, int):
            given["expiration"] = int((time.time() + expiration) * 1000)
        token_api.changed = {"credentials": given}
        lifetime = vendor.s3_lease().grant().lifetime
        assert lifetime is not None
        assert max(lifetime, 0) == pytest.approx(expected, abs=2)


class TestRole:
    @pytest.fixture
    def role(self, s3_export: S3Export, monkeypatch: pytest.MonkeyPatch) -> Iterator[Access]:
        """How a role with an external id is reached; the proxy plays the other account."""
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", s3_export.endpoint_url)
        s3_export.proxy.external_ids[s3_export.role_arn] = "our-id"
        s3_export.put(f"{FOLDER}_SUCCESS")
        yield Access(
            endpoint_url=s3_export.endpoint_url,
            role_arn=s3_export.role_arn,
            external_id="our-id",
        )

    def test_the_role_s_own_keys_are_used(self, s3_export: S3Export, role: Access) -> None:
        export = open_export(s3_export.source, role)
        assert export.day("events", DAY).is_ready
        assert s3_export.rules.access_keys.isdisjoint(s3_export.credentials.values())
        assert s3_export.proxy.assumed == [("optimizely-e3-loader", "3600")]

    def test_assumed_again_before_it_ends(
        self, s3_export: S3Export, role: Access, clock: Clock
    ) -> None:
        s3_export.proxy.assumed.clear()
        export = open_export(s3_export.source, role)
        clock.now += 3000
        export.dates("events")
        assert len(s3_export.proxy.assumed) == 1
        clock.now += 590
        export.dates("events")
        assert len(s3_export.proxy.assumed) == 2

    @pytest.mark.parametrize("external_id", [None, "theirs"])
    def test_a_wrong_external_id(
        self, s3_export: S3Export, role: Access, external_id: str | None
    ) -> None:
        access = Access(role.endpoint_url, role_arn=role.role_arn, external_id=external_id)
        with pytest.raises(LoaderError) as raised:
            open_export(s3_export.source, access)
        check_error(raised.value, ExitCode.CREDENTIALS, "AccessDenied", "--external-id")

    def test_no_name_of_a_role(self, s3_export: S3Export, role: Access) -> None:
        with pytest.raises(LoaderError) as raised:
            open_export(s3_export.source, Access(role_arn="reader"))
        check_error(raised.value, ExitCode.USAGE, "arn:aws:iam::<account>:role/<name>")

    def test_an_external_id_without_a_role(self, s3_export: S3Export) -> None:
        with pytest.raises(LoaderError) as raised:
            open_export(s3_export.source, Access(external_id="x"))
        check_error(raised.value, ExitCode.USAGE, "give --role-arn, too")

    def test_sts_cannot_be_reached(
        self, s3_export: S3Export, role: Access, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1")
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        with pytest.raises(LoaderError) as raised:
            open_export(s3_export.source, role)
        check_error(raised.value, ExitCode.TRANSIENT, "EndpointConnectionError", "try again")


class TestProfile:
    def configure(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, config: str, keys: str = ""
    ) -> None:
        (folder / "config").write_text(config)
        (folder / "keys").write_text(keys)
        monkeypatch.setenv("AWS_CONFIG_FILE", str(folder / "config"))
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "keys"))
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name, raising=False)

    def test_its_keys_and_its_region(
        self, s3_export: S3Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        keys = s3_export.credentials
        self.configure(
            tmp_path,
            monkeypatch,
            "[profile work]\nregion = eu-west-2\n",
            f"[work]\naws_access_key_id = {keys['AWS_ACCESS_KEY_ID']}\n"
            f"aws_secret_access_key = {keys['AWS_SECRET_ACCESS_KEY']}\n",
        )
        store = open_store(s3_export.source, Access(s3_export.endpoint_url, aws_profile="work"))
        assert isinstance(store, CloudStore)
        assert store.bucket.region == "eu-west-2"
        assert store.folders("") == []

    def test_keys_that_another_tool_renews(
        self, s3_export: S3Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A file of temporary keys is read again when the store says that they have expired."""

        def write_keys() -> None:
            keys = s3_export.issue()
            self.configure(
                tmp_path,
                monkeypatch,
                "",
                f"[default]\naws_access_key_id = {keys['AccessKeyId']}\n"
                f"aws_secret_access_key = {keys['SecretAccessKey']}\n"
                f"aws_session_token = {keys['SessionToken']}\n",
            )

        write_keys()
        store = open_store(s3_export.source, Access(s3_export.endpoint_url))
        s3_export.revoke()
        with pytest.raises(LoaderError) as raised:
            store.folders("")
        check_error(raised.value, ExitCode.CREDENTIALS, "ExpiredToken", "get new ones")
        write_keys()
        assert store.folders("") == []

    def test_a_sign_in_that_has_expired(
        self, s3_export: S3Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cache = tmp_path / ".aws" / "sso" / "cache"
        cache.mkdir(parents=True)
        monkeypatch.setenv("HOME", str(tmp_path))
        self.configure(
            tmp_path,
            monkeypatch,
            "[profile work]\nsso_session = ours\nsso_account_id = 123456789012\n"
            "sso_role_name = reader\nregion = us-east-1\n"
            "[sso-session ours]\nsso_region = us-east-1\n"
            "sso_start_url = https://ours.example/start\nsso_registration_scopes = a\n",
        )
        name = hashlib.sha1(b"ours").hexdigest()
        token = {"accessToken": "hunter2", "expiresAt": "2020-01-01T00:00:00Z"}
        for content in (None, token):
            if content:
                (cache / f"{name}.json").write_text(json.dumps(content))
            with pytest.raises(LoaderError) as raised:
                open_store(s3_export.source, Access(aws_profile="work"))
            check_error(raised.value, ExitCode.CREDENTIALS, "`aws sso login --profile work`")
            assert str(raised.value).endswith("run `aws sso login --profile work`")
            assert "hunter2" not in str(raised.value)

    @pytest.mark.parametrize("name", ["nobody", ""])
    def test_a_profile_that_is_not_there(self, s3_export: S3Export, name: str) -> None:
        with pytest.raises(LoaderError) as raised:
            open_store(s3_export.source, Access(aws_profile=name))
        check_error(raised.value, ExitCode.CREDENTIALS, f"no AWS profile '{name}'", "--aws-profile")
