"""The twin and the histories are themselves tested: by hand, on the vendor's files, for coverage.

Every expected number of the examples is worked out by hand from docs/counting.md, whose sections
the tests are named after.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from .histories import (
    ABSURD_VALUES,
    ARMLESS_EXPERIMENT,
    BOT_AGENTS,
    BOT_KEY,
    BOTS,
    BURST_LIMIT,
    EXPERIMENTS_POOL,
    HUGE_REVENUE,
    NOT_BOTS,
    OPTIONAL_COLUMNS,
    PEOPLE_AGENTS,
    SPECIAL_PATTERNS,
    TIMESTAMP_SHAPES,
    UNKNOWN_EXPERIMENT,
    History,
    State,
    file_id,
    history,
    landed_rows,
    timestamp_shape,
    write_state,
)
from .sample import find_sample
from .twin import Names, Twin

Row = dict[str, Any]

NOON = datetime(2024, 3, 1, 12)
MS = timedelta(milliseconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


# --- examples


def row(number: int, at: datetime | None, **columns: Any) -> Row:
    """A landed row of visitor v; `number` is its uuid and its place in the file."""
    return {
        "uuid": f"u{number:02}",
        "timestamp": at,
        "process_timestamp": at,
        "visitor_id": "v",
        "_export_date": date(2024, 3, 1),
        "_file_id": -7,
        "_file_row": number,
    } | columns


def decision(number: int, at: datetime | None = NOON, variation: Any = "1", **columns: Any) -> Row:
    """A decision of visitor v for experiment e."""
    return row(number, at, experiment_id="e", variation_id=variation) | columns


def conversion(number: int, at: datetime | None = NOON, **columns: Any) -> Row:
    """A purchase of visitor v."""
    return row(number, at, event_name="buy", entity_id="11") | columns


def element(
    variation: Any = "1", is_holdback: Any = False, experiment: Any = "e", campaign: Any = "c"
) -> Row:
    """An element of a conversion's `experiments`."""
    return {
        "campaign_id": campaign,
        "experiment_id": experiment,
        "variation_id": variation,
        "is_holdback": is_holdback,
    }


def flagged(value: Any = "true", name: Any = BOT_KEY, key: Any = None) -> list[Row]:
    """Attributes that hold one element, by default the bot flag."""
    return [{"id": key, "name": name, "type": None, "value": value}]


def only(rows: list[Row]) -> Row:
    """The one row."""
    assert len(rows) == 1, rows
    return rows[0]


def starts(*times: datetime | None) -> list[str | None]:
    """The start of the session of each event, as an offset to noon; decisions and conversions."""
    decisions = [decision(n, at) for n, at in enumerate(times) if n % 2]
    conversions = [conversion(n, at) for n, at in enumerate(times) if n % 2 == 0]
    twin = Twin(decisions, conversions)
    keys = {r["event_id"]: r["session_key"] for r in twin.decisions + twin.conversions}
    found: list[str | None] = []
    for number in range(len(times)):
        key = keys[f"u{number:02}"]
        if key is None:
            found.append(None)
        else:
            start = datetime(1970, 1, 1) + int(key.removeprefix("v:")) * MS
            found.append(str(start - NOON))
    return found


def test_1_event_ids() -> None:
    """Lower-cased uuid; NULL and '' are their own events, named after their place."""
    rows = [decision(0, uuid="AbC"), decision(1, uuid=None), decision(2, uuid="")]
    assert [r["event_id"] for r in Twin(rows, []).decisions] == ["abc", "row--7-1", "row--7-2"]


def test_1_blanks_are_null() -> None:
    """'' is NULL in the eight columns, also inside `experiments`; event_type stays as it is."""
    blanks = dict.fromkeys(
        ("visitor_id", "session_id", "experiment_id", "campaign_id", "variation_id"), ""
    )
    found = only(Twin([decision(0) | blanks], []).decisions)
    assert [found[c] for c in ("visitor_id", "vendor_session_id", "session_key")] == [None] * 3
    assert [found[c] for c in ("experiment_id", "campaign_id", "variation_id")] == [None] * 3
    blank_event = conversion(
        1,
        entity_id="",
        event_name="",
        event_type="",
        experiments=[element(experiment=""), element(variation="")],
    )
    twin = Twin([], [blank_event])
    found = only(twin.conversions)
    assert (found["entity_id"], found["event_name"], found["event_type"]) == (None, None, "")
    assert only(twin.exposures)["variation_id"] is None
    assert only(twin.attributed_conversions)["vendor_variation_id"] is None


@pytest.mark.parametrize(
    ("value", "kept"),
    [(math.nan, None), (math.inf, None), (-math.inf, None), (1e150, None), (-1e150, None),
     (1e300, None), (None, None), (9.9e149, 9.9e149), (-9.9e149, -9.9e149), (0.0, 0.0)],
)  # fmt: skip
def test_1_absurd_values_are_null(value: float | None, kept: float | None) -> None:
    """NaN, infinite and 1e150 or more are NULL wherever a value is shown, and add nothing."""
    twin = Twin([decision(0)], [conversion(1, value=value), conversion(2, value=0.0)])
    assert [r["value"] for r in twin.conversions] == [kept, 0.0]
    assert [r["value"] for r in twin.attributed_conversions] == [kept, 0.0]
    assert only(twin.events)["value"] == values(twin)["v", "buy: value"] == (kept or 0.0)


def test_columns_as_exported() -> None:
    """What no rule changes stays as it is: '' in nested columns, NULL where a column is missing."""
    client = {
        "account_id": "",
        "user_ip": "75.111.77.0",
        "user_agent": "",
        "referer": "https://example.com",
        "revision": "17",
        "client_engine": "js",
        "client_version": "",
        "attributes": flagged("", "", ""),
    }
    nested = {
        "experiments": [element("", None, "", "")],
        "tags": {"a": None, "": ""},
        "properties": {},
    }
    day = {"export_date": date(2024, 3, 1)}
    found = only(Twin([decision(0) | client], []).decisions)
    assert found.items() >= (client | day).items()
    found = only(Twin([], [conversion(0) | client | nested]).conversions)
    assert found.items() >= (client | nested | day).items()
    missing = only(Twin([], [conversion(0)]).conversions)
    assert {missing[name] for name in client | nested} == {None}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"_export_date": date(2024, 2, 29), "process_timestamp": NOON + HOUR}, {}),
        ({"timestamp": NOON + HOUR}, {"process_timestamp": NOON + MS}),
        ({"timestamp": NOON + HOUR}, {"process_timestamp": None}),
        ({"_file_id": 9}, {"timestamp": NOON + MS}),
        ({"_file_id": 9}, {"timestamp": None}),
        ({"_file_id": -8, "_file_row": 9}, {}),
        ({"_file_row": 4}, {"_file_row": 5}),
    ],
    ids=["export date", "received", "received NULL", "time", "time NULL", "file", "row"],
)
def test_1_first_copy_stays(first: Row, second: Row) -> None:
    """The order of copies: export date, receipt, time, file, row; NULLs last."""
    kept = decision(1, uuid="A", variation="kept") | first
    dropped = decision(1, uuid="a", variation="dropped") | second
    for rows in ([kept, dropped], [dropped, kept]):
        assert only(Twin(rows, []).decisions)["variation_id"] == "kept"


def test_1_what_is_no_duplicate() -> None:
    """Not under two visitors, not in two tables, not without a uuid."""
    rows = [decision(0, uuid="a"), decision(1, uuid="A", visitor_id="w")]
    assert len(Twin(rows, []).decisions) == 2
    twin = Twin([decision(0, uuid="a")], [conversion(1, uuid="a")])
    assert (len(twin.decisions), len(twin.conversions)) == (1, 1)
    assert only(twin.sessions)["decision_count"] == only(twin.sessions)["conversion_count"] == 1
    assert len(Twin([decision(0, uuid=None), decision(1, uuid="")], []).decisions) == 2
    # Two rows without a visitor are of the same "visitor".
    unknown = [decision(0, uuid="a", visitor_id=None), decision(1, uuid="A", visitor_id="")]
    assert len(Twin(unknown, []).decisions) == 1


@pytest.mark.parametrize(
    ("attributes", "is_bot"),
    [
        (None, False),
        ([], False),
        *((flagged(value, name, key), True) for key, name, value in BOTS),
        *((flagged(value, name, key), False) for key, name, value in NOT_BOTS),
        (flagged("true", "", BOT_KEY), False),
        (flagged("false") + flagged("true"), True),
    ],
)
def test_1_bots(attributes: list[Row] | None, is_bot: bool) -> None:
    """The name decides, or the id where the name is NULL; the mark U+E000 and case do not."""
    found = only(Twin([decision(0, attributes=attributes)], []).decisions)
    assert (found["is_bot"], found["bot_reason"]) == (is_bot, "attribute" if is_bot else None)


