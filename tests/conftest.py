"""Options of the test suite."""

import pytest

from tests.loader.faults.report import add_options, pytest_configure, pytest_terminal_summary

__all__ = ["pytest_addoption", "pytest_configure", "pytest_terminal_summary"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--sequences",
        default=20,
        type=int,
        help="Sequences of loads that the law is tested on; each is 6 loads of 200 visitors.",
    )
    add_options(parser)
