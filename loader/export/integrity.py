"""Whether a download is what the store holds, where the store says what that is."""

import hashlib
import re
from pathlib import Path

from loader.errors import ExitCode, LoaderError, shown
from loader.export.store import ExportFile, ObjectStore

ATTEMPTS = 4

_MD5 = re.compile(r'"?([0-9a-f]{32})"?')


class CheckedDownloads:
    """Downloads from one store, each compared with its MD5 where the ETag is one.

    Neither the network's own checks nor Parquet's find every flipped bit. Most stores give the MD5
    of a file that was uploaded in one piece as its ETag. With keys of a key service (the vendor's
    bucket) the ETag looks the same and is none: that shows when a second download gives the same
    bytes again, and from then on nothing is compared. Safe for many threads.
    """

    def __init__(self, store: ObjectStore):
        self._store = store
        self._are_md5 = True

    def download(self, file: ExportFile, path: Path) -> None:
        """Copy one listed file to `path`; LoaderError (transient) if it keeps arriving damaged."""
        seen: set[str] = set()
        for _ in range(ATTEMPTS):
            self._store.download(file, path)
            listed = _MD5.fullmatch(file.etag or "")
            if listed is None or not self._are_md5:
                return
            with path.open("rb") as downloaded:
                found = hashlib.file_digest(downloaded, _new_md5).hexdigest()
            if found == listed[1]:
                return
            if found in seen:
                self._are_md5 = False
                return
            seen.add(found)
        path.unlink()
        raise LoaderError(
            f"{shown(file.key)} arrives damaged, {ATTEMPTS} times in {ATTEMPTS} different ways: "
            "check the network or the proxy, then try again",
            ExitCode.TRANSIENT,
        )


def _new_md5() -> "hashlib._Hash":
    return hashlib.md5(usedforsecurity=False)