@pytest.mark.parametrize(
    ("user_agent", "pattern", "is_bot"),
    [
        ("A crawler/1.0", "crawler", True),
        ("A CRAWLER/1.0", "crawler", True),
        ("a crawler/1.0", "Crawler", True),
        ("crawler", "crawler", True),
        ("a craw ler", "crawler", False),
        ("crawle", "crawler", False),
        ("", "crawler", False),
        (None, "crawler", False),
        ("a crawler", " crawler", True),
        ("crawler", " crawler", False),
        ("shop_app/1.0 50%", "P_app/1.0 50%", True),
        ("shopXapp/1.0 500", "P_app/1.0 50%", False),
        ("anything", ".*", False),
        (None, None, False),
        *(("a  None b", blank, False) for blank in (None, "", " ", "  ", "None", " None ")),
        ("a none", " none", True),
    ],
)
def test_1_user_agents(user_agent: str | None, pattern: str | None, is_bot: bool) -> None:
    """A pattern is text within the user agent, in capitals or not; a blank one is in none."""
    for twin in (
        Twin([decision(0, user_agent=user_agent)], [], bot_user_agents=["?", pattern]),
        Twin([], [conversion(0, user_agent=user_agent)], bot_user_agents=[pattern, "?"]),
    ):
        found = only(twin.decisions + twin.conversions)
        assert found["is_bot"] is is_bot
        assert found["bot_reason"] == ("user_agent" if is_bot else None)


CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/117.0.0.0"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 16_6 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148"
KNOWN_BOTS = (
    *BOT_AGENTS,
    f"{CHROME} Safari/537.36 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)",
    "Mozilla/5.0 (compatible; Baiduspider/2.0; +http://www.baidu.com/search/spider.html)",
    "DuckDuckBot/1.1; (+http://duckduckgo.com/duckduckbot.html)",
    "Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 (Applebot/0.1; +http://www.apple.com/go/applebot)",
    "Mozilla/5.0 (compatible;PetalBot;+https://webmaster.petalsearch.com/site/petalbot)",
    "Mozilla/5.0 (compatible; SemrushBot/7~bl; +http://www.semrush.com/bot.html)",
    "Mozilla/5.0 (compatible; MJ12bot/v1.4.8; http://mj12bot.com/)",
    "Mozilla/5.0 (compatible; DotBot/1.2; +https://opensiteexplorer.org/dotbot)",
    "LinkedInBot/1.0 (compatible; Mozilla/5.0; +http://www.linkedin.com)",
    "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
    "Twitterbot/1.0",
    "Mozilla/5.0 (compatible; Pinterestbot/1.0; +http://www.pinterest.com/bot.html)",
    "Mozilla/5.0 (Linux; Android 5.0) (compatible; Bytespider; spider-feedback@bytedance.com)",
    "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2)",
    "CCBot/2.0 (https://commoncrawl.org/faq/)",
    "Mozilla/5.0 (Unknown; Linux x86_64) AppleWebKit/538.1 (KHTML, like Gecko) PhantomJS/2.1.1",
    "Pingdom.com_bot_version_1.4_(http://www.pingdom.com/)",
    "Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)",
    f"{CHROME} Mobile Safari/537.36 Chrome-Lighthouse",
    f"{CHROME} Safari/537.36 GTmetrix",
)
KNOWN_PEOPLE = (
    *PEOPLE_AGENTS,
    CHROME,
    IPHONE,
    "Mozilla/5.0 (Linux; Android 10; CUBOT NOTE 20) AppleWebKit/537.36 Chrome/117.0.0.0 Mobile",
    f"{IPHONE} [FBAN/FBIOS;FBAV/430.0.0.23.113]",
    f"{IPHONE} Twitter for iPhone/10.0",
    f"{IPHONE} [Pinterest/iOS]",
    f"{IPHONE} DuckDuckGo/7 Safari/605.1.15",
    "Mozilla/5.0 (Macintosh) AppleWebKit/537.36 Chrome/117.0.0.0 Electron/26.2.1 Slack/4.35.121",
    # What the vendor's server-side SDKs send their events with.
    "Apache-HttpClient/4.5.13 (Java/11.0.20)",
    "Go-http-client/1.1",
    "Ruby",
    "axios/1.5.0",
    "node-fetch/1.0 (+https://github.com/bitinn/node-fetch)",
    "okhttp/4.11.0",
    "python-requests/2.31.0",
    "GuzzleHttp/7",
)


def test_1_shipped_patterns() -> None:
    """Bots that say so are found; phones, apps and the libraries of the vendor's SDKs are not."""

    def flagged_by_default(user_agents: tuple[str | None, ...]) -> list[str | None]:
        rows = [decision(number, user_agent=agent) for number, agent in enumerate(user_agents)]
        return [r["user_agent"] for r in Twin(rows, []).decisions if r["is_bot"]]

    assert flagged_by_default(KNOWN_BOTS) == list(KNOWN_BOTS)
    assert flagged_by_default(KNOWN_PEOPLE) == []


def rapid(*times: datetime | None, limit: int, **columns: Any) -> set[str | None]:
    """Reasons of the events at these times, in turns conversions and decisions of a visitor."""
    decisions = [decision(n, at, **columns) for n, at in enumerate(times) if n % 2]
    conversions = [conversion(n, at, **columns) for n, at in enumerate(times) if n % 2 == 0]
    twin = Twin(decisions, conversions, bot_events_per_minute=limit)
    return {r["bot_reason"] for r in twin.decisions + twin.conversions}


def test_1_rate() -> None:
    """More than the limit within one minute of the clock; then all of the visitor's events."""
    last = NOON + MINUTE - MS
    assert rapid(NOON, last, limit=1) == {"rate"}
    assert rapid(NOON, last, limit=2) == {None}
    assert rapid(NOON, NOON, NOON, NOON, limit=3) == {"rate"}
    assert rapid(NOON, NOON, NOON, NOON, limit=0) == {None}
    # A minute's time apart at most, but of two minutes of the clock.
    assert rapid(last, last + MS, limit=1) == {None}
    assert rapid(NOON, NOON, NOON + 9 * DAY, None, limit=1) == {"rate"}
    assert rapid(None, None, None, limit=1) == {None}
    assert rapid(NOON, None, limit=1) == {None}
    for nobody in (None, ""):
        assert rapid(NOON, NOON, limit=1, visitor_id=nobody) == {None}
    # Copies are one event, and so are those of others other visitors' own.
    copies = [decision(0), decision(1, uuid="U00"), decision(2, visitor_id="w")]
    found = Twin(copies, [], bot_events_per_minute=1).decisions
    assert [r["bot_reason"] for r in found] == [None, None]


def test_1_first_reason() -> None:
    """The attribute goes before the user agent, and that before the rate; each event by itself."""
    rows = [
        decision(0, attributes=flagged(), user_agent="a"),
        decision(1, user_agent="a"),
        decision(2),
    ]
    options: dict[str, Any] = {"bot_user_agents": ["a"], "bot_events_per_minute": 2}
    found = Twin(rows, [], **options).decisions
    assert [r["bot_reason"] for r in found] == ["attribute", "user_agent", "rate"]
    assert [r["is_bot"] for r in found] == [True] * 3
    found = Twin(rows, [], bot_user_agents=["a"]).decisions
    assert [r["bot_reason"] for r in found] == ["attribute", "user_agent", None]
    assert [r["is_bot"] for r in found] == [True, True, False]


def test_2_half_an_hour() -> None:
    """A gap of 29:59.999 continues a session, 30:00.000 opens one; a tie changes nothing."""
    half_hour = 30 * MINUTE
    assert starts(NOON, NOON + half_hour - MS) == ["0:00:00", "0:00:00"]
    assert starts(NOON, NOON + half_hour) == ["0:00:00", "0:30:00"]
    assert starts(NOON, NOON + half_hour + MS) == ["0:00:00", "0:30:00.001000"]
    assert starts(NOON + half_hour, NOON, NOON + half_hour) == ["0:30:00", "0:00:00", "0:30:00"]
    # The event between the two is of the other table.
    assert starts(NOON, NOON + 20 * MINUTE, NOON + 40 * MINUTE) == ["0:00:00"] * 3


def test_2_a_day_at_most() -> None:
    """Every 20 minutes: 24:00:00.000 is within, a millisecond more is not; then it starts over."""
    chain = [NOON + n * 20 * MINUTE for n in range(73)]
    assert set(starts(*chain)) == {"0:00:00"}
    assert starts(*chain[:72], NOON + 24 * HOUR + MS)[-1] == "1 day, 0:00:00.001000"
    # Cut at 24:20, and from there 24 hours more, up to 48:20; the next is cut at 48:40.
    longer = starts(*(NOON + n * 20 * MINUTE for n in range(150)))
    assert longer[72:75] == ["0:00:00", "1 day, 0:20:00", "1 day, 0:20:00"]
    assert longer[145:147] == ["1 day, 0:20:00", "2 days, 0:40:00"]


def test_2_no_session() -> None:
    """None without a time or a visitor; such events do not hold a session together either."""
    assert starts(NOON, None) == ["0:00:00", None]
    rows = [
        decision(0),
        decision(1, NOON + 20 * MINUTE, visitor_id=None),
        decision(2, NOON + 40 * MINUTE),
    ]
    assert [r["session_key"] for r in Twin(rows, []).decisions] == [
        "v:1709294400000",
        None,
        "v:1709296800000",
    ]


