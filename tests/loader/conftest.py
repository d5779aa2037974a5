"""Fixtures of the loader's tests."""

import pytest

from loader.landing import warehouse
from tests.loader import lean_duckdb
from tests.loader.command import export, loader
from tests.loader.disk import new_disk
from tests.loader.gcs_server import gcs_export, gcs_server
from tests.loader.rest_api import rest_api
from tests.loader.s3_server import clean_environment, s3_export, s3_server, vendor_export
from tests.loader.token_api import token_api

__all__ = [
    "clean_environment",
    "export",
    "gcs_export",
    "gcs_server",
    "loader",
    "new_disk",
    "rest_api",
    "s3_export",
    "s3_server",
    "token_api",
    "vendor_export",
]


@pytest.fixture(autouse=True)
def lean_warehouses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Openings share one DuckDB."""
    monkeypatch.setattr(warehouse, "_connect", lean_duckdb.attach)
