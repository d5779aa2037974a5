"""The pages in a real browser, headless: what people see, and what the page does."""

import math
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import duckdb
import pytest

from docs.take_screenshot import BROWSERS, FLAGS
from loader.errors import shown
from report.site import build_site, page_name
from tests.report.marts import ROOT, create_marts, rows_of
from tests.report.shapes import HOSTILE, SHAPES

playwright_api = pytest.importorskip("playwright.sync_api")
axe = pytest.importorskip("axe_playwright_python.sync_playwright")

VIEWS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1280, "height": 900}},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "is_mobile": True},
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no browser is installed ({', '.join(BROWSERS)}): run `make browser` as root")
    with playwright_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("report")


@pytest.fixture(scope="module")
def warehouse(folder: Path) -> Path:
    create_marts(folder / "w.duckdb", rows_of(*SHAPES.values()))
    return folder / "w.duckdb"


@pytest.fixture(scope="module")
def site(warehouse: Path) -> Path:
    build_site(warehouse, "main", warehouse.parent / "site")
    return warehouse.parent / "site"


class Visit:
    """A page that is looked at, and all that it asked for and complained of."""

    def __init__(self, browser: Any, address: str, view: str = "light") -> None:
        self.context = browser.new_context(**VIEWS[view])
        self.page = self.context.new_page()
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(dialog.message))
        self.page.goto(address)

    def __enter__(self) -> "Visit":
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()

    def tables(self, selector: str) -> list[list[list[str]]]:
        """Text of the cells of each table, row by row, heads left out."""
        found: list[list[list[str]]] = self.page.eval_on_selector_all(
            selector,
            """tables => tables.map(table => [...table.tBodies].flatMap(body =>
                [...body.rows].map(row => [...row.cells].map(cell => cell.textContent.trim()))))""",
        )
        return found


def address(site: Path, shape: str) -> str:
    return (site / page_name(SHAPES[shape].experiment_id)).as_uri()


@pytest.mark.parametrize("shape", SHAPES)
def test_nothing_is_asked_for(browser: Any, site: Path, shape: str) -> None:
    with Visit(browser, address(site, shape)) as visit:
        visit.page.locator("details:not([open]) summary").evaluate_all(
            "all => all.forEach(one => one.click())"
        )
        visit.page.emulate_media(media="print")
        visit.page.wait_for_timeout(50)
        assert visit.requests == [address(site, shape)]
        assert visit.complaints == []


def test_nothing_is_asked_for_by_the_list(browser: Any, site: Path) -> None:
    with Visit(browser, (site / "index.html").as_uri()) as visit:
        visit.page.fill("#search", "blue")
        assert visit.requests == [(site / "index.html").as_uri()]
        assert visit.complaints == []


# --- the numbers ---


def query(warehouse: Path, sql: str, *parameters: object) -> list[dict[str, Any]]:
    with duckdb.connect(warehouse, read_only=True) as connection:
        cursor = connection.execute(sql, list(parameters))
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def percent(value: float | None, digits: int = 1, sign: str = "") -> str:
    return "\u2013" if value is None else f"{100 * value:{sign}.{digits}f}%"


