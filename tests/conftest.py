"""Options of the test suite."""

import random

import pytest

from tests.loader.faults import report

SLOW = {"models", "test_small.py", "test_browser.py"}
"""Folders and files that take longest: one of them begun last would keep one worker waiting."""


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


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """What repeats a run: whatever fails by chance must be found again."""
    report.pytest_terminal_summary(terminalreporter, config)
    terminalreporter.write_line(f"histories and declarations: --law-seed {config.option.law_seed}")
