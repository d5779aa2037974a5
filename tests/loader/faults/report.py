"""The suite's last words: how many faults were tried, how many survived, and the seed."""

import random
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
PROPERTY = "faults"
"""Under which name a test notes how many faults it tried, where it is more than one."""


def add_options(parser: pytest.Parser) -> None:
    """The option that repeats a run."""
    parser.addoption(
        "--fault-seed", type=int, help="Seed of the fault suite; another one each time by default."
    )


def pytest_configure(config: pytest.Config) -> None:
    """Draws the seed once: the processes of xdist are given the options, and so the seed."""
    if config.option.fault_seed is None:
        config.option.fault_seed = random.SystemRandom().randrange(2**32)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Prints the counts; a fault is survived if all that its test says held."""
    folder = FOLDER.relative_to(config.rootpath).as_posix() + "/"
    counts: dict[str, int] = {}
    broken = set()
    for outcome in ("", "passed", "failed", "error"):  # "" is a set-up or an end without trouble
        for report in terminalreporter.stats.get(outcome, []):
            if not isinstance(report, pytest.TestReport) or not report.nodeid.startswith(folder):
                continue
            faults = [count for name, count in report.user_properties if name == PROPERTY]
            if report.when != "setup":
                tried = (int(str(count)) for count in faults)
                counts[report.nodeid] = max([counts.get(report.nodeid, 1), *tried])
            if report.failed:
                broken.add(report.nodeid)
    total = sum(counts.values())
    lost = sum(count for nodeid, count in counts.items() if nodeid in broken)
    if total:
        terminalreporter.write_line(
            f"faults: {total} tried, {total - lost} survived; --fault-seed "
            f"{config.option.fault_seed}"
        )