def test_2_session_columns() -> None:
    """Counts and money of both tables; money NULL counts as nothing."""
    twin = Twin(
        [decision(0)],
        [
            conversion(1, NOON + 10 * MINUTE + MS, revenue=500, attributes=flagged()),
            conversion(2, NOON + MINUTE, revenue=None),
            conversion(3, NOON + MINUTE, revenue=-100),
        ],
    )
    assert twin.sessions == [
        {
            "session_key": "v:1709294400000",
            "visitor_id": "v",
            "started_at": NOON,
            "ended_at": NOON + 10 * MINUTE + MS,
            "duration_seconds": 600.001,
            "decision_count": 1,
            "conversion_count": 3,
            "revenue_cents": 400,
            "is_bot": True,
        }
    ]
    found = only(Twin([decision(0)], []).sessions)
    assert (found["revenue_cents"], found["duration_seconds"], found["is_bot"]) == (0, 0.0, False)
    huge = [conversion(number, revenue=HUGE_REVENUE) for number in (1, 2)]
    twin = Twin([], huge)
    assert only(twin.sessions)["revenue_cents"] == only(twin.events)["revenue_cents"] == 2**63


def exposure(decisions: list[Row], conversions: list[Row]) -> tuple[Any, ...]:
    """The one exposure: status, source, variation, its count, decisions, offset in minutes."""
    found = only(Twin(decisions, conversions).exposures)
    return (
        found["exposure_status"],
        found["exposure_source"],
        found["variation_id"],
        found["variation_count"],
        found["decision_count"],
        (found["exposed_at"] - NOON) / MINUTE,
    )


def test_3_source_and_first() -> None:
    """A decision goes before an earlier element, and so decides source, variation and time."""
    late = NOON + 2 * MINUTE
    assert exposure([decision(0)], []) == ("valid", "decision", "1", 1, 1, 0)
    assert exposure([], [conversion(0, experiments=[element()])]) == (
        "valid", "vendor", "1", 1, 0, 0,
    )  # fmt: skip
    assert exposure([decision(0, late)], [conversion(1, experiments=[element("2")])]) == (
        "crossover", "both", "1", 2, 1, 2,
    )  # fmt: skip
    assert exposure([decision(0, late, "1"), decision(1, NOON, "2")], []) == (
        "crossover", "decision", "2", 2, 2, 0,
    )  # fmt: skip
    both = [element("2"), element("1"), element(None)]
    assert exposure([], [conversion(1, experiments=both)])[:4] == ("crossover", "vendor", "1", 2)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"process_timestamp": NOON}, {"process_timestamp": NOON + MS}),
        ({"process_timestamp": NOON}, {"process_timestamp": None}),
        ({"uuid": "A"}, {"uuid": "b"}),
    ],
)
def test_3_ties(first: Row, second: Row) -> None:
    """At one time: receipt with NULLs last, then the (lower-cased) event id."""
    one = decision(8, variation="2", process_timestamp=NOON) | first
    other = decision(8, uuid="c", variation="1", process_timestamp=NOON) | second
    if "uuid" not in first:
        one["uuid"], other["uuid"] = "z", "a"
    for rows in ([one, other], [other, one]):
        assert exposure(rows, [])[2] == "2"


def test_3_last_ties() -> None:
    """Elements of one conversion differ in the variation, then in the campaign; NULLs last."""
    elements = [
        element("2", campaign="a"),
        element(None, campaign="a"),
        element("1", campaign=None),
        element("1", campaign="c"),
        element("1", campaign="b"),
    ]
    for order in (elements, elements[::-1]):
        found = only(Twin([], [conversion(0, experiments=order)]).exposures)
        assert (found["variation_id"], found["campaign_id"]) == ("1", "b")
    nowhere = [element("1", campaign=""), element(None, campaign="a")]
    assert only(Twin([], [conversion(0, experiments=nowhere)]).exposures)["campaign_id"] is None


def test_3_the_exposing_event() -> None:
    """Event, campaign, attributes and session are those of the first decision, not of others."""
    plan = flagged("gold", "plan")
    first = decision(0, NOON + HOUR, uuid="First", campaign_id="k", attributes=plan)
    later = decision(1, NOON + 2 * HOUR, campaign_id="a", attributes=[])
    elements = conversion(2, NOON, experiments=[element()], attributes=None)
    found = only(Twin([later, first], [elements]).exposures)
    assert (found["event_id"], found["campaign_id"]) == ("first", "k")
    assert (found["attributes"], found["session_key"]) == (plan, "v:1709298000000")
    found = only(Twin([], [elements]).exposures)
    assert (found["event_id"], found["campaign_id"]) == ("u02", "c")
    assert (found["attributes"], found["session_key"]) == (None, "v:1709294400000")


def test_3_holdback() -> None:
    """One piece of evidence without holdback puts all with holdback aside."""
    held = decision(0, NOON, "1", is_holdback=True)
    assert exposure([held], []) == ("holdback", "decision", "1", 1, 1, 0)
    free = decision(1, NOON + MINUTE, "2", is_holdback=None)
    assert exposure([held, free], []) == ("valid", "decision", "2", 1, 1, 1)
    free_element = conversion(
        2, NOON + MINUTE, experiments=[element("2", None), element("3", True)]
    )
    assert exposure([held], [free_element]) == ("valid", "vendor", "2", 1, 0, 1)
    held_twice = conversion(2, NOON + MINUTE, experiments=[element("2", True)])
    assert exposure([held], [held_twice]) == ("holdback", "both", "1", 2, 1, 0)


def test_3_status_order() -> None:
    """holdback, bot, no_variation, crossover, valid: the first that holds."""
    flag = {"attributes": flagged()}
    no_arm = decision(0, NOON, None)
    others = [decision(1, NOON + MS, "2"), decision(2, NOON + MS, "3")]
    assert exposure([no_arm | flag | {"is_holdback": True}], [])[0] == "holdback"
    assert exposure([no_arm, others[0] | flag], [])[0] == "bot"
    # A bot among the holdback evidence is put aside with it.
    assert exposure([others[0], others[1] | flag | {"is_holdback": True}], [])[0] == "valid"
    assert exposure([no_arm, *others], [])[:4] == ("no_variation", "decision", None, 2)
    assert exposure(others, [])[0] == "crossover"
    assert exposure([others[0], decision(3, NOON + HOUR, "")], [])[:4] == (
        "valid", "decision", "2", 1,
    )  # fmt: skip


def test_3_bot_reason() -> None:
    """The first of the reasons among the counted evidence, whichever event has it."""
    options: dict[str, Any] = {"bot_user_agents": ["a"], "bot_events_per_minute": 2}
    plain = [decision(0), decision(1), decision(2)]
    by_agent = conversion(3, experiments=[element()], user_agent="a")
    by_attribute = decision(4, NOON + HOUR, attributes=flagged())

    def reason(decisions: list[Row], conversions: list[Row]) -> tuple[str | None, bool, str]:
        found = only(Twin(decisions, conversions, **options).exposures)
        return found["bot_reason"], found["is_bot"], found["exposure_status"]

    assert reason(plain[:2], []) == (None, False, "valid")
    assert reason(plain, []) == ("rate", True, "bot")
    assert reason(plain, [by_agent]) == ("user_agent", True, "bot")
    assert reason([*plain, by_attribute], [by_agent]) == ("attribute", True, "bot")
    # Put aside with the holdback evidence; a conversion that names no experiment is no evidence.
    held_back = by_attribute | {"is_holdback": True}
    assert reason([plain[0], held_back], []) == (None, False, "valid")
    assert reason([held_back], []) == ("attribute", True, "holdback")
    assert reason([plain[0]], [by_agent | {"experiments": []}]) == (None, False, "valid")


def test_3_no_evidence() -> None:
    """Nothing without a visitor, a time or an experiment."""
    rows = [
        decision(0, None),
        decision(1, visitor_id=None),
        decision(2, experiment_id=None),
    ]
    elements = [
        conversion(3, None, experiments=[element()]),
        conversion(4, visitor_id="", experiments=[element()]),
        conversion(5, experiments=[element(experiment="")]),
        conversion(6, experiments=None),
    ]
    assert Twin(rows, elements).exposures == []


def attributed(decisions: list[Row], found: Row, **options: Any) -> list[tuple[Any, ...]]:
    """What one conversion is attributed to."""
    return [
        (r["attribution_source"], r["variation_id"], r["vendor_variation_id"],
         r["seconds_since_exposure"])
        for r in Twin(decisions, [found], **options).attributed_conversions
    ]  # fmt: skip


def test_4_derived() -> None:
    """At the very millisecond of the exposure and later, not before, not by others or holdback."""
    assert attributed([decision(0)], conversion(1)) == [("derived", "1", None, 0.0)]
    assert attributed([decision(0)], conversion(1, NOON + MS)) == [("derived", "1", None, 0.001)]
    assert attributed([decision(0)], conversion(1, NOON - MS)) == []
    assert attributed([decision(0)], conversion(1, None)) == []
    assert attributed([decision(0)], conversion(1, visitor_id="w")) == []
    assert attributed([decision(0, is_holdback=True)], conversion(1)) == []
    # Bots and exposures without a variation are attributed; they are not counted later.
    unusual = decision(0, variation=None, attributes=flagged())
    assert attributed([unusual], conversion(1)) == [("derived", None, None, 0.0)]


