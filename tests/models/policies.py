"""The policies that builds are compared with the twin under."""

from typing import Any

from tests.models.histories import BURST_LIMIT

Policy = dict[str, Any]
"""Vars that differ from the shipped ones."""

CHOICES: dict[str, tuple[Any, Any]] = {
    "attribution": ("derived", "vendor"),
    "visitor_counting": ("full_stack", "web"),
    "crossovers": ("first", "exclude"),
    "attribution_window_hours": (False, True),
}
"""What each policy may be, the shipped one first; a window is there or not.

Every two policies meet in every combination in some build: test_builds.py checks that.
"""

ON_THE_DEMO: tuple[Policy, ...] = (
    {},
    {"visitor_counting": "web", "crossovers": "exclude", "attribution_window_hours": 2},
    {"attribution": "vendor", "visitor_counting": "web", "crossovers": "exclude"},
)

ON_HISTORIES: tuple[Policy, ...] = (
    {
        "bot_events_per_minute": BURST_LIMIT,
        "visitor_counting": "web",
        "crossovers": "exclude",
    },
    {"attribution": "vendor", "attribution_window_hours": 0.5, "crossovers": "exclude"},
)

WITH_RANDOM_METRICS: tuple[Policy, ...] = (
    {"segments": ["plan", "device", "it's not there"]},
    {"attribution": "vendor", "segments": ["300"], "cuped_days": 3},
    {
        "visitor_counting": "web",
        "attribution_window_hours": 5,
        "crossovers": "exclude",
        "cuped_days": 400,
    },
    {
        "attribution": "vendor",
        "visitor_counting": "web",
        "attribution_window_hours": 2,
        "automatic_metrics": False,
    },
)


def chosen(policy: Policy) -> Policy:
    """What is chosen of `CHOICES`."""
    choices = {name: policy.get(name, shipped) for name, (shipped, _) in CHOICES.items()}
    return choices | {"attribution_window_hours": bool(choices["attribution_window_hours"])}
