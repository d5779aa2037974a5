"""The shop: its experiments, its events, and how often they happen."""

from dataclasses import dataclass

ACCOUNT_ID = "21000000900"


@dataclass(frozen=True)
class Experiment:
    """One experiment; the shares are of visitors, the effects multiply the rate of purchase."""

    experiment_id: str
    campaign_id: str
    variation_ids: tuple[str, ...]
    share: float
    effects: tuple[float, ...]
    holdback_share: float = 0.0
    runs_all_dates: bool = True


EXPERIMENTS = (
    Experiment(  # clearly better
        experiment_id="21000000001",
        campaign_id="21000000101",
        variation_ids=("21000001001", "21000001002"),
        share=0.7,
        effects=(1.0, 1.5),
    ),
    Experiment(  # A/A: no effect
        experiment_id="21000000002",
        campaign_id="21000000102",
        variation_ids=("21000001003", "21000001004"),
        share=0.5,
        effects=(1.0, 1.0),
    ),
    Experiment(  # slightly worse
        experiment_id="21000000003",
        campaign_id="21000000103",
        variation_ids=("21000001005", "21000001006", "21000001007"),
        share=0.4,
        effects=(1.0, 0.95, 0.9),
    ),
    Experiment(  # some visitors held back
        experiment_id="21000000004",
        campaign_id="21000000104",
        variation_ids=("21000001008", "21000001009"),
        share=0.4,
        effects=(1.0, 1.0),
        holdback_share=0.03,
    ),
    Experiment(  # no campaign, four variations, in the middle of the dates only
        experiment_id="21000000005",
        campaign_id="",
        variation_ids=("21000001010", "21000001011", "21000001012", "21000001013"),
        share=0.5,
        effects=(1.0, 1.0, 1.0, 1.0),
        runs_all_dates=False,
    ),
)


@dataclass(frozen=True)
class Event:
    """One event of the shop; the rate is per visit."""

    entity_id: str
    name: str | None
    rate: float
    event_type: str | None = None
    reports_quantity: bool = True


EVENTS = (
    Event("21000002001", "client_activation", 0.08, "client_activation", reports_quantity=False),
    Event("21000002002", "search / filter", 0.35),
    Event("21000002003", "product_viewed", 0.0),  # fills the visit up to the number asked for
    Event("21000002004", "café, menú ouvert 🛒", 0.08),
    Event("21000002005", '50% off; "flash" = A+B\'s [best?] #1 \\ {x} & (y)', 0.05),
    Event("21000002006", "21000002006", 0.05),
    Event("21000002007", None, 0.05, reports_quantity=False),
    Event("21000002008", "newsletter signup ✓", 0.04),
    Event("21000002009", "add_to_cart", 0.36),
    Event("21000002010", "checkout: started", 0.6),  # of the carts
    Event("21000002011", "purchase", 0.5),  # of the checkouts
)
"""In the order in which they happen in a visit."""

VIEW, CART, CHECKOUT, PURCHASE = (
    [event.name for event in EVENTS].index(name)
    for name in ("product_viewed", "add_to_cart", "checkout: started", "purchase")
)
"""Places of the funnel's steps in `EVENTS`."""

FIRST_EVENT_KIND = 2 * len(EXPERIMENTS) + 1
ROLLOUT_KIND = FIRST_EVENT_KIND - 1
KINDS = FIRST_EVENT_KIND + len(EVENTS)
"""Kinds of row, in the order in which they happen in a visit.

For each experiment its decision and, for a crossover, a second one; a decision of a rollout; then
each event.
"""

ROLLOUT_RATE = 0.12
CROSSOVER_SHARE = 0.012
BOT_SHARE = 0.01
DUPLICATE_SHARE = 0.005
LATE_SHARE = 0.008
AHEAD_SHARE = 0.015
EVENTS_PER_VISIT = 9
"""Mean length of a visit where the arguments leave room for it."""