def result_cells(row: dict[str, Any]) -> list[str]:
    """A row of results as the issue's words say that it is shown."""
    none = "\u2013"
    is_rate = row["metric_type"] in ("conversion", "funnel")
    is_money = row["measure"] == "revenue"
    total = row["numerator"] / 100 if is_money else row["numerator"]
    digits = 2 if is_money or not math.isclose(total, round(total), abs_tol=0) else 0
    method = "ci" if row["decided_by"].startswith("fixed") else "cs"
    p = row["p_value" if method == "ci" else "p_value_always_valid"]
    lower, upper = row[f"lift_{method}_lower"], row[f"lift_{method}_upper"]
    is_baseline = row["variation_id"] == row["baseline_variation_id"]
    if is_baseline:
        verdict = "Baseline"
    else:
        up, down = ("better", "worse") if row["direction"] == "increase" else ("worse", "better")
        arrows = {up: "\u2191", down: "\u2193", "inconclusive": "\u2194", "not_enough_data": ""}
        arrow = arrows[row["verdict"]]
        verdict = arrow + row["verdict"].replace("_", " ").capitalize()
        if row["is_non_inferior"] is not None:
            verdict += "5% worse is " + ("ruled out" if row["is_non_inferior"] else "possible")
        elif row["reason"]:
            verdict += row["reason"].replace("_", " ")
    return [
        f"{row['visitors']:,}",
        f"{row['unique_conversions']:,}",
        none if row["total_conversions"] is None else f"{row['total_conversions']:,}",
        none if is_rate else f"{total:,.{digits}f}",
        percent(row["mean"], 2)
        if is_rate
        else f"{row['mean'] / 100:,.2f}"
        if is_money
        else f"{row['mean']:,.3f}",
        none if is_baseline else percent(row["lift"], 1, "+"),
        "",
        none if lower is None else f"{percent(lower, 1, '+')} to {percent(upper, 1, '+')}",
        none if p is None else "<0.0001" if p < 0.0001 else f"{p:.4f}",
        verdict,
    ]


RESULTS = """
    select results.*, metric_type, measure, direction, variation_name
    from experiment_results as results
    inner join dim_metrics using (metric_name)
    inner join dim_variations using (experiment_id, variation_id)
    where experiment_id = ? and segment_name = ? and segment_value = ?
"""


def results_by_metric(
    warehouse: Path, experiment_id: str, segment: tuple[str, str] = ("all", "all")
) -> dict[str, list[list[str]]]:
    """Metric → the cells of its rows, in the order of the marts' ids, the baseline first."""
    rows = query(warehouse, RESULTS, experiment_id, *segment)
    rows.sort(key=lambda row: (row["metric_name"], len(row["variation_id"]), row["variation_id"]))
    found: dict[str, list[list[str]]] = {}
    for row in rows:
        name, id_ = shown(row["variation_name"] or ""), shown(row["variation_id"])
        head = f"{name} {id_}" if name else id_
        found.setdefault(row["metric_name"], []).append([head, *result_cells(row)])
    return found


def shown_by_metric(tables: list[list[list[str]]]) -> dict[str, list[list[str]]]:
    """Heading of each group → the rows below it."""
    found: dict[str, list[list[str]]] = {}
    rows: list[list[str]] = []
    for table in tables:
        for row in table:
            if len(row) == 1:
                rows = found.setdefault(re.split(" (?:higher|lower) is better", row[0])[0], [])
            else:
                rows.append(row)
    return found


@pytest.mark.parametrize(
    "shape",
    ["usual", "one_variation", "twenty_variations", "two_hundred_metrics", "split_is_wrong"],
)
def test_every_result_is_the_marts(browser: Any, warehouse: Path, site: Path, shape: str) -> None:
    with Visit(browser, address(site, shape)) as visit:
        found = shown_by_metric(visit.tables("#results table"))
    assert found == results_by_metric(warehouse, SHAPES[shape].experiment_id)
    assert len(found) == len(SHAPES[shape].metrics)


def test_every_segment_is_the_marts(browser: Any, warehouse: Path, site: Path) -> None:
    shape = SHAPES["usual"]
    with Visit(browser, address(site, "usual")) as visit:
        titles = visit.page.eval_on_selector_all(
            "#segments h3", "all => all.map(one => one.textContent)"
        )
        tables = visit.tables("#segments table")
    declared = [name for name, _, _, role in shape.metrics if role != "automatic"]
    assert sorted(titles) == sorted(f"device: {name}" for name in declared)
    for title, table in zip(titles, tables, strict=True):
        found = shown_by_metric([table])
        for value in ("desktop", "mobile"):
            expected = results_by_metric(warehouse, shape.experiment_id, ("device", value))
            assert found[value] == expected[title.removeprefix("device: ")]


