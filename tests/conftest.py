"""Options of the test suite."""

import random

import pytest

from tests.loader import lean_duckdb
from tests.loader.faults import report
from tests.loader.faults.report import pytest_terminal_summary

SLOW = {"models", "test_small.py", "test_browser.py"}
"""Folders and files that take longest: one of them begun last would keep one worker waiting."""

__all__ = ["pytest_addoption", "pytest_configure", "pytest_terminal_summary"]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slowest files first: each is run by one worker, for its tests share what they build."""
    items.sort(key=lambda item: not SLOW & set(item.path.parts))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--sequences",
        default=4,
        type=int,
        help="Sequences of loads that the law is tested on; each is 3 loads of 200 visitors.",
    )
    parser.addoption(
        "--law-seed", type=int, help="Seed of the sequences; another one each time by default."
    )
    report.add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    if config.option.law_seed is None:
        config.option.law_seed = random.SystemRandom().randrange(2**32)
    report.pytest_configure(config)
    lean_duckdb.apply()
