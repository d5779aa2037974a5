"""One Spark session for all tests of a process, and none where Spark is absent."""

from collections.abc import Iterator

import pytest

from tests.spark.session import SparkProject, open_session, what_is_missing


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkProject]:
    """The project on Spark."""
    if missing := what_is_missing():
        pytest.skip(missing)
    with open_session(tmp_path_factory.mktemp("spark")) as project:
        yield project