def test_every_step_is_the_marts(browser: Any, warehouse: Path, site: Path) -> None:
    rows = query(
        warehouse,
        "select * from funnel_report where experiment_id = '1001' order by step, variation_id",
    )
    names = {"11": "Original 11", "12": "Blue 12"}
    times = {0: "\u2013", 1: "46.7 min", 2: "2.3 d"}
    expected: list[list[str]] = []
    for row in rows:
        if row["variation_id"] == "11":
            title = "Exposed" if row["step"] == 0 else f"{row['step']}. {row['step_name']}"
            expected.append([title])
        lost = row["lost_visitors"]
        expected.append(
            [
                names[row["variation_id"]],
                f"{row['visitors']:,}",
                percent(row["rate_of_exposed"]),
                percent(row["rate_of_previous"]),
                "\u2013" if lost is None else f"{lost:,}",
                times[row["step"]],
            ]
        )
    with Visit(browser, address(site, "usual")) as visit:
        assert visit.tables("#funnels table") == [expected]


def test_the_rest_of_the_page_is_the_marts(browser: Any, warehouse: Path, site: Path) -> None:
    [experiment] = query(warehouse, "from dim_experiments where experiment_id = '1001'")
    variations = query(
        warehouse, "from dim_variations where experiment_id = '1001' order by variation_id"
    )
    checks = query(warehouse, "from experiment_health where experiment_id = '1001'")
    with Visit(browser, address(site, "usual")) as visit:
        text = visit.page.inner_text("main")
        assert visit.tables("#variations table") == [
            [
                [
                    f"{row['variation_name']} {row['variation_id']}",
                    "Baseline" if row["variation_id"] == "11" else "",
                    percent(row["weight"]),
                    f"{row['visitor_count']:,}",
                ]
                for row in variations
            ]
        ]
        [shown_checks] = visit.tables("#checks table")
    assert sorted(row[2] for row in shown_checks) == sorted(row["message"] for row in checks)
    assert f"{experiment['counted_visitor_count']:,} visitors" in text
    assert "10 days running" in text and "2 variations" in text
    assert "complete to 2026-01-14" in text and "1 day missing: 2026-01-08" in text
    assert text.index("complete to") < text.index("Checkout") < text.index("Results")


def test_charts_say_what_they_show(browser: Any, warehouse: Path, site: Path) -> None:
    rows = query(
        warehouse,
        """
        from experiment_results_daily
        where experiment_id = '1001' and counted_by = 'day_of_exposure'
            and variation_id = '12' and lift is not null
        qualify row_number() over (partition by metric_name order by day desc) = 1
        """,
    )
    expected = {
        f"{row['metric_name']} · Blue 12": f"{row['day']}: {percent(row['lift'], 1, '+')}, "
        f"{percent(row['lift_cs_lower'], 1, '+')} to {percent(row['lift_cs_upper'], 1, '+')}"
        for row in rows
        if row["metric_name"] != "view: value"
    }
    with Visit(browser, address(site, "usual")) as visit:
        found = visit.page.eval_on_selector_all(
            "figure",
            """all => all.map(one =>
                [...one.querySelectorAll('figcaption, p')].map(text => text.textContent))""",
        )
    assert dict(found) == expected
    assert len(found) == 4


def test_a_wrong_split_dims_the_numbers(browser: Any, site: Path) -> None:
    def style(visit: Visit) -> str:
        found: str = visit.page.eval_on_selector(
            ".numbers", "one => getComputedStyle(one).filter + getComputedStyle(one).color"
        )
        return found

    with Visit(browser, address(site, "usual")) as usual:
        healthy = style(usual)
        assert "Do not decide" not in usual.page.inner_text("main")
    with Visit(browser, address(site, "split_is_wrong")) as wrong:
        assert style(wrong) != healthy and style(wrong).startswith("grayscale(1)")
        text = wrong.page.inner_text("main")
        assert text.index("Do not decide") < text.index("Variations") < text.index("Results")
        alarms = wrong.page.inner_text(".alarms")
        assert "What sample_ratio found." in alarms


# --- names ---


