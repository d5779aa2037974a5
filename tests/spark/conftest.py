"""One Spark session for all tests of a process, and none where Spark is absent."""

from collections.abc import Iterator

import pytest

from tests.spark.session import Session, SparkProject, open_session, what_is_missing


@pytest.fixture(scope="session")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """Spark itself."""
    if missing := what_is_missing():
        pytest.skip(missing)
    with open_session(tmp_path_factory.mktemp("tables")) as session:
        yield session


@pytest.fixture(scope="module")
def spark(session: Session, tmp_path_factory: pytest.TempPathFactory) -> SparkProject:
    """The project on Spark, with a lake that no other module's tests fill."""
    return SparkProject(session, tmp_path_factory.mktemp("spark"))
