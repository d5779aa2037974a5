"""One Spark session for all tests: no two of them at a time, and none where Spark is absent."""

import os
from collections.abc import Iterator

import pytest

from tests.spark.session import SparkProject, open_session, what_is_missing


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkProject]:
    """The project on Spark."""
    if missing := what_is_missing():
        pytest.skip(missing)
    if "PYTEST_XDIST_WORKER" in os.environ:
        pytest.skip("Spark's tests run by themselves: make test-spark")
    with open_session(tmp_path_factory.mktemp("spark")) as project:
        yield project