def test_4_window() -> None:
    """The window's end is within; 0 hours means no window."""
    rows = [decision(0)]
    for hours, later, count in ((1, HOUR, 1), (1, HOUR + MS, 0), (0, 900 * HOUR, 1)):
        found = attributed(rows, conversion(1, NOON + later), attribution_window_hours=hours)
        assert len(found) == count
    for later, count in ((30 * MINUTE, 1), (30 * MINUTE + MS, 0)):
        found = attributed(rows, conversion(1, NOON + later), attribution_window_hours=0.5)
        assert len(found) == count
    vendor = conversion(1, NOON + 2 * HOUR, experiments=[element("2")])
    assert attributed(rows, vendor, attribution_window_hours=1) == [("vendor", "2", "2", 7200.0)]


def test_4_vendor() -> None:
    """Elements are one attribution of the smallest variation as text; a time is not needed."""
    several = [element("9"), element("10"), element(None), element("0", True)]
    assert attributed([], conversion(1, experiments=several)) == [("vendor", "10", "10", 0.0)]
    assert attributed([], conversion(1, experiments=[element("1", True)])) == []
    assert attributed([decision(0)], conversion(1, experiments=[element("2")])) == [
        ("both", "1", "2", 0.0)
    ]
    before = conversion(1, NOON - MINUTE, experiments=[element("2")])
    assert attributed([decision(0)], before) == [("vendor", "2", "2", -60.0)]
    no_visitor = conversion(1, visitor_id=None, experiments=[element("2")])
    assert attributed([decision(0)], no_visitor) == [("vendor", "2", "2", None)]
    no_time = conversion(1, None, experiments=[element("2")])
    assert attributed([decision(0)], no_time) == [("vendor", "2", "2", None)]
    two = conversion(1, experiments=[element("2"), element("3", experiment="f")])
    assert len(attributed([decision(0)], two)) == 2


def test_4_columns_of_the_conversion() -> None:
    """Session, kind and bot flag are the conversion's, not the exposure's."""
    found = conversion(1, NOON + HOUR, event_type="custom", attributes=flagged())
    row_of = only(Twin([decision(0)], [found]).attributed_conversions)
    assert row_of["session_key"] == "v:1709298000000"
    assert (row_of["event_type"], row_of["is_bot"]) == ("custom", True)
    row_of = only(Twin([decision(0, attributes=flagged())], [conversion(1)]).attributed_conversions)
    assert (row_of["event_type"], row_of["is_bot"]) == (None, False)


def test_experiments_and_variations() -> None:
    """All decisions and elements count, also of holdback, nobody, no time or no variation."""
    decisions = [
        decision(0, NOON, "1", campaign_id="9"),
        decision(1, NOON - HOUR, "2", campaign_id="10", is_holdback=True, visitor_id="held"),
        decision(2, None, "2", campaign_id=""),
        decision(3, NOON + HOUR, "", visitor_id=None),
        decision(4, NOON, "1", visitor_id="bot", attributes=flagged()),
        decision(5, NOON, "1", visitor_id="crossing"),
        decision(6, NOON + 9 * HOUR, "1", experiment_id=""),
    ]
    elements = [
        element("2", True, campaign="95"),
        element("3", campaign=""),
        element("9", False, ""),
    ]
    conversions = [
        conversion(7, NOON + 2 * HOUR, visitor_id="crossing", experiments=elements),
        conversion(8, None, visitor_id="", experiments=[element("3", campaign="1")]),
    ]
    twin = Twin(decisions, conversions)
    assert twin.experiments == [
        {
            "experiment_id": "e",
            "campaign_id": "95",
            "experiment_name": None,
            "experiment_key": None,
            "status": None,
            "variation_count": 3,
            "decision_count": 6,
            "visitor_count": 4,
            "counted_visitor_count": 2,
            "crossover_count": 1,
            "holdback_count": 1,
            "bot_count": 1,
            "first_seen_at": NOON - HOUR,
            "last_seen_at": NOON + 2 * HOUR,
        }
    ]
    names = (
        "variation_id",
        "campaign_id",
        "decision_count",
        "visitor_count",
        "first_seen_at",
        "last_seen_at",
    )
    assert {tuple(r[name] for name in names) for r in twin.variations} == {
        ("1", "9", 3, 2, NOON, NOON),
        ("2", "95", 2, 0, NOON - HOUR, NOON + 2 * HOUR),
        ("3", "1", 0, 0, NOON + 2 * HOUR, NOON + 2 * HOUR),
    }


def test_experiments_without_variations() -> None:
    """They are there, with 0 variations; without visitors or times too."""
    found = only(Twin([decision(0, variation="")], []).experiments)
    assert (found["variation_count"], found["decision_count"], found["visitor_count"]) == (0, 1, 1)
    twin = Twin([], [conversion(0, None, experiments=[element("", True, campaign="")])])
    assert only(twin.experiments) == {
        "experiment_id": "e",
        "campaign_id": None,
        "experiment_name": None,
        "experiment_key": None,
        "status": None,
        "variation_count": 0,
        "decision_count": 0,
        "visitor_count": 0,
        "counted_visitor_count": 0,
        "crossover_count": 0,
        "holdback_count": 0,
        "bot_count": 0,
        "first_seen_at": None,
        "last_seen_at": None,
    }
    assert twin.variations == []


def test_7_names() -> None:
    """The seeds go before what was fetched, cell by cell; whoever is only named has no row."""
    seeds = Names(
        {"e": {"experiment_name": "given", "status": None}, "x": {"experiment_name": "unseen"}},
        {("e", "1"): {"variation_name": None, "weight": 0.0}},
    )
    fetched = Names(
        {"e": {"experiment_name": "fetched", "experiment_key": "key", "status": "running"}},
        {
            ("e", "1"): {"variation_name": "fetched", "weight": 0.5},
            ("x", "1"): {"variation_name": "another experiment's", "weight": 1.0},
        },
    )
    twin = Twin([decision(0), decision(1, variation="2")], [], seeds=seeds, fetched=fetched)
    names = ("experiment_name", "experiment_key", "status")
    assert tuple(only(twin.experiments)[name] for name in names) == ("given", "key", "running")
    assert {(r["variation_id"], r["variation_name"], r["weight"]) for r in twin.variations} == {
        ("1", "fetched", 0.0),
        ("2", None, None),
    }


def test_events() -> None:
    """Entity and name together are the event; NULLs add nothing; neither of the two is no event."""
    conversions = [
        conversion(0, NOON, event_type="custom", revenue=500, value=0.5),
        conversion(1, NOON - HOUR, event_type="", visitor_id="w", revenue=-100),
        conversion(2, None, visitor_id=""),
        conversion(3, NOON + HOUR, value=0.25, attributes=flagged()),
        conversion(4, None, event_name=""),
        conversion(5, entity_id=None),
        conversion(6, event_name="", entity_id=""),
    ]
    twin = Twin([], conversions)
    found = {(r["entity_id"], r["event_name"]): r for r in twin.events}
    assert len(found) == len(twin.events) == 3
    assert found["11", "buy"] == {
        "event_key": "buy",
        "entity_id": "11",
        "event_name": "buy",
        "event_type": "custom",
        "conversion_count": 4,
        "visitor_count": 2,
        "revenue_cents": 400,
        "value": 0.75,
        "first_seen_at": NOON - HOUR,
        "last_seen_at": NOON + HOUR,
    }
    assert found[None, "buy"]["event_key"] == "buy"
    assert found["11", None] == {
        "event_key": "11",
        "entity_id": "11",
        "event_name": None,
        "event_type": None,
        "conversion_count": 1,
        "visitor_count": 1,
        "revenue_cents": 0,
        "value": 0.0,
        "first_seen_at": None,
        "last_seen_at": None,
    }


def values(twin: Twin) -> dict[tuple[str, str], float]:
    """Observations by (visitor, metric)."""
    return {(r["visitor_id"], r["metric_name"]): r["value"] for r in twin.observations}


def test_5_measures_are_dense() -> None:
    """Four metrics for each event, 0 where nothing happened; NULL money and value count nothing."""
    decisions = [decision(0), decision(1, visitor_id="w", variation="2")]
    conversions = [
        conversion(2, revenue=500, value=0.5),
        conversion(3, revenue=-100, value=None),
        conversion(4, revenue=None, value=0.25),
        conversion(5, NOON - MS, revenue=10_000),
        conversion(6, revenue=10_000, attributes=flagged()),
    ]
    assert values(Twin(decisions, conversions)) == {
        ("v", "buy: unique conversions"): 1.0,
        ("v", "buy: total conversions"): 3.0,
        ("v", "buy: revenue"): 400.0,
        ("v", "buy: value"): 0.75,
        ("w", "buy: unique conversions"): 0.0,
        ("w", "buy: total conversions"): 0.0,
        ("w", "buy: revenue"): 0.0,
        ("w", "buy: value"): 0.0,
    }


def test_5_keys() -> None:
    """event_name, else entity_id, else no metric; a name equal to an entity is the same event."""
    conversions = [
        conversion(1, event_name=""),
        conversion(2, event_name="11", entity_id=None),
        conversion(3, event_name=None, entity_id=None),
    ]
    found = values(Twin([decision(0)], conversions))
    assert len(found) == 4
    assert found["v", "11: total conversions"] == 2.0