def test_hostile_names_are_inert(browser: Any, site: Path) -> None:
    for place in (address(site, "hostile"), (site / "index.html").as_uri()):
        with Visit(browser, place) as visit:
            assert visit.complaints == []
            assert visit.requests == [place]
            assert visit.page.evaluate("typeof hacked") == "undefined"
            assert visit.page.locator("script").count() == 1
            assert visit.page.locator("main :is(img, script, iframe, b b)").count() == 0
            width = visit.page.evaluate("document.documentElement.scrollWidth")
            assert width <= 1280
    with Visit(browser, address(site, "hostile")) as visit:
        text = visit.page.evaluate("document.querySelector('main').textContent")
        for name in HOSTILE:
            assert shown(name) in text
        assert visit.page.title() == HOSTILE[0]


# --- addresses ---


def test_the_list_keeps_search_and_order_in_the_address(browser: Any, site: Path) -> None:
    place = (site / "index.html").as_uri()

    def names(visit: Visit) -> list[str]:
        found: list[str] = visit.page.evaluate(
            "[...document.querySelectorAll('.experiments tbody tr:not([hidden]) a')]"
            ".map(a => a.textContent)"
        )
        return found

    with Visit(browser, place) as visit:
        everything = names(visit)
        assert len(everything) == len(SHAPES)
        visit.page.fill("#search", "TWENTY")
        assert names(visit) == ["Twenty variations"]
        assert visit.page.inner_text("#found") == f"1 of {len(SHAPES)}"
        visit.page.fill("#search", "")
        visit.page.click("th:has-text('Visitors') button")
        visit.page.click("th:has-text('Visitors') button")
        numbers = visit.page.evaluate(
            "[...document.querySelectorAll('.experiments tbody tr')]"
            ".map(row => Number(row.cells[4].textContent.replaceAll(',', '')))"
        )
        assert numbers == sorted(numbers, reverse=True) and len(set(numbers)) > 3
        head = visit.page.locator("th[aria-sort]")
        assert head.get_attribute("aria-sort") == "descending"
        visit.page.fill("#search", "checkout")
        linked, order = visit.page.evaluate("location.href"), names(visit)
    assert linked == f"{place}#q=checkout&sort=-4"
    with Visit(browser, linked) as visit:
        assert names(visit) == order
        assert visit.page.input_value("#search") == "checkout"
        visit.page.click("tbody tr:not([hidden]) a >> nth=0")
        visit.page.click("nav a")
        assert visit.page.url.startswith(place)


@pytest.mark.parametrize("state", ["#sort=99", "#sort=x&q=%", "#sort=--1", "#q=%E0%A4%A"])
def test_the_list_stands_any_address(browser: Any, site: Path, state: str) -> None:
    with Visit(browser, (site / "index.html").as_uri() + state) as visit:
        assert visit.complaints == []


def test_an_anchor_opens_what_it_points_to(browser: Any, site: Path) -> None:
    is_open = "id => document.getElementById(id).open"
    with Visit(browser, address(site, "usual")) as visit:
        assert not visit.page.evaluate(is_open, "automatic")
        assert visit.page.evaluate(is_open, "primary")
        visit.page.click("#automatic summary")
        linked = visit.page.evaluate("location.href")
    assert linked.endswith("#automatic")
    with Visit(browser, linked) as visit:
        assert visit.page.evaluate(is_open, "automatic")
        top = visit.page.evaluate(
            "document.getElementById('automatic').getBoundingClientRect().top"
        )
        assert -1 <= top < 900
    with Visit(browser, address(site, "usual") + "#no%20such%thing") as visit:
        assert visit.complaints == []


# --- for everybody ---


ON_A_PHONE = ("usual", "twenty_variations", "index")
"""Shapes that have all that a phone's page can have."""


