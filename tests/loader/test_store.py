"""The two stores: what they list, what they copy, and how they say what went wrong."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from loader.errors import ExitCode, LoaderError, shown
from loader.export import cloud, opening
from loader.export.access import Access
from loader.export.cloud import CloudStore
from loader.export.layout import Export, ExportFile, SourceChanged, open_export
from loader.export.store import save
from tests.loader.s3_server import PAGE_SIZE, S3Export
from tests.loader.stores import AWKWARD_NAMES, check_error

DAY = date(2026, 1, 2)
FOLDER = f"type=events/date={DAY}/"


def open_s3_export(export: S3Export, source: str | None = None) -> Export:
    return open_export(source or export.source, Access(endpoint_url=export.endpoint_url))


@pytest.fixture
def few_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloud, "RETRIES", {"max_retries": 1, "retry_timeout": timedelta(seconds=5)})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An export in a folder, with one file of five bytes."""
    day = tmp_path / "export" / FOLDER
    day.mkdir(parents=True)
    (day / "part-0").write_bytes(b"hello")
    return tmp_path / "export"


class TestS3:
    def test_lists_and_copies_awkward_keys(self, s3_export: S3Export, tmp_path: Path) -> None:
        bodies = {f"{FOLDER}event={name}/part-0.parquet": name.encode() for name in AWKWARD_NAMES}
        for key, body in bodies.items():
            s3_export.put(key, body)
        export = open_s3_export(s3_export)

        files = export.day("events", DAY).files

        assert [file.key for file in files] == sorted(bodies)
        for number, file in enumerate(files):
            export.download(file, tmp_path / str(number))
            assert (tmp_path / str(number)).read_bytes() == bodies[file.key]

    def test_reads_every_page_of_a_listing(self, s3_export: S3Export) -> None:
        keys = [f"{FOLDER}event=e/part-{number:05}" for number in range(PAGE_SIZE + 10)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(s3_export.put, keys))
        export = open_s3_export(s3_export)
        s3_export.requests.clear()

        day = export.day("events", DAY)

        assert [file.key for file in day.files] == keys
        assert s3_export.requests == {"LIST": 2}

    def test_a_listing_costs_one_request_and_no_get(self, s3_export: S3Export) -> None:
        s3_export.put(f"{FOLDER}_SUCCESS")
        s3_export.put(f"{FOLDER}event=e/part-0", b"hello")
        export = open_s3_export(s3_export)
        assert s3_export.requests == {"LIST": 1}

        assert export.dates("events") == [DAY]
        assert s3_export.requests == {"LIST": 2}
        export.day("events", DAY)
        assert s3_export.requests == {"LIST": 3}

    def test_the_final_slash_may_be_left_out(self, s3_export: S3Export) -> None:
        s3_export.put(f"{FOLDER}part-0", b"hello")

        export = open_s3_export(s3_export, s3_export.source.rstrip("/"))

        assert export.dates("events") == [DAY]
        assert export.identity == open_s3_export(s3_export).identity
        assert s3_export.rules.denied_listings == []

    def test_identity_names_bucket_prefix_and_endpoint(self, s3_export: S3Export) -> None:
        s3_export.put(f"{FOLDER}part-0")
        assert (
            open_s3_export(s3_export).identity
            == f"s3://{s3_export.bucket}/v1/account_id=12345/ at {s3_export.endpoint_url}"
        )

    @pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
    def test_endpoint_from_the_environment(
        self, s3_export: S3Export, monkeypatch: pytest.MonkeyPatch, variable: str
    ) -> None:
        s3_export.put(f"{FOLDER}part-0")
        monkeypatch.setenv(variable, s3_export.endpoint_url)
        assert open_export(s3_export.source).identity.endswith(s3_export.endpoint_url)

    def test_objects_that_only_show_a_folder_are_no_files(self, s3_export: S3Export) -> None:
        s3_export.put(FOLDER)
        s3_export.put(f"{FOLDER}event=e/")
        s3_export.put(f"{FOLDER}event=e_$folder$")
        s3_export.put(f"{FOLDER}event=e/empty.parquet")
        files = open_s3_export(s3_export).day("events", DAY).files
        assert [file.key for file in files] == [f"{FOLDER}event=e/empty.parquet"]

    def test_a_large_file_is_fetched_in_pieces(
        self, s3_export: S3Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        body = os.urandom(2500)
        s3_export.put(f"{FOLDER}part-0", body)
        export = open_s3_export(s3_export)
        [file] = export.day("events", DAY).files
        s3_export.requests.clear()
        monkeypatch.setattr(cloud, "RANGE_BYTES", 1000)

        export.download(file, tmp_path / "copy")

        assert (tmp_path / "copy").read_bytes() == body
        assert s3_export.requests == {"GET": 3}

    def test_an_empty_file_is_copied(self, s3_export: S3Export, tmp_path: Path) -> None:
        s3_export.put(f"{FOLDER}part-0")
        export = open_s3_export(s3_export)
        [file] = export.day("events", DAY).files
        export.download(file, tmp_path / "copy")
        assert (tmp_path / "copy").read_bytes() == b""

    def test_many_threads_at_once(self, s3_export: S3Export, tmp_path: Path) -> None:
        for number in range(60):
            s3_export.put(f"{FOLDER}part-{number}", f"body {number}".encode())
        export = open_s3_export(s3_export)

        def copy(file: ExportFile) -> bool:
            path = tmp_path / file.key.replace("/", "_")
            export.download(file, path)
            return path.read_bytes().decode() == f"body {file.key.rpartition('-')[2]}"

        with ThreadPoolExecutor(16) as pool:
            days = list(pool.map(lambda _: export.day("events", DAY), range(8)))
            assert len(set(days)) == 1
            assert all(pool.map(copy, days[0].files))

    def test_replaced_after_the_listing(self, s3_export: S3Export, tmp_path: Path) -> None:
        s3_export.put(f"{FOLDER}part-0", b"hello")
        export = open_s3_export(s3_export)
        [file] = export.day("events", DAY).files
        s3_export.put(f"{FOLDER}part-0", b"other")

        with pytest.raises(SourceChanged) as raised:
            export.download(file, tmp_path / "copy")

        check_error(raised.value, ExitCode.TRANSIENT, "part-0 was replaced", "run the pull again")
        assert not (tmp_path / "copy").exists()

    @pytest.mark.parametrize("is_hidden_by_403", [False, True])
    def test_gone_after_the_listing(
        self, s3_export: S3Export, tmp_path: Path, is_hidden_by_403: bool
    ) -> None:
        s3_export.put(f"{FOLDER}event=e/part-0", b"hello")
        export = open_s3_export(s3_export)
        [file] = export.day("events", DAY).files
        s3_export.delete(file.key)
        if is_hidden_by_403:  # what S3 answers whoever may list a prefix only
            s3_export.fail("GET", 403, "AccessDenied")

        with pytest.raises(SourceChanged, match="is gone since it was listed: run the pull again"):
            export.download(file, tmp_path / "copy")

        assert not (tmp_path / "copy").exists()

    @pytest.mark.parametrize("etag", [None, "as listed"])
    def test_another_length(self, s3_export: S3Export, tmp_path: Path, etag: str | None) -> None:
        s3_export.put(f"{FOLDER}part-0", b"hello")
        export = open_s3_export(s3_export)
        [file] = export.day("events", DAY).files
        listed = replace(file, size=6, etag=file.etag if etag else None)
        with pytest.raises(SourceChanged):
            export.download(listed, tmp_path / "copy")
        assert not (tmp_path / "copy").exists()

    def test_a_file_that_may_not_be_read(self, s3_export: S3Export, tmp_path: Path) -> None:
        s3_export.put(f"{FOLDER}part-0", b"hello")
        export = open_s3_export(s3_export)
        [file] = export.day("events", DAY).files
        s3_export.fail("GET", 403, "AccessDenied")
        with pytest.raises(LoaderError) as raised:
            export.download(file, tmp_path / "copy")
        check_error(raised.value, ExitCode.CREDENTIALS, "AccessDenied", "part-0")

    @pytest.mark.parametrize("kind", ["LIST", "GET"])
    def test_a_passing_error_is_tried_again(
        self, s3_export: S3Export, tmp_path: Path, kind: str
    ) -> None:
        s3_export.put(f"{FOLDER}part-0", b"hello")
        export = open_s3_export(s3_export)
        [file] = export.day("events", DAY).files
        s3_export.fail(kind, 503, "SlowDown", times=2)
        assert export.day("events", DAY).files == (file,)
        export.download(file, tmp_path / "copy")
        assert (tmp_path / "copy").read_bytes() == b"hello"


class TestS3Errors:
    @pytest.mark.parametrize("prefix", ["", "v1", "v1/account_id=1", "v1/account_id=123456/"])
    def test_wrong_prefix(self, s3_export: S3Export, prefix: str) -> None:
        with pytest.raises(LoaderError) as raised:
            open_s3_export(s3_export, f"s3://{s3_export.bucket}/{prefix}")
        check_error(
            raised.value,
            ExitCode.CREDENTIALS,
            "AccessDenied",
            "allow listing and reading (for a lake also writing and deleting) to these credentials",
        )
        for secret in s3_export.credentials.values():
            assert secret not in str(raised.value)

    def test_the_vendor_s_prefix_of_another_account(
        self, vendor_export: S3Export, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, value in vendor_export.credentials.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(LoaderError) as raised:
            open_s3_export(vendor_export, "s3://optimizely-events-data/v1/account_id=1/")
        check_error(
            raised.value,
            ExitCode.CREDENTIALS,
            "AccessDenied",
            "the account's own, s3://optimizely-events-data/v1/account_id=<id>/",
        )

    @pytest.mark.parametrize(
        ("variable", "value", "code", "remedy"),
        [
            ("AWS_ACCESS_KEY_ID", "AKIANOSUCHKEY", "InvalidAccessKeyId", "AWS_ACCESS_KEY_ID"),
            ("AWS_SECRET_ACCESS_KEY", "wrong", "SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY"),
            ("AWS_SESSION_TOKEN", "stale", "InvalidToken", "AWS_SESSION_TOKEN"),
        ],
    )
    def test_wrong_keys(
        self,
        s3_export: S3Export,
        monkeypatch: pytest.MonkeyPatch,
        variable: str,
        value: str,
        code: str,
        remedy: str,
    ) -> None:
        monkeypatch.setenv(variable, value)
        with pytest.raises(LoaderError) as raised:
            open_s3_export(s3_export)
        check_error(raised.value, ExitCode.CREDENTIALS, code, remedy)
        for secret in (value, *s3_export.credentials.values()):
            assert secret not in str(raised.value)

    @pytest.mark.parametrize(
        ("status", "code", "exit_code", "remedy"),
        [
            (400, "ExpiredToken", ExitCode.CREDENTIALS, "get new ones"),
            (403, "RequestTimeTooSkewed", ExitCode.CREDENTIALS, "clock"),
            (403, "AllAccessDisabled", ExitCode.CREDENTIALS, "allow listing and reading"),
            (401, "Unauthorized", ExitCode.CREDENTIALS, "or AWS_PROFILE"),
            (404, "NoSuchBucket", ExitCode.USAGE, "check its name"),
            (400, "AuthorizationHeaderMalformed", ExitCode.USAGE, "--region"),
            (301, "PermanentRedirect", ExitCode.USAGE, "--region"),
            (400, "InvalidRequest", ExitCode.USAGE, "check the source"),
            (503, "SlowDown", ExitCode.TRANSIENT, "try again later"),
            (500, "InternalError", ExitCode.TRANSIENT, "try again later"),
        ],
    )
    def test_answers_of_s3(
        self,
        s3_export: S3Export,
        few_retries: None,
        status: int,
        code: str,
        exit_code: ExitCode,
        remedy: str,
    ) -> None:
        s3_export.fail("LIST", status, code, times=10)
        with pytest.raises(LoaderError) as raised:
            open_s3_export(s3_export)
        check_error(raised.value, exit_code, remedy, s3_export.bucket)

    def test_a_bucket_that_is_not_there(
        self, s3_export: S3Export, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        administrator = s3_export.s3._request_signer._credentials
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", administrator.access_key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", administrator.secret_key)
        with pytest.raises(LoaderError) as raised:
            open_s3_export(s3_export, "s3://no-such-bucket/")
        check_error(raised.value, ExitCode.USAGE, "NoSuchBucket", "check its name")

    def test_nobody_answers(self, s3_export: S3Export, few_retries: None) -> None:
        with pytest.raises(LoaderError) as raised:
            open_export(s3_export.source, Access(endpoint_url="http://127.0.0.1:1"))
        check_error(raised.value, ExitCode.TRANSIENT, "cannot be reached", "try again")

    def test_no_credentials(self, s3_export: S3Export, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        with pytest.raises(LoaderError) as raised:
            open_s3_export(s3_export)
        check_error(raised.value, ExitCode.CREDENTIALS, "no AWS credentials", "AWS_PROFILE")

    def test_a_profile_that_is_not_there(
        self, s3_export: S3Export, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_PROFILE", "nobody")
        with pytest.raises(LoaderError) as raised:
            open_s3_export(s3_export)
        check_error(raised.value, ExitCode.CREDENTIALS, "ProfileNotFound", "AWS_PROFILE")

    def test_settings_that_cannot_be_read(
        self, s3_export: S3Export, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        config = tmp_path / "config"
        config.write_text("[default]\ncredential_process = echo my-secret-junk\n")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
        with pytest.raises(LoaderError) as raised:
            open_s3_export(s3_export)
        check_error(raised.value, ExitCode.CREDENTIALS, "cannot be used", "AWS_PROFILE")
        assert "junk" not in str(raised.value)

    def test_half_a_pair_of_keys(
        self, s3_export: S3Export, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        with pytest.raises(LoaderError) as raised:
            open_s3_export(s3_export)
        check_error(raised.value, ExitCode.CREDENTIALS, "PartialCredentialsError")

    def test_a_credential_process_that_prints_a_secret(
        self, s3_export: S3Export, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        config = tmp_path / "config"
        config.write_text("[profile p]\ncredential_process = sh -c 'echo hunter2 >&2; exit 1'\n")
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
        monkeypatch.setenv("AWS_PROFILE", "p")
        with pytest.raises(LoaderError) as raised:
            open_s3_export(s3_export)
        check_error(raised.value, ExitCode.CREDENTIALS, "CredentialRetrievalError")
        assert "hunter2" not in str(raised.value)

    @pytest.mark.parametrize("source", ["s3://", "s3:///v1/", "s3://AKIA:hunter2@bucket/v1"])
    def test_bad_bucket_names(self, source: str) -> None:
        with pytest.raises(LoaderError) as raised:
            open_export(source)
        check_error(raised.value, ExitCode.USAGE, "s3://<bucket>/<prefix>/")
        assert "hunter2" not in str(raised.value)

    @pytest.mark.parametrize("url", ["localhost:9000", "ftp://host", "https://me:hunter2@host"])
    def test_bad_endpoints(self, s3_export: S3Export, url: str) -> None:
        with pytest.raises(LoaderError) as raised:
            open_export(s3_export.source, Access(endpoint_url=url))
        check_error(raised.value, ExitCode.USAGE, "https://<host>")
        assert "hunter2" not in str(raised.value)

    def test_a_name_obstore_cannot_hold(self, s3_export: S3Export) -> None:
        s3_export.put(f"{FOLDER}event=e//part-0")
        export = open_s3_export(s3_export)
        with pytest.raises(LoaderError) as raised:
            export.day("events", DAY)
        check_error(raised.value, ExitCode.BAD_INPUT, FOLDER, "rename")


class TestRegion:
    @pytest.mark.parametrize(
        ("argument", "environment", "expected"),
        [
            (None, {}, "us-east-1"),
            (None, {"AWS_DEFAULT_REGION": "eu-west-1"}, "eu-west-1"),
            (None, {"AWS_REGION": "eu-west-3", "AWS_DEFAULT_REGION": "eu-west-1"}, "eu-west-3"),
            ("eu-north-1", {"AWS_REGION": "eu-west-3"}, "eu-north-1"),
        ],
    )
    def test_where_it_comes_from(
        self,
        s3_export: S3Export,
        monkeypatch: pytest.MonkeyPatch,
        argument: str | None,
        environment: dict[str, str],
        expected: str,
    ) -> None:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        store = opening.open_store("s3://bucket/v1", Access(region=argument))
        assert isinstance(store, CloudStore)
        assert store.bucket.region == expected
        assert store.identity == "s3://bucket/v1/"

    def test_the_answer_names_the_region(self, s3_export: S3Export) -> None:
        s3_export.fail("LIST", 400, "AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region>")
        with pytest.raises(LoaderError, match="--region eu-west-1"):
            open_s3_export(s3_export)


class TestFolder:
    def test_lists_and_copies_awkward_names(self, folder: Path, tmp_path: Path) -> None:
        names = [*AWKWARD_NAMES, "part#1", "new\nline", "trail ", " lead", "x" * 255]
        for name in names:
            (folder / FOLDER / name).write_bytes(name.encode())
        export = open_export(str(folder))

        files = export.day("events", DAY).files

        assert [file.key for file in files] == sorted(FOLDER + n for n in [*names, "part-0"])
        for number, file in enumerate(files):
            export.download(file, tmp_path / str(number))
            name = file.key.removeprefix(FOLDER)
            body = b"hello" if name == "part-0" else name.encode()
            assert (tmp_path / str(number)).read_bytes() == body

    def test_follows_links(self, folder: Path, tmp_path: Path) -> None:
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        (elsewhere / "part-1").write_bytes(b"linked")
        (folder / FOLDER / "event=e").symlink_to(elsewhere)
        (folder / FOLDER / "part-2").symlink_to(elsewhere / "part-1")
        (folder / FOLDER / "event=loop").symlink_to(folder / FOLDER)
        (folder / "type=decisions").symlink_to(folder / "type=events")
        export = open_export(str(folder))

        files = export.day("events", DAY).files

        assert [file.key.removeprefix(FOLDER) for file in files] == [
            "event=e/part-1",
            "part-0",
            "part-2",
        ]
        assert export.dates("decisions") == [DAY]

    @pytest.mark.parametrize("goal", ["gone", "part-1"])
    def test_a_link_to_nothing_is_not_left_out(self, folder: Path, goal: str) -> None:
        (folder / FOLDER / "part-1").symlink_to(folder / FOLDER / goal)
        with pytest.raises(LoaderError) as raised:
            open_export(str(folder)).day("events", DAY)
        check_error(raised.value, ExitCode.USAGE, "part-1 is a link to nothing", "restore")

    def test_hidden_folders_and_hidden_links_do_no_harm(self, folder: Path) -> None:
        (folder / FOLDER / ".snapshot").mkdir()
        (folder / FOLDER / ".snapshot" / "part-0").write_bytes(b"old")
        (folder / FOLDER / "_link").symlink_to(folder / "gone")
        (folder / FOLDER / ".loop").symlink_to(folder / FOLDER / ".loop")
        (folder / "type=events" / "date=2026-01-03").symlink_to("date=2026-01-03")
        [file] = open_export(str(folder)).day("events", DAY).files
        assert file.key == f"{FOLDER}part-0"

    def test_no_folder_can_be_there(self, folder: Path) -> None:
        (folder / "loop").symlink_to(folder / "loop")
        for name in ("loop", "n" * 300):
            with pytest.raises(LoaderError) as raised:
                open_export(str(folder / name))
            check_error(raised.value, ExitCode.USAGE, "is no folder", "give the folder that holds")

    def test_a_name_that_is_not_utf8(self, folder: Path) -> None:
        (folder / FOLDER / "caf\udce9").write_bytes(b"")
        with pytest.raises(LoaderError) as raised:
            open_export(str(folder)).day("events", DAY)
        check_error(raised.value, ExitCode.USAGE, r"caf\udce9", "rename it")

    def test_pipes_are_no_files(self, folder: Path) -> None:
        os.mkfifo(folder / FOLDER / "pipe")
        [file] = open_export(str(folder)).day("events", DAY).files
        assert file.key == f"{FOLDER}part-0"

    def test_identity_is_one_for_all_ways_to_write_it(
        self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "link").symlink_to(folder)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("HOME", str(tmp_path))
        sources = [str(folder), f"{folder}/", "export", "~/export", "link", f"file://{folder}"]
        identities = {open_export(source).identity for source in sources}
        assert identities == {f"file://{folder.resolve()}/"}

    def test_file_address_with_escapes(self, folder: Path, tmp_path: Path) -> None:
        awkward = folder.rename(tmp_path / "a b#c?%41")
        address = awkward.as_uri()
        assert open_export(address).identity == f"{address}/"
        assert open_export(address.replace("file://", "file://localhost")).identity == f"{address}/"

    def test_an_etag_changes_with_the_file(self, folder: Path) -> None:
        export = open_export(str(folder))
        before = export.day("events", DAY)
        (folder / FOLDER / "new").write_bytes(b"other")
        (folder / FOLDER / "new").replace(folder / FOLDER / "part-0")
        after = export.day("events", DAY)
        assert before.listed().contents == after.listed().contents
        assert before.fingerprint != after.fingerprint

    @pytest.mark.parametrize("change", ["replace", "append", "remove", "remove folder"])
    def test_changed_after_the_listing(self, folder: Path, tmp_path: Path, change: str) -> None:
        path = folder / FOLDER / "part-0"
        export = open_export(str(folder))
        [file] = export.day("events", DAY).files
        if change == "replace":
            (folder / "new").write_bytes(b"other")
            (folder / "new").replace(path)
        elif change == "append":
            with path.open("ab") as appended:
                appended.write(b"!")
        else:
            path.unlink()
            if change == "remove folder":
                path.parent.rmdir()
        with pytest.raises(SourceChanged, match=r": run the pull again$") as raised:
            export.download(file, tmp_path / "copy")
        assert raised.value.exit_code == ExitCode.TRANSIENT
        assert not (tmp_path / "copy").exists()

    def test_changed_while_it_is_copied(
        self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = folder / FOLDER / "part-0"
        export = open_export(str(folder))
        [file] = export.day("events", DAY).files

        def save_slowly(chunks: object, file: ExportFile, target: Path) -> None:
            def slow() -> object:
                for chunk in chunks:  # type: ignore[attr-defined]
                    yield chunk
                    os.utime(path, ns=(1, 1))

            save(slow(), file, target)  # type: ignore[arg-type]

        monkeypatch.setattr("loader.export.folder.save", save_slowly)
        with pytest.raises(SourceChanged):
            export.download(file, tmp_path / "copy")
        assert not (tmp_path / "copy").exists()

    def test_nothing_is_written_to_the_source(self, folder: Path, tmp_path: Path) -> None:
        for path in [*folder.rglob("*"), folder]:
            path.chmod(0o555 if path.is_dir() else 0o444)
        before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
        export = open_export(str(folder))
        [file] = export.day("events", DAY).files
        export.download(file, tmp_path / "copy")
        assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
        for path in [folder, *folder.rglob("*")]:
            path.chmod(0o755)

    @pytest.mark.parametrize("source", ["/no/such/folder", "file:///no/such/folder"])
    def test_a_folder_that_is_not_there(self, source: str) -> None:
        with pytest.raises(LoaderError) as raised:
            open_export(source)
        check_error(raised.value, ExitCode.USAGE, "/no/such/folder is not there", "type=")

    def test_a_file_for_a_folder(self, folder: Path) -> None:
        with pytest.raises(LoaderError) as raised:
            open_export(str(folder / FOLDER / "part-0"))
        check_error(raised.value, ExitCode.USAGE, "is a file", "type=")

    def test_a_source_that_goes_away_is_not_an_empty_one(
        self, folder: Path, tmp_path: Path
    ) -> None:
        export = open_export(str(folder))
        folder.rename(tmp_path / "unmounted")
        for read in (lambda: export.dates("events"), lambda: export.day("events", DAY)):
            with pytest.raises(LoaderError) as raised:
                read()
            check_error(raised.value, ExitCode.USAGE, "is not there")

    def test_a_folder_that_may_not_be_read(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        export = open_export(str(folder))

        def refuse(path: object) -> None:  # as root reads everything, chmod proves nothing
            raise PermissionError(13, "Permission denied", str(path))

        monkeypatch.setattr("loader.export.folder.os.scandir", refuse)
        with pytest.raises(LoaderError) as raised:
            export.dates("events")
        check_error(raised.value, ExitCode.CREDENTIALS, "may not be read", "read access")


def test_a_full_disk_leaves_no_file(folder: Path) -> None:
    export = open_export(str(folder))
    [file] = export.day("events", DAY).files
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("needs /dev/full")

    class FullDisk(type(full)):  # type: ignore[misc]
        def unlink(self, missing_ok: bool = False) -> None:
            removed.append(str(self))

    removed: list[str] = []
    with pytest.raises(LoaderError) as raised:
        export.download(file, FullDisk(full))
    check_error(raised.value, ExitCode.NO_DISK_SPACE, "no space left", "free some")
    assert removed == ["/dev/full"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("é plain 😀", "é plain 😀"), ("a\nb\x1b[31m", r"a\nb\x1b[31m"), ("\udcff", r"\udcff")],
)
def test_what_is_shown_is_one_line(text: str, expected: str) -> None:
    assert shown(text) == expected