def test_5_who_is_counted() -> None:
    """Neither holdback, bot nor no_variation; and what the two options choose."""
    decisions = [
        decision(0),
        decision(1, visitor_id="holdback", is_holdback=True),
        decision(2, visitor_id="bot", attributes=flagged()),
        decision(3, visitor_id="no_variation", variation=None),
        decision(4, visitor_id="crossover", variation="2"),
        decision(5, NOON + MS, visitor_id="crossover", variation="1"),
    ]
    conversions = [
        conversion(6),
        conversion(7, visitor_id="web", experiments=[element("2")]),
    ]

    def visitors(**options: str) -> dict[str, str]:
        found = Twin(decisions, conversions, **options).observations  # type: ignore[arg-type]
        return {r["visitor_id"]: r["variation_id"] for r in found}

    assert visitors() == {"v": "1", "crossover": "2"}
    assert visitors(crossovers="exclude") == {"v": "1"}
    assert visitors(visitor_counting="web") == {"v": "1", "crossover": "2", "web": "2"}


def test_5_which_attribution_counts() -> None:
    """`derived` and `vendor` each take `both` along; vendor's never before the exposure."""
    decisions = [decision(0)]
    conversions = [
        conversion(1, event_name="derived"),
        conversion(2, event_name="both", experiments=[element()]),
        conversion(3, NOON + 2 * HOUR, event_name="vendor", experiments=[element()]),
        conversion(4, NOON - MS, event_name="early", experiments=[element()]),
        conversion(5, None, event_name="timeless", experiments=[element()]),
    ]

    def events(attribution: str) -> set[str]:
        twin = Twin(decisions, conversions, attribution=attribution, attribution_window_hours=1)
        return {r["metric_name"].split(":")[0] for r in twin.observations}

    assert events("derived") == {"derived", "both"}
    assert events("vendor") == {"both", "vendor"}


def test_5_metric_must_exist() -> None:
    """Conversions of visitors who are not counted bring no metric about."""
    decisions = [decision(0), decision(1, visitor_id="bot", attributes=flagged())]
    assert Twin(decisions, [conversion(2, visitor_id="bot")]).observations == []


def test_6_results() -> None:
    """The baseline is the shortest id; sums by hand; lift NULL where the baseline's mean is 0."""
    decisions = [
        decision(0, visitor_id="a", variation="10"),
        decision(1, visitor_id="b", variation="10"),
        decision(2, visitor_id="c", variation="9"),
        decision(3, visitor_id="d", variation="9"),
        decision(4, visitor_id="f", variation="9"),
        decision(5, visitor_id="g", variation="9"),
    ]
    conversions = [
        conversion(6, visitor_id="a", revenue=300),
        conversion(7, visitor_id="b", revenue=100),
        conversion(8, visitor_id="b", value=0.5),
        conversion(9, visitor_id="c", revenue=200),
    ]
    twin = Twin(decisions, conversions)
    summary = {(r["metric_name"], r["variation_id"]): r for r in twin.summary}
    assert len(summary) == 8
    assert summary["buy: revenue", "10"] == {
        "experiment_id": "e",
        "metric_name": "buy: revenue",
        "variation_id": "10",
        "segment_name": "all",
        "segment_value": "all",
        "visitors": 2,
        "mature_visitors": 2,
        "unique_conversions": 2,
        "total_conversions": 3,
        "value_sum": 400.0,
        "value_sum_squares": 100_000.0,
        "denominator_sum": None,
        "denominator_sum_squares": None,
        "cross_product_sum": None,
        "covariate_sum": None,
        "covariate_sum_squares": None,
        "covariate_product_sum": None,
    }
    results = {(r["metric_name"], r["variation_id"]): r for r in twin.results}
    assert len(results) == 8
    assert results["buy: revenue", "10"] == {
        "experiment_id": "e",
        "metric_name": "buy: revenue",
        "variation_id": "10",
        "segment_name": "all",
        "segment_value": "all",
        "baseline_variation_id": "9",
        "visitors": 2,
        "unique_conversions": 2,
        "total_conversions": 3,
        "numerator": 400.0,
        "denominator": 2,
        "mean": 200.0,
        "baseline_mean": 50.0,
        "difference": 150.0,
        "lift": 3.0,
    }
    baseline = results["buy: revenue", "9"]
    assert (baseline["visitors"], baseline["difference"], baseline["lift"]) == (4, 0.0, 0.0)
    no_baseline = results["buy: value", "10"]
    assert (no_baseline["mean"], no_baseline["baseline_mean"]) == (0.25, 0.0)
    assert (no_baseline["difference"], no_baseline["lift"]) == (0.25, None)


def test_options_are_checked() -> None:
    """A misspelt option would silently mean the other reading."""
    with pytest.raises(ValueError, match="crossovers is 'frist'; use one of first, exclude"):
        Twin([], [], crossovers="frist")


# --- the vendor's sample


def read_landed(root: Path) -> tuple[list[Row], list[Row]]:
    """The files under a folder, as the rows that landing would give."""
    landed: dict[str, list[Row]] = {"decisions": [], "events": []}
    for path in sorted(root.rglob("*.parquet")):
        key = path.relative_to(root).as_posix()
        export_type, day = (part.split("=")[1] for part in key.split("/")[:2])
        for number, found in enumerate(plain_rows(path)):
            found |= {
                "_export_date": date.fromisoformat(day),
                "_file_id": file_id(key),
                "_file_row": number,
            }
            landed[export_type].append(found)
    return landed["decisions"], landed["events"]


def plain_rows(path: Path) -> Iterator[Row]:
    """A file's rows with naive UTC times and dicts for maps, whatever the file holds."""
    table = pq.ParquetFile(path).read()
    columns: dict[str, list[Any]] = {}
    for column in table.schema:
        values = table.column(column.name)
        if column.name in ("timestamp", "process_timestamp"):
            values = values.cast(pa.timestamp("ms"))
        columns[column.name] = values.to_pylist()
        if pa.types.is_map(column.type):
            columns[column.name] = [None if m is None else dict(m) for m in columns[column.name]]
    for number in range(table.num_rows):
        yield {name: values[number] for name, values in columns.items()}


@pytest.fixture(scope="module")
def sample() -> Twin:
    """The twin of the vendor's sample."""
    root = next(find_sample().rglob("type=decisions")).parent
    return Twin(*read_landed(root), visitor_counting="web", attribution="vendor")


def test_sample_sessions(sample: Twin) -> None:
    """The number of sessions, and each of them the vendor's own."""
    assert len(sample.decisions) == 9_001
    assert len(sample.conversions) == 11_109
    assert len(sample.sessions) == 9_999
    events = sample.decisions + sample.conversions
    pairs = {(r["visitor_id"], r["vendor_session_id"], r["session_key"]) for r in events}
    assert len(pairs) == len({(v, vendor) for v, vendor, _ in pairs}) == 9_999
    assert len(pairs) == len({(v, derived) for v, _, derived in pairs})


def test_sample_with_decisions(sample: Twin) -> None:
    """Experiment 18156943409: derived attribution gives what the vendor's does."""
    exposures = [r for r in sample.exposures if r["experiment_id"] == "18156943409"]
    arms = Counter(r["variation_id"] for r in exposures)
    assert arms == {"18112613000": 4_487, "18174970251": 4_514}
    attributed = [r for r in sample.attributed_conversions if r["experiment_id"] == "18156943409"]
    assert {r["attribution_source"] for r in attributed} == {"both"}
    assert len(attributed) == len({r["visitor_id"] for r in attributed}) == 5_232
    arms = Counter(r["variation_id"] for r in attributed)
    assert arms == {"18112613000": 2_577, "18174970251": 2_655}
    assert all(r["variation_id"] == r["vendor_variation_id"] for r in attributed)


def test_sample_without_decisions(sample: Twin) -> None:
    """Experiment 18142600572: known from conversions only, and most visitors saw both arms."""
    exposures = [r for r in sample.exposures if r["experiment_id"] == "18142600572"]
    assert {r["exposure_source"] for r in exposures} == {"vendor"}
    assert len(exposures) == 998
    assert Counter(r["exposure_status"] for r in exposures)["crossover"] == 937
    sums: dict[str, float] = defaultdict(float)
    for found in sample.summary:
        if found["experiment_id"] == "18142600572":
            sums[found["metric_name"]] += found["value_sum"]
    assert sums == {
        "add_to_cart: unique conversions": 998.0,
        "add_to_cart: total conversions": 5_877.0,
        "add_to_cart: revenue": 2_316_000.0,
        "add_to_cart: value": pytest.approx(2316000.02316008),
    }


# --- the histories

SEEDS = (1, 2, 3, 4, 5)


@pytest.fixture(scope="module", params=SEEDS)
def each_history(request: pytest.FixtureRequest) -> History:
    """One history of the usual size for each seed."""
    return history(request.param)


def test_history_is_determined_by_its_seed() -> None:
    """Otherwise a failure could not be looked at again."""
    assert history(7, 20, 3).states == history(7, 20, 3).states
    assert history(7, 20, 3).states != history(8, 20, 3).states


def test_a_history_is_a_first_state_and_one_for_each_load() -> None:
    assert len(history(7, visitors=20, loads=2).states) == 3


