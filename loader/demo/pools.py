"""The texts of the demo, as Arrow arrays that rows pick from."""

from collections.abc import Iterable, Sequence
from itertools import product

import pyarrow as pa

from loader import spec
from loader.demo import world
from loader.demo.visits import attribution_radix

TYPED = "\ue000"
"""Leads the value of a typed attribute."""

Pairs = dict[str, str | None]


def _list_of_structs(fields: Iterable[pa.Field]) -> pa.DataType:
    return pa.list_(pa.field("element", pa.struct(list(fields))))


ARROW_TYPES = {
    spec.TEXT: pa.string(),
    spec.LONG: pa.int64(),
    spec.DOUBLE: pa.float64(),
    spec.BOOLEAN: pa.bool_(),
    spec.TIMESTAMP: pa.timestamp("ms", tz="UTC"),
    spec.ATTRIBUTES: _list_of_structs(
        pa.field(name, pa.string()) for name in spec.ELEMENT_FIELDS[spec.ATTRIBUTES]
    ),
    spec.EXPERIMENTS: _list_of_structs(
        pa.field(name, pa.bool_() if name == "is_holdback" else pa.string())
        for name in spec.ELEMENT_FIELDS[spec.EXPERIMENTS]
    ),
    spec.TEXT_MAP: pa.map_(pa.string(), pa.string()),
}
"""Arrow type of each kind of column, the shape the real files have."""

HOSTILE = (
    "<script>alert('demo')</script>",
    '"><img src=x onerror=alert(1)>',
    "'; drop table conversions; --",
    "=1+1",
    'comma, "quote"\nand a line',
    "Zoë 日本語 👩🏽‍🚀",
)
"""What the outside may send where text is shown."""

USER_AGENTS = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/117.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/117.0.0.0 Safari/537.36 Edg/117.0.2045.47",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:109.0) Gecko/20100101 Firefox/118.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like "
    "Gecko) Version/16.6 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 13; SM-S911B) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/117.0.0.0 Mobile Safari/537.36",
    "python-requests/2.31.0",
    f"Mozilla/5.0 {HOSTILE[0]}",
    None,
)
REFERERS = (
    "https://shop.example/",
    "https://shop.example/category/shoes?page=2&sort=price",
    "https://www.google.com/",
    "https://news.example/weekly?utm_source=newsletter&utm_campaign=autumn",
    "android-app://com.example.shop/",
    f"https://shop.example/search?q={HOSTILE[1]}",
    "",
    None,
)
USER_IPS = (
    *(f"{198 + place % 2}.51.{place}.0" for place in range(200)),
    *(f"2001:db8:{place:x}::" for place in range(50)),
    None,
)
CLIENTS = (
    ("js", "0.188.1"),
    ("swift-sdk", "4.0.0"),
    ("android-sdk", "4.0.0"),
    ("python-sdk", "5.0.1"),
    (None, None),
)
REVISIONS = ("1041", "1042", None)

TAGS: tuple[Pairs | None, ...] = (
    None,
    {},
    {"category": "shoes"},
    {"category": "books", "colour": "blau", "in_stock": "true"},
    {"product": "sku-1048", "price": "19.90", "currency": "EUR"},
    {"category": "café", "note": ""},
    {"coupon": None, "source": "e-mail"},
    *[dict[str, str | None]({f"note {text[0]}": text, text: "key"}) for text in HOSTILE],
)
PROPERTIES: tuple[Pairs | None, ...] = (
    None,
    {},
    {"page": "product", "scroll_depth": "75"},
    {"plan": "plus", "title": HOSTILE[0]},
)

NO_FLAG, NOT_BOT, BOT = range(3)
"""The three blocks of the attributes' pool."""


def _attribute(
    name: str | None, kind: str | None, value: str | None, key: str | None = None
) -> Pairs:
    return {"id": key, "name": name, "type": kind, "value": value}


USUAL_ATTRIBUTES = tuple(
    [
        _attribute(None, "browserId", browser, key="100"),
        _attribute(None, "device", device, key="300"),
        _attribute(None, "source_type", source, key="600"),
        _attribute("plan", "custom", plan, key="21000003001"),
    ]
    for browser, device, source, plan in product(
        ("gc", "ff", "safari", "edge"),
        ("desktop", "iphone", "mobile", "tablet"),
        ("direct", "search", "campaign", "referral"),
        ("free", "plus"),
    )
)
ODD_ATTRIBUTES: tuple[list[Pairs] | None, ...] = (
    None,
    [],
    [_attribute(None, "campaign", "frequent visitors", key="200")],
    [_attribute(None, "custom", "name is missing", key="21000003002")],
    [
        _attribute("attribution/captured", "metadata", "true"),
        _attribute("attribution/enriched", "metadata", "false"),
    ],
    [
        _attribute("basket_size", "custom", f"{TYPED}3", key="21000003003"),
        _attribute("is_member", "custom", f"{TYPED}true", key="21000003004"),
    ],
    [_attribute("twice", "custom", "a"), _attribute("twice", "custom", "b")],
    [_attribute("nothing", "custom", None), _attribute("empty", "custom", "")],
    [_attribute(text, "custom", text, key=text) for text in HOSTILE],
)
ATTRIBUTE_SHAPES = len(USUAL_ATTRIBUTES) + len(ODD_ATTRIBUTES)
BOT_FLAG = "$opt_bot_filtering"


def attributes() -> pa.Array:
    """Every shape three times: without the bot flag, with 'false', with 'true'."""
    shapes: tuple[list[Pairs] | None, ...] = (*USUAL_ATTRIBUTES, *ODD_ATTRIBUTES)
    flag_names = ((BOT_FLAG, None), (None, BOT_FLAG))
    lists = [
        *shapes,
        *([*(shape or []), _attribute(BOT_FLAG, "custom", "false")] for shape in shapes),
        *(
            [
                *(shape or []),
                _attribute(name, "custom", f"{TYPED}true" if place % 5 == 0 else "true", key=key),
            ]
            for place, shape in enumerate(shapes)
            for name, key in [flag_names[place % 7 == 0]]
        ),
    ]
    return pa.array(lists, type=ARROW_TYPES[spec.ATTRIBUTES])


def experiments(codes: Iterable[int]) -> pa.Array:
    """The vendor's `experiments` of each attribution code (see `visits`)."""
    lists = [_elements(code) for code in codes]
    return pa.array(lists, type=ARROW_TYPES[spec.EXPERIMENTS])


def _elements(code: int) -> list[dict[str, str | bool]]:
    elements: list[dict[str, str | bool]] = []
    for experiment in world.EXPERIMENTS:
        code, state = divmod(code, attribution_radix(experiment))
        if state:
            is_holdback, variation = divmod(state - 1, len(experiment.variation_ids))
            elements.append(
                {
                    "campaign_id": experiment.campaign_id,
                    "experiment_id": experiment.experiment_id,
                    "variation_id": experiment.variation_ids[variation],
                    "is_holdback": bool(is_holdback),
                }
            )
    return elements


def text_maps(maps: Sequence[Pairs | None]) -> pa.Array:
    """A pool of maps."""
    pairs = [None if one is None else list(one.items()) for one in maps]
    return pa.array(pairs, type=ARROW_TYPES[spec.TEXT_MAP])
