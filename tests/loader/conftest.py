"""Fixtures of the loader's tests."""

from tests.loader.command import export, loader
from tests.loader.rest_api import rest_api
from tests.loader.s3_server import s3_export, s3_server

__all__ = ["export", "loader", "rest_api", "s3_export", "s3_server"]