def test_history_is_well_formed(each_history: History) -> None:
    """Whole milliseconds, exact sums, and no key that stands for two contents."""
    contents: dict[str, list[Row]] = {}
    for state in each_history.states:
        for (export_type, day), files in state.items():
            for key, rows in files:
                assert key.startswith(f"type={export_type}/date={day}/")
                assert contents.setdefault(key, rows) == rows
        for found in [r for table in landed_rows(state) for r in table]:
            for name in ("timestamp", "process_timestamp"):
                assert found[name] is None or found[name].microsecond % 1000 == 0
            value = found.get("value") or 0.0
            assert value in ABSURD_VALUES or (value % 0.125 == 0 and abs(value) < 10_000)


def in_order(rows: list[Row], names: list[str]) -> list[Row]:
    """Rows by file and row number, with these columns."""
    full = [{name: found.get(name) for name in names} for found in rows]
    for found in full:
        if found.get("value") != found.get("value"):
            # No NaN equals another.
            found["value"] = "NaN"
    return sorted(full, key=lambda r: (r["_file_id"], r["_file_row"]))


def test_written_state_is_the_state(tmp_path: Path) -> None:
    """The folder holds exactly the state, unchanged files are not touched, all shapes read back."""
    touched: dict[Path, int] = {}
    kept = removed = 0
    shapes: set[str] = set()
    for state in history(3, 40, 3).states:
        root = write_state(tmp_path, state)
        keys = {key for files in state.values() for key, _ in files}
        days = {f"type={kind}/date={day}/_SUCCESS" for kind, day in state}
        times = {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}
        assert {path.relative_to(root).as_posix() for path in times} == keys | days
        assert all(path.is_file() or any(path.iterdir()) for path in tmp_path.rglob("*"))
        assert all(times[path] == time for path, time in touched.items() if path in times)
        kept += len(touched.keys() & times.keys())
        removed += len(touched.keys() - times.keys())
        touched = times
        shapes |= {timestamp_shape(key) for key in keys}

        for written, landed in zip(read_landed(root), landed_rows(state), strict=True):
            all_names = sorted({name for r in landed for name in r})
            assert in_order(written, all_names) == in_order(landed, all_names)
    assert kept and removed and shapes == set(TIMESTAMP_SHAPES)


GRAIN = {
    "decisions": ("visitor_id", "event_id"),
    "conversions": ("visitor_id", "event_id"),
    "sessions": ("session_key",),
    "exposures": ("experiment_id", "visitor_id"),
    "attributed_conversions": ("visitor_id", "event_id", "experiment_id"),
    "experiments": ("experiment_id",),
    "variations": ("experiment_id", "variation_id"),
    "events": ("entity_id", "event_name"),
    "observations": ("experiment_id", "visitor_id", "metric_name"),
    "summary": ("experiment_id", "metric_name", "variation_id"),
    "results": ("experiment_id", "metric_name", "variation_id"),
}
ALL_OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"attribution": "vendor"},
    {"visitor_counting": "web"},
    {"crossovers": "exclude"},
    {"attribution_window_hours": 24},
    {"attribution_window_hours": 0.5},
    {"attribution": "vendor", "visitor_counting": "web", "crossovers": "exclude"},
    {"bot_events_per_minute": BURST_LIMIT},
    {"bot_user_agents": ()},
    {"bot_user_agents": SPECIAL_PATTERNS},
)


def test_grain_and_options(each_history: History) -> None:
    """Every mart has rows and its grain, and every option changes some result of each history."""
    rows = landed_rows(each_history.states[-1])
    results: list[list[Row]] = []
    for options in ALL_OPTIONS:
        twin = Twin(*rows, **options)
        for mart, key in GRAIN.items():
            found = getattr(twin, mart)
            assert found
            assert len({tuple(r[name] for name in key) for r in found}) == len(found), mart
        assert twin.results not in results
        results.append(twin.results)


def visible_situations(state: State) -> Iterator[str]:
    """Names of the awkward situations in the landed rows of one state."""
    decisions, conversions = landed_rows(state)
    uuids: list[set[str]] = []
    repeated: list[set[tuple[str, str]]] = []
    for table in (decisions, conversions):
        copies: dict[str, list[Row]] = defaultdict(list)
        for found in table:
            for name in ("uuid", "visitor_id", "timestamp", "process_timestamp"):
                if found[name] in (None, ""):
                    yield f"{name} {found[name]!r}"
            for name in ("session_id", "campaign_id", "experiment_id", "variation_id"):
                if name in found and found[name] in (None, ""):
                    yield f"{name} {found[name]!r}"
            if found["user_agent"] in (*BOT_AGENTS, *PEOPLE_AGENTS):
                yield f"user agent {found['user_agent']}"
            if found["uuid"]:
                copies[found["uuid"].lower()].append(found)
            times = found["process_timestamp"], found["timestamp"]
            if None not in times and times[0] < times[1]:
                yield "client clock ahead"
            if found["timestamp"] and found["timestamp"].date() < found["_export_date"] - 2 * DAY:
                yield "days late"
            for name in ("attributes", "experiments", "tags"):
                if name in found:
                    size = None if found[name] is None else min(len(found[name]), 2)
                    yield f"{name} of size {size}"
            flags = [(a["id"], a["name"], a["value"]) for a in found["attributes"] or []]
            for flag in flags:
                if flag in BOTS or flag in NOT_BOTS:
                    yield f"bot flag {flag}"
        uuids.append(set(copies))
        counts = Counter((r["visitor_id"], r["uuid"].lower()) for r in table if r["uuid"])
        repeated.append({key for key, count in counts.items() if key[0] and count > 1})
        for same in copies.values():
            yield from copy_situations(same)
            yield from receipt_situations(same)
    if uuids[0] & uuids[1]:
        yield "uuid in both tables"
    yield from ("uuid of one visitor repeated in both tables" for _ in repeated[0] & repeated[1])
    names = {r["variation_id"] for r in decisions if r["experiment_id"] == ARMLESS_EXPERIMENT}
    if names:
        yield f"experiment without variations in decisions: {not any(names)}"
    for found in decisions:
        yield f"decision holdback {found['is_holdback']}"
    for found in conversions:
        named = bool(found["event_name"]), bool(found["entity_id"])
        yield f"event and entity {named}"
        if found["entity_id"] and not found["event_name"]:
            yield f"entity without event {found['event_name']!r}"
        if found["event_name"] and found["event_name"] == found["entity_id"]:
            yield "event named like its entity"
        for name in ("revenue", "value", "quantity"):
            number = found[name]
            sign = None if number is None else (number > 0) - (number < 0)
            yield f"{name} of sign {sign}"
        if found["value"] is not None and not abs(found["value"]) < 1e150:
            yield f"value {found['value']}"
        yield from element_situations(found["experiments"] or [])


def copy_situations(copies: list[Row]) -> Iterator[str]:
    """Names of what is awkward about rows of one table with one uuid."""
    if len({c["visitor_id"] for c in copies}) > 1:
        yield "uuid of two visitors"
    lineage = ("uuid", "_export_date", "_file_id", "_file_row")
    for one in copies:
        for other in copies:
            if one is other or one["visitor_id"] != other["visitor_id"]:
                continue
            if not one["visitor_id"]:
                yield "copy without a visitor"
            if one["uuid"] != other["uuid"]:
                yield "copy in the other letter case"
            if one["_export_date"] != other["_export_date"]:
                yield "copy in another day"
            elif one["_file_id"] != other["_file_id"]:
                yield "copy in another file of the day"
            else:
                yield "copy in the same file"
            if any(one[name] != other[name] for name in one if name not in lineage):
                yield "copy with other content"
            received = one["process_timestamp"], other["process_timestamp"]
            exported = one["_export_date"], other["_export_date"]
            if None not in received and exported[0] < exported[1] and received[0] > received[1]:
                yield "copy exported earlier, received later"


def receipt_situations(copies: list[Row]) -> Iterator[str]:
    """Names of what the times of receipt decide among copies of one day."""
    of_visitor: dict[str | None, list[Row]] = defaultdict(list)
    for copy in copies:
        of_visitor[copy["visitor_id"] or None].append(copy)
    for same in of_visitor.values():
        first_day = min(copy["_export_date"] for copy in same)
        same_day = [copy for copy in same if copy["_export_date"] == first_day]
        without = [copy for copy in same_day if copy["process_timestamp"] is None]
        if 0 < len(without) < len(same_day):
            # All that decides next would let the one without a receipt be the first.
            kept = [copy for copy in same_day if copy not in without]
            place = [[(c["_file_id"], c["_file_row"]) for c in side] for side in (without, kept)]
            earlier = min(place[0]) < min(place[1])
            yield f"copy of the day without receipt, {'earlier' if earlier else 'later'} in place"


def element_situations(elements: list[Row]) -> Iterator[str]:
    """Names of what is awkward about one conversion's `experiments`."""
    variations: dict[str, list[str | None]] = defaultdict(list)
    for found in elements:
        yield f"element holdback {found['is_holdback']}"
        for name in ("experiment_id", "variation_id", "campaign_id"):
            if found[name] in (None, ""):
                yield f"element {name} {found[name]!r}"
        if found["experiment_id"] == UNKNOWN_EXPERIMENT:
            yield "element of an unknown experiment"
        if found["experiment_id"] == ARMLESS_EXPERIMENT:
            yield f"element without a variation, as all: {not found['variation_id']}"
        variations[found["experiment_id"] or ""].append(found["variation_id"] or None)
    for several in variations.values():
        if len(several) > 1:
            yield f"experiment twice, {'one' if len(set(several)) == 1 else 'more'} variation"
        lengths = {len(v) for v in several if v}
        if len(lengths) > 1:
            yield "elements whose smallest id depends on the order"


