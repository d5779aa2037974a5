"""Options of the test suite."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--sequences",
        default=20,
        type=int,
        help="Sequences of loads that the law is tested on; each is 6 loads of 200 visitors.",
    )