# Colours are the same in every shape: in the dark, those that have all of them are enough.
@pytest.mark.parametrize(
    ("shape", "view"),
    [
        *((shape, "light") for shape in [*SHAPES, "index"]),
        *((shape, "dark") for shape in ("usual", "split_is_wrong", "index")),
        *((shape, "phone") for shape in ON_A_PHONE),
    ],
)
def test_everybody_can_read_it(browser: Any, site: Path, shape: str, view: str) -> None:
    with Visit(browser, place(site, shape), view) as visit:
        unfold(visit, shape)
        found = axe.Axe().run(visit.page)
        assert found.violations_count == 0, found.generate_report()
        assert_fits(visit)


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape not in ON_A_PHONE])
def test_nothing_is_wider_than_a_phone(browser: Any, site: Path, shape: str) -> None:
    with Visit(browser, place(site, shape), "phone") as visit:
        unfold(visit, shape)
        assert_fits(visit)


def place(site: Path, shape: str) -> str:
    return (site / "index.html").as_uri() if shape == "index" else address(site, shape)


def assert_fits(visit: Visit) -> None:
    """Nothing is wider than the screen."""
    width, inner = visit.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert width <= inner


def unfold(visit: Visit, shape: str) -> None:
    """Opens all that is folded, except where that is hundreds of charts."""
    if shape != "two_hundred_metrics":
        visit.page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")


def test_paper_has_everything(browser: Any, site: Path) -> None:
    with Visit(browser, address(site, "usual")) as visit:
        visit.page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert visit.page.locator("details:not([open])").count() == 0
        visit.page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert visit.page.locator("details:not([open])").count() > 0


# --- live ---