def counted_situations(twin: Twin) -> Iterator[str]:
    """Names of the awkward situations that the rules of counting meet in one state."""
    events: dict[str, list[tuple[datetime, str]]] = defaultdict(list)
    for found in twin.decisions + twin.conversions:
        if found["session_key"]:
            events[found["visitor_id"]].append((found["occurred_at"], found["session_key"]))
    for of_visitor in events.values():
        for (one_time, one_key), (other_time, other_key) in pairwise(sorted(of_visitor)):
            gap = other_time - one_time
            if gap == timedelta(0):
                yield "tie"
            if abs(gap - 30 * MINUTE) <= MS:
                yield f"gap of {gap}"
            if gap < 30 * MINUTE and one_key != other_key:
                yield "cut by 24 hours"
    sessions: dict[str, list[Row]] = defaultdict(list)
    for found in twin.sessions:
        sessions[found["visitor_id"]].append(found)
        if found["ended_at"] - found["started_at"] == 24 * HOUR:
            yield "session of exactly 24 hours"
        if found["revenue_cents"] >= 2**63:
            yield "session with more money than a bigint holds"
    for of_visitor_sessions in sessions.values():
        ordered = sorted(of_visitor_sessions, key=lambda r: r["started_at"])
        cuts = [
            after["started_at"] - before["ended_at"] < 30 * MINUTE
            for before, after in pairwise(ordered)
        ]
        for (before, after), is_cut in zip(pairwise(ordered), cuts, strict=True):
            if is_cut and after["started_at"] - before["started_at"] == 24 * HOUR + MS:
                yield "cut at 24 hours and a millisecond"
        if any(one and other for one, other in pairwise(cuts)):
            yield "two cuts by 24 hours in a row"

    decisions: dict[tuple[Any, ...], set[str]] = defaultdict(set)
    for found in twin.decisions:
        key = ("visitor_id", "experiment_id", "occurred_at", "processed_at", "is_holdback")
        decisions[tuple(found[name] for name in key)].add(found["variation_id"])
    for key, variations in decisions.items():
        if None not in key[:3] and len(variations) > 1:
            yield "decisions tied up to the event id"

    yield from bot_situations(twin)
    yield from exposure_order_situations(twin)
    for found in twin.events:
        if found["revenue_cents"] >= 2**63:
            yield "event with more money than a bigint holds"
    for found in twin.experiments:
        if found["variation_count"] == 0:
            known = "some" if found["decision_count"] else "no"
            yield f"experiment without variations, {known} decisions"
    for found in twin.exposures:
        yield f"exposure {found['exposure_status']} from {found['exposure_source']}"
        if found["exposure_status"] == "valid" and found["session_key"] is None:
            raise AssertionError("an exposure has a visitor and a time, and so a session")
    for found in twin.attributed_conversions:
        # A double would not add huge amounts exactly: none may come to any metric.
        assert abs(found["revenue_cents"] or 0) <= 10_000
        yield f"attribution {found['attribution_source']}"
        seconds = found["seconds_since_exposure"]
        yield f"seconds of sign {None if seconds is None else (seconds > 0) - (seconds < 0)}"
        if found["attribution_source"] != "vendor" and seconds in (1800.0, 1800.001):
            yield f"conversion {seconds} seconds after the exposure"
        if found["visitor_id"] is None:
            yield "attribution without a visitor"
        elif found["occurred_at"] is None:
            yield "attribution without a time"
        two = found["variation_id"], found["vendor_variation_id"]
        if found["attribution_source"] == "both" and two[0] != two[1]:
            yield "attribution to two variations"
    for found in twin.results:
        yield f"lift {'NULL' if found['lift'] is None else 'known'}"
        arms = EXPERIMENTS_POOL.get(found["experiment_id"], ())
        if arms and found["baseline_variation_id"] != min(arms):
            yield "baseline that is not the smallest text"


def bot_situations(twin: Twin) -> Iterator[str]:
    """Names of what decides whether a visitor is a bot by the rate, or by several rules at once."""
    minutes: dict[tuple[str, str], list[str]] = defaultdict(list)
    times: dict[str, list[datetime | None]] = defaultdict(list)
    of_nobody: Counter[str] = Counter()
    for name in ("decisions", "conversions"):
        for found in getattr(twin, name):
            if found["visitor_id"] is None:
                if found["occurred_at"] is not None:
                    of_nobody[f"{found['occurred_at']:%F %H:%M}"] += 1
                continue
            times[found["visitor_id"]].append(found["occurred_at"])
            if found["occurred_at"] is not None:
                minutes[found["visitor_id"], f"{found['occurred_at']:%F %H:%M}"].append(name)
    if max(of_nobody.values(), default=0) > BURST_LIMIT:
        yield "too many events in a minute of nobody"
    rapid: set[str] = set()
    for (visitor_id, _), tables in minutes.items():
        if len(tables) in (BURST_LIMIT, BURST_LIMIT + 1):
            yield f"{len(tables)} events in a minute of the clock"
        if len(tables) > BURST_LIMIT:
            rapid.add(visitor_id)
            if max(Counter(tables).values()) <= BURST_LIMIT:
                yield "too many events in a minute of both tables only"
    for visitor_id, of_visitor in times.items():
        known = sorted(time for time in of_visitor if time is not None)
        if visitor_id in rapid:
            if None in of_visitor:
                yield "too many events in a minute, and one without a time"
            if known[-1] - known[0] > HOUR:
                yield "too many events in a minute, and some at other times"
        elif any(
            after - before < MINUTE
            for before, after in zip(known, known[BURST_LIMIT:], strict=False)
        ):
            yield "too many events in 60 seconds, of two minutes of the clock"
    reasons: dict[str, set[str | None]] = defaultdict(set)
    for found in twin.decisions + twin.conversions:
        if found["visitor_id"] is not None:
            reasons[found["visitor_id"]].add(found["bot_reason"])
    for visitor_id, of_one in reasons.items():
        yield f"visitor by {sorted(map(str, of_one))} and rate {visitor_id in rapid}"


def exposure_order_situations(twin: Twin) -> Iterator[str]:
    """Names of what decides which of several decisions at one time is the exposure."""
    counted: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for found in twin.decisions:
        counted[found["experiment_id"], found["visitor_id"], found["is_holdback"]].append(found)
    for exposure in twin.exposures:
        key = exposure["experiment_id"], exposure["visitor_id"], exposure["is_holdback"]
        tied = [r for r in counted[key] if r["occurred_at"] == exposure["exposed_at"]]
        if exposure["exposure_source"] == "vendor" or len(tied) < 2:
            continue
        first = only([r for r in tied if r["event_id"] == exposure["event_id"]])
        others = [r for r in tied if r["variation_id"] != first["variation_id"]]
        if any(r["processed_at"] == first["processed_at"] for r in others):
            yield f"exposure decided by the event id, received {first['processed_at'] is not None}"
        if first["processed_at"] is not None:
            for found in others:
                if found["processed_at"] is None:
                    is_against = found["event_id"] < first["event_id"]
                    yield f"exposure decided by a receipt that is NULL, against the id {is_against}"


def step_situations(before: State, after: State) -> Iterator[str]:
    """Names of what happens between two loads."""
    if before == after:
        yield "load of nothing new"
    for day, files in after.items():
        known = (date for export_type, date in before if export_type == day[0])
        newest = max(known, default=date.min)
        if day not in before:
            yield "new day" if day[1] > newest else "new day older than the newest"
            if not files:
                yield "new day without files"
            continue
        old_files = before[day]
        if files is old_files:
            yield "day untouched"
            continue
        assert not {key for key, _ in files} & {
            key for key, rows in old_files if (key, rows) not in files
        }
        old_keys, new_keys = {key for key, _ in old_files}, {key for key, _ in files}
        if not files and old_files:
            yield "day emptied"
        elif files and not old_files:
            yield "day filled again"
        elif old_keys & new_keys and old_keys != new_keys:
            yield "day with some files replaced"
        old_rows = {r["uuid"]: r for _, rows in old_files for r in rows if r["uuid"]}
        new_rows = {r["uuid"]: r for _, rows in files for r in rows if r["uuid"]}
        if files and old_rows and new_rows == old_rows and not old_keys & new_keys:
            yield "day with nothing but new names"
        if old_rows.keys() - new_rows.keys():
            yield "row removed"
        if new_rows.keys() - old_rows.keys():
            yield "row added"
        for uuid in old_rows.keys() & new_rows.keys():
            for name, value in new_rows[uuid].items():
                if name in old_rows[uuid] and old_rows[uuid][name] != value:
                    yield f"changed {name}"
    gone, come = nameless(before, after), nameless(after, before)
    if gone == {""} and not come:
        yield "only visitors called '' removed, and nobody without a name landed"
    one, other = Twin(*landed_rows(before)), Twin(*landed_rows(after))
    yield from mart_step_situations(one, other)


def nameless(one: State, other: State) -> set[str | None]:
    """The visitors NULL and '' in the days of one state that stand differently in the other."""
    return {
        r["visitor_id"]
        for day, files in one.items()
        if other.get(day) is not files
        for _, rows in files
        for r in rows
        if not r["visitor_id"]
    }


