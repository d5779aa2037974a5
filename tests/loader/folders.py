"""Folders of files that are only listed."""

from pathlib import Path

from loader.export.access import Access
from loader.export.layout import Export, open_export
from tests.loader.s3_server import S3Export


def write(folder: Path, *keys: str) -> Path:
    """Make files that hold their own key; a key with a final slash is a folder."""
    for key in keys:
        path = folder / key
        if key.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(key.encode())
    return folder


def copies(folder: Path, s3_export: S3Export) -> list[Export]:
    """The same export, from the folder and from S3."""
    s3_export.upload(folder)
    return [
        open_export(str(folder)),
        open_export(s3_export.source, Access(endpoint_url=s3_export.endpoint_url)),
    ]