@pytest.fixture(scope="module")
def live(warehouse: Path) -> Iterator[str]:
    """Address of a running `report serve`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (warehouse.parent / "serve.log").open("w")
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "report",
            "serve",
            "--warehouse",
            str(warehouse),
            "--port",
            str(port),
        ],
        stdout=log,
        stderr=log,
        cwd=ROOT,
        env=os.environ | {"HOME": str(warehouse.parent)},
    )
    try:
        for _ in range(300):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None, (warehouse.parent / "serve.log").read_text()
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.terminate()
        process.wait(timeout=20)
        log.close()


def look(browser: Any, live: str, **parameters: str) -> Visit:
    visit = Visit(browser, f"{live}?{urlencode(parameters)}")
    visit.page.wait_for_selector("main.report", timeout=60_000)
    return visit


PARTS = (
    "#variations",
    "#results",
    "#funnels",
    "#segments",
    "#checks",
    "#panel-novelty",
    "#over-time",
)


@pytest.mark.parametrize("shape", ["usual", "one_variation", "hostile"])
def test_live_and_static_agree(browser: Any, site: Path, live: str, shape: str) -> None:
    words = "one => one.textContent.replace(/\\s+/g, ' ')"
    with Visit(browser, address(site, shape)) as static:
        expected = {
            part: static.page.eval_on_selector(part, words)
            for part in PARTS
            if static.page.locator(part).count()
        }
        expected["head"] = static.page.eval_on_selector("h1", words)
    with look(browser, live, experiment=SHAPES[shape].experiment_id) as visit:
        found = {
            part: visit.page.eval_on_selector("h1" if part == "head" else part, words)
            for part in expected
        }
        assert found == expected
        assert len(expected) >= 6
        assert visit.page.evaluate("typeof hacked") == "undefined"
        outside = [url for url in visit.requests if not url.startswith((live, "data:", "blob:"))]
        assert outside == []


def test_the_live_list_leads_to_the_pages(browser: Any, live: str) -> None:
    with look(browser, live) as visit:
        links = visit.page.eval_on_selector_all(
            "main a", "all => all.map(a => a.getAttribute('href'))"
        )
    assert f"?{urlencode({'experiment': SHAPES['hostile'].experiment_id})}" in links
    assert len(links) == len(SHAPES)


def test_an_address_keeps_the_view(browser: Any, warehouse: Path, live: str) -> None:
    with look(
        browser,
        live,
        experiment="1001",
        metric="refunds",
        segment_name="device",
        segment_value="mobile",
        method="fixed_horizon",
        counted_by="day_of_observation",
    ) as visit:
        found = shown_by_metric(visit.tables("#results table"))
        [row] = query(
            warehouse,
            f"{RESULTS} and metric_name = 'refunds' and variation_id = '12'",
            "1001",
            "device",
            "mobile",
        )
        expected = result_cells(row | {"decided_by": "fixed_horizon"})
        assert list(found) == ["refunds"]
        assert found["refunds"][1][1:] == expected
        assert "at the end of each day" in visit.page.inner_text("#over-time")
        assert "fixed horizon" in visit.page.inner_text("#over-time")
        assert visit.page.locator("figure").count() == 1


def choose(visit: Visit, label: str, choice: str) -> None:
    visit.page.get_by_label(label, exact=True).click()
    visit.page.get_by_role("option", name=choice).click()


def test_a_choice_becomes_the_address(browser: Any, live: str) -> None:
    with look(browser, live, experiment="1001") as visit:
        for label, choice, in_address in (
            ("Metric", "checkout", "metric=checkout"),
            ("Intervals and p-values", "Fixed horizon", "method=fixed_horizon"),
        ):
            choose(visit, label, choice)
            visit.page.wait_for_url(re.compile(in_address))
        visit.page.wait_for_function(
            "document.querySelectorAll('#results .gt_group_heading').length === 1"
        )
        visit.page.wait_for_selector("#how-computed:has-text('fixed horizon ones')")
        assert "experiment=1001" in visit.page.url


def test_a_choice_is_taken_back(browser: Any, live: str) -> None:
    """By another choice, by the browser, and by another experiment."""
    with look(browser, live, experiment="1001") as visit:
        metric = visit.page.get_by_label("Metric", exact=True)
        choose(visit, "Metric", "checkout")
        visit.page.wait_for_url(re.compile("metric=checkout"))
        choose(visit, "Metric", "All metrics")
        visit.page.wait_for_url(re.compile("experiment=1001$"))
        visit.page.go_back()
        visit.page.wait_for_url(re.compile("metric=checkout"))
        playwright_api.expect(metric).to_have_value("checkout")
        choose(visit, "Experiment", "1003")
        visit.page.wait_for_url(re.compile("experiment=1003$"))
        playwright_api.expect(metric).to_have_value("All metrics")
        choose(visit, "Experiment", "All experiments")
        visit.page.wait_for_url(re.compile("/$"))
        visit.page.wait_for_selector("main.report a[href*='1003']")


@pytest.mark.parametrize(
    "parameters",
    [
        {"experiment": "none"},
        {"experiment": "1001", "metric": "none", "method": "x", "counted_by": "y"},
        {"experiment": "1001", "segment_name": "none", "segment_value": "none"},
        {"experiment": "1002"},
    ],
)
def test_any_address_is_answered(browser: Any, live: str, parameters: dict[str, str]) -> None:
    with look(browser, live, **parameters) as visit:
        visit.page.wait_for_timeout(500)
        assert visit.page.locator("[data-testid=stException]").count() == 0
        assert visit.page.locator("main.report").count() == 1


def test_the_last_page_stays_while_a_build_runs(browser: Any, warehouse: Path, live: str) -> None:
    with look(browser, live, experiment="1003") as visit:
        before = visit.page.inner_text("#results")
        code = "import duckdb, sys, time; c = duckdb.connect(sys.argv[1]); print(1, flush=True); "
        holder = subprocess.Popen(
            [sys.executable, "-c", code + "time.sleep(600)", str(warehouse)],
            stdout=subprocess.PIPE,
        )
        try:
            assert holder.stdout is not None and holder.stdout.readline()
            visit.page.reload()
            visit.page.wait_for_selector("text=Showing the last numbers", timeout=60_000)
            assert visit.page.inner_text("#results") == before
            with Visit(browser, f"{live}?experiment=1004") as other:
                other.page.wait_for_selector("text=is in use by", timeout=60_000)
                holder.kill()
                holder.wait()
                other.page.wait_for_selector("main.report", timeout=60_000)
        finally:
            holder.kill()
            holder.wait()