def mart_step_situations(before: Twin, after: Twin) -> Iterator[str]:
    """Names of what a load does to rows that an earlier load had already counted."""
    old_keys, new_keys = session_keys(before), session_keys(after)
    moves: dict[str, set[str]] = defaultdict(set)
    origins: dict[str, set[str]] = defaultdict(set)
    for event in old_keys.keys() & new_keys.keys():
        old, new = old_keys[event], new_keys[event]
        if old and new:
            moves[old].add(new)
            origins[new].add(old)
    yield from ("session split" for found in moves.values() if len(found) > 1)
    yield from ("sessions merged" for found in origins.values() if len(found) > 1)
    old_exposures, new_exposures = exposures_by_key(before), exposures_by_key(after)
    yield from ("exposure gone" for _ in old_exposures.keys() - new_exposures.keys())
    for key in old_exposures.keys() & new_exposures.keys():
        for name, value in new_exposures[key].items():
            if old_exposures[key][name] != value:
                yield f"exposure's {name} moved"
    old_metrics = {(r["experiment_id"], r["metric_name"]) for r in before.summary}
    new_metrics = {(r["experiment_id"], r["metric_name"]) for r in after.summary}
    yield from ("metric appeared" for _ in new_metrics - old_metrics)
    yield from ("metric gone" for _ in old_metrics - new_metrics)
    yield from ("variation appeared" for _ in arms(after) - arms(before))
    yield from ("variation gone" for _ in arms(before) - arms(after))
    old_baselines, new_baselines = baselines(before), baselines(after)
    for experiment in old_baselines.keys() & new_baselines.keys():
        if old_baselines[experiment] != new_baselines[experiment]:
            yield "baseline moved"
    visitors = {r["visitor_id"] for r in before.sessions} - {
        r["visitor_id"] for r in after.sessions
    }
    yield from ("visitor gone" for _ in visitors)


def arms(twin: Twin) -> set[tuple[str, str]]:
    """Variations with a counted visitor."""
    return {(r["experiment_id"], r["variation_id"]) for r in twin.summary}


def baselines(twin: Twin) -> dict[str, str]:
    """Baseline of each experiment."""
    return {r["experiment_id"]: r["baseline_variation_id"] for r in twin.results}


def session_keys(twin: Twin) -> dict[tuple[Any, ...], str | None]:
    """Session of each event of a visitor."""
    return {
        (table, r["visitor_id"], r["event_id"]): r["session_key"]
        for table in ("decisions", "conversions")
        for r in getattr(twin, table)
    }


def exposures_by_key(twin: Twin) -> dict[tuple[str, str], Row]:
    """Exposures by experiment and visitor."""
    return {(r["experiment_id"], r["visitor_id"]): r for r in twin.exposures}


def file_situations(state: State) -> Iterator[str]:
    """Names of what is awkward about the files of a state."""
    for (export_type, _), files in state.items():
        if not files:
            yield "day without files"
        for key, rows in files:
            yield f"timestamps as {timestamp_shape(key)}"
            if not rows:
                yield "file without rows"
            for name in OPTIONAL_COLUMNS[export_type]:
                if rows and name not in rows[0]:
                    yield f"{export_type} without {name}"


NONE_OR_BLANK = ("None", "''")
REQUIRED = [
    # §1
    *(f"{name} {blank}" for name in ("uuid", "visitor_id") for blank in NONE_OR_BLANK),
    *(f"{name} None" for name in ("timestamp", "process_timestamp")),
    *(
        f"{name} {blank}"
        for name in ("session_id", "campaign_id", "experiment_id", "variation_id")
        for blank in NONE_OR_BLANK
    ),
    "client clock ahead",
    "days late",
    "uuid in both tables",
    "uuid of two visitors",
    "copy without a visitor",
    "copy in the other letter case",
    "copy in another day",
    "copy in another file of the day",
    "copy in the same file",
    "copy with other content",
    "copy exported earlier, received later",
    *(f"copy of the day without receipt, {place} in place" for place in ("earlier", "later")),
    "uuid of one visitor repeated in both tables",
    *(f"value {value}" for value in ABSURD_VALUES),
    *(f"bot flag {flag}" for flag in BOTS + NOT_BOTS),
    *(f"{name} of size {n}" for name in ("attributes", "tags") for n in (None, 0, 1, 2)),
    *(f"user agent {agent}" for agent in BOT_AGENTS + PEOPLE_AGENTS),
    *(f"{n} events in a minute of the clock" for n in (BURST_LIMIT, BURST_LIMIT + 1)),
    "too many events in a minute of both tables only",
    "too many events in a minute of nobody",
    "too many events in a minute, and one without a time",
    "too many events in a minute, and some at other times",
    "too many events in 60 seconds, of two minutes of the clock",
    *(
        f"visitor by {reasons} and rate {is_rapid}"
        for reasons in (
            ["None"],
            ["None", "attribute"],
            ["None", "user_agent"],
            ["None", "attribute", "user_agent"],
        )
        for is_rapid in (True, False)
    ),
    # §2
    "tie",
    "gap of 0:29:59.999000",
    "gap of 0:30:00",
    "gap of 0:30:00.001000",
    "cut by 24 hours",
    "session of exactly 24 hours",
    "cut at 24 hours and a millisecond",
    "two cuts by 24 hours in a row",
    "session with more money than a bigint holds",
    "event with more money than a bigint holds",
    # §3
    *(f"decision holdback {value}" for value in (True, False, None)),
    *(f"element holdback {value}" for value in (True, False, None)),
    *(f"experiments of size {n}" for n in (None, 0, 1, 2)),
    *(
        f"element {name} {blank}"
        for name in ("experiment_id", "variation_id", "campaign_id")
        for blank in NONE_OR_BLANK
    ),
    "element of an unknown experiment",
    "experiment twice, one variation",
    "experiment twice, more variation",
    "elements whose smallest id depends on the order",
    "decisions tied up to the event id",
    *(f"exposure decided by the event id, received {known}" for known in (True, False)),
    *(
        f"exposure decided by a receipt that is NULL, against the id {is_against}"
        for is_against in (True, False)
    ),
    "experiment without variations in decisions: True",
    "element without a variation, as all: True",
    "experiment without variations, some decisions",
    *(
        f"exposure {status} from {source}"
        for status in ("holdback", "bot", "no_variation", "crossover", "valid")
        for source in ("decision", "vendor", "both")
    ),
    # §4
    *(f"attribution {source}" for source in ("derived", "vendor", "both")),
    *(f"seconds of sign {sign}" for sign in (-1, 0, 1, None)),
    *(f"conversion {seconds} seconds after the exposure" for seconds in (1800.0, 1800.001)),
    "attribution without a visitor",
    "attribution without a time",
    "attribution to two variations",
    # §5, §6
    *(f"event and entity {(one, two)}" for one in (True, False) for two in (True, False)),
    *(f"entity without event {blank}" for blank in NONE_OR_BLANK),
    "event named like its entity",
    *(
        f"{name} of sign {sign}"
        for name in ("revenue", "value", "quantity")
        for sign in (None, -1, 0, 1)
    ),
    "lift NULL",
    "lift known",
    "baseline that is not the smallest text",
    # files
    "day without files",
    "file without rows",
    *(f"timestamps as {shape}" for shape in TIMESTAMP_SHAPES),
    *(f"{kind} without {name}" for kind, names in OPTIONAL_COLUMNS.items() for name in names),
    # loads
    "load of nothing new",
    "new day",
    "new day older than the newest",
    "day untouched",
    "day emptied",
    "day filled again",
    "day with some files replaced",
    "day with nothing but new names",
    "row removed",
    "row added",
    *(
        f"changed {name}"
        for name in (
            "timestamp",
            "process_timestamp",
            "visitor_id",
            "variation_id",
            "experiment_id",
            "is_holdback",
            "attributes",
            "user_agent",
            "experiments",
            "event_name",
            "revenue",
            "value",
        )
    ),
    "session split",
    "sessions merged",
    "exposure gone",
    *(
        f"exposure's {name} moved"
        for name in (
            "variation_id",
            "exposed_at",
            "exposure_source",
            "exposure_status",
            "variation_count",
            "decision_count",
            "is_holdback",
            "is_bot",
            "bot_reason",
            "session_key",
        )
    ),
    "metric appeared",
    "metric gone",
    "variation appeared",
    "variation gone",
    "baseline moved",
    "visitor gone",
    "only visitors called '' removed, and nobody without a name landed",
]
"""Every situation that the histories promise; a generator gone soft fails by name."""


def test_histories_hold_every_awkward_situation() -> None:
    """Over a few seeds, each situation occurs more than by a lucky accident."""
    counts: Counter[str] = Counter()
    for seed in SEEDS:
        states = history(seed).states
        for state in states:
            counts.update(visible_situations(state))
            counts.update(file_situations(state))
            counts.update(counted_situations(Twin(*landed_rows(state))))
        for before, after in pairwise(states):
            counts.update(step_situations(before, after))
    rare = {name: counts[name] for name in REQUIRED if counts[name] < 3}
    assert not rare, rare
    # An experiment that a variation slipped into would no longer be one without.
    assert not [name for name in counts if name.endswith((" decisions: False", "as all: False"))]
