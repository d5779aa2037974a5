"""`report build`: which files it writes, and what happens to those that are there."""

import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest
import yaml

from loader.errors import ExitCode, LoaderError
from report import page, sql_panels
from report.formatting import NOTHING
from report.site import build_site, page_name
from tests.report.command import run
from tests.report.marts import MODELS, ROOT, Shape, create_marts, rows_of
from tests.report.shapes import SHAPES

LARGEST_PAGE = 1_500_000


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    path = tmp_path / "warehouse.duckdb"
    create_marts(path, rows_of(Shape("1", days=2), Shape("2", days=2)))
    return path


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}


def test_a_list_and_a_page_of_each(warehouse: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "site"
    assert build_site(warehouse, "main", out) == [
        out / "index.html",
        out / "experiment-2.html",
        out / "experiment-1.html",
    ]
    assert set(contents(out)) == {"index.html", "experiment-1.html", "experiment-2.html"}
    assert 'href="experiment-1.html"' in contents(out)["index.html"]


def test_the_command_says_where_to_look(warehouse: Path, tmp_path: Path) -> None:
    done = run("build", "--warehouse", warehouse, "--out", tmp_path / "site")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(f"open {tmp_path / 'site' / 'index.html'}\n")


def test_no_experiments(tmp_path: Path) -> None:
    create_marts(tmp_path / "w.duckdb", {})
    assert build_site(tmp_path / "w.duckdb", "main", tmp_path) == [tmp_path / "index.html"]
    assert "run <code>loader pull</code>" in (tmp_path / "index.html").read_text()


@pytest.mark.parametrize("id_", ["../x", "a/b", "", "A", "é", "x" * 65, "con.", "a b", "\x00"])
def test_a_file_can_be_called_so(id_: str) -> None:
    digest = hashlib.sha256(id_.encode()).hexdigest()
    assert page_name(id_) == f"experiment.{digest[:32]}.html"


def test_ids_are_file_names() -> None:
    assert page_name("21000000001") == "experiment-21000000001.html"


def test_what_is_gone_goes_and_what_is_not_ours_stays(warehouse: Path, tmp_path: Path) -> None:
    out = tmp_path / "site"
    build_site(warehouse, "main", out)
    for name in ("experiment-notes.html", "notes.txt"):
        (out / name).write_text("mine")
    with duckdb.connect(warehouse) as connection:
        connection.execute("delete from dim_experiments where experiment_id = '2'")
    build_site(warehouse, "main", out)
    assert set(contents(out)) == {
        "index.html",
        "experiment-1.html",
        "experiment-notes.html",
        "notes.txt",
    }


def test_a_page_that_cannot_be_drawn_changes_nothing(
    warehouse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "site"
    build_site(warehouse, "main", out)
    before = contents(out)
    with duckdb.connect(warehouse) as connection:
        connection.execute("update dim_experiments set experiment_name = 'other'")
    drawn: list[str] = []
    draw_list = page.draw_list

    def fails(*arguments: object, **options: object) -> str:
        drawn.extend(path.name for path in out.iterdir() if path.name.endswith(".new"))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(page, "draw_list", fails)
    with pytest.raises(OSError, match="No space"):
        build_site(warehouse, "main", out)
    assert len(drawn) == 2
    assert contents(out) == before
    monkeypatch.setattr(page, "draw_list", draw_list)
    build_site(warehouse, "main", out)
    assert contents(out).keys() == before.keys()
    assert all("other" in text for text in contents(out).values())


def test_a_kill_leaves_whole_pages(warehouse: Path, tmp_path: Path) -> None:
    out = tmp_path / "site"
    build_site(warehouse, "main", out)
    before = contents(out)
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(warehouse), str(out)], stdout=subprocess.PIPE
    )
    assert process.wait(timeout=60) == -signal.SIGKILL
    assert {name: text for name, text in contents(out).items() if name in before} == before
    build_site(warehouse, "main", out)
    assert set(contents(out)) == set(before), "what a killed build left is cleared away"


KILLED = """
import os, signal, sys
from pathlib import Path
from report import page, site
page.draw_list = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)
site.build_site(Path(sys.argv[1]), "main", Path(sys.argv[2]))
"""


def test_a_build_is_waited_for(warehouse: Path, tmp_path: Path) -> None:
    """Another process holds the warehouse; the last page stays meanwhile."""
    out = tmp_path / "site"
    build_site(warehouse, "main", out)
    before = contents(out)
    with duckdb.connect(warehouse):
        process = start("build", "--warehouse", warehouse, "--out", out)
        assert process.stderr is not None
        assert "is in use by" in process.stderr.readline()
        time.sleep(0.5)
        assert process.poll() is None
        assert contents(out) == before
    assert process.wait(timeout=60) == 0


def test_the_warehouse_is_closed(warehouse: Path, tmp_path: Path) -> None:
    build_site(warehouse, "main", tmp_path / "site")
    with duckdb.connect(warehouse) as connection:
        connection.execute("create table free (x int)")


def test_a_schema_of_any_name(tmp_path: Path) -> None:
    create_marts(tmp_path / "w.duckdb", rows_of(Shape("1", days=1)), 'a"b.c')
    assert len(build_site(tmp_path / "w.duckdb", 'a"b.c', tmp_path / "site")) == 2


@pytest.mark.parametrize("schema", ["none", "", 'a"b', "main; drop table x"])
def test_a_schema_that_is_not_there(warehouse: Path, tmp_path: Path, schema: str) -> None:
    with pytest.raises(LoaderError, match="give --schema main") as raised:
        build_site(warehouse, schema, tmp_path / "site")
    assert raised.value.exit_code == ExitCode.USAGE
    assert not (tmp_path / "site").exists()


def test_a_folder_that_is_a_file(warehouse: Path) -> None:
    done = run("build", "--warehouse", warehouse, "--out", warehouse)
    assert done.returncode == ExitCode.USAGE
    assert done.stderr.startswith("error: cannot use") and done.stderr.count("\n") == 1


def test_a_page_that_is_a_folder(warehouse: Path, tmp_path: Path) -> None:
    (tmp_path / "index.html").mkdir()
    done = run("build", "--warehouse", warehouse, "--out", tmp_path)
    assert done.returncode == ExitCode.USAGE
    assert f"cannot use {tmp_path / 'index.html'} (Is a directory)" in done.stderr


@pytest.mark.parametrize("address", ["192.0.2.1", "a..b", "\udcff", "2001:db8::1"])
def test_an_address_that_is_not_this_machine_s(
    warehouse: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setattr(os, "execv", lambda *_: pytest.fail("the server was started"))
    done = run("serve", "--warehouse", warehouse, "--address", address)
    assert done.returncode == ExitCode.USAGE
    assert done.stderr.startswith("error: cannot listen on port 8501 of ")
    assert done.stderr.endswith("): give another --port or --address\n")
    assert done.stderr.count("\n") == 1


def test_a_port_that_is_taken(warehouse: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "execv", lambda *_: pytest.fail("the server was started"))
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        done = run("serve", "--warehouse", warehouse, "--port", str(port))
    assert done.returncode == ExitCode.USAGE
    assert f"cannot listen on port {port} of 127.0.0.1 (Address already in use)" in done.stderr
    assert run("serve", "--warehouse", warehouse, "--port", "65536").returncode == ExitCode.USAGE


def test_without_the_extra(warehouse: Path) -> None:
    code = "import sys; sys.modules['altair'] = None; from report.__main__ import main; main()"
    for name in ("build", "serve"):
        done = subprocess.run(
            [sys.executable, "-c", code, name, "--warehouse", str(warehouse)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == ExitCode.USAGE
        assert "(altair)" in done.stderr and "optimizely-e3[report]" in done.stderr


@pytest.mark.parametrize("name", ["two_hundred_metrics", "twenty_variations", "hostile"])
def test_a_page_is_small(tmp_path: Path, name: str) -> None:
    create_marts(tmp_path / "w.duckdb", rows_of(SHAPES[name]))
    _, path = build_site(tmp_path / "w.duckdb", "main", tmp_path)
    assert path.stat().st_size < LARGEST_PAGE


@pytest.mark.parametrize("year", ["56135-01-01", "2000-01-01 (BC)"])
def test_clocks_that_pythons_calendar_does_not_reach(
    warehouse: Path, tmp_path: Path, year: str
) -> None:
    build_site(warehouse, "main", tmp_path)
    figures = (tmp_path / "experiment-1.html").read_text().count("<figure>")
    assert figures
    with duckdb.connect(warehouse) as connection:
        connection.execute(
            f"""
            update dim_experiments set first_seen_at = '{year}', last_seen_at = '{year}';
            insert into experiment_results_daily
            select * replace (date '{year}' as day) from experiment_results_daily;
            """
        )
    build_site(warehouse, "main", tmp_path)
    assert (tmp_path / "experiment-1.html").read_text().count("<figure>") == figures


def test_what_has_no_room_is_named(
    warehouse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "MOST_ROWS", 3)
    monkeypatch.setattr(page, "MOST_CHARTS", 1)
    build_site(warehouse, "main", tmp_path)
    text = (tmp_path / "experiment-1.html").read_text()
    assert "3 more metrics are in <code>experiment_results</code>" in text
    assert "3 more are in <code>experiment_results_daily</code>" in text
    assert text.count("<figure>") == 1


def test_segments_without_room_are_counted(
    warehouse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Two variations in two segments of four declared metrics are 16 rows.
    monkeypatch.setattr(page, "MOST_SEGMENT_ROWS", 5)
    build_site(warehouse, "main", tmp_path)
    assert (
        "11 more rows are in <code>experiment_results</code>"
        in (tmp_path / "experiment-1.html").read_text()
    )


def test_metrics_that_look_alike_stay_apart(tmp_path: Path) -> None:
    names = ("a\n", "a\\n")
    metrics = [(name, "conversion", "events", "secondary") for name in names]
    create_marts(tmp_path / "w.duckdb", rows_of(Shape("1", metrics=metrics, days=1)))
    with duckdb.connect(tmp_path / "w.duckdb") as connection:
        connection.execute("update dim_metrics set description = null")
    build_site(tmp_path / "w.duckdb", "main", tmp_path)
    text = (tmp_path / "experiment-1.html").read_text()
    results = text.partition('<section id="results">')[2].partition("</section>")[0]
    assert results.count('<bdi class="name">a\\n</bdi>') == 2


@pytest.mark.parametrize(
    ("roles", "is_open"),
    [(("primary", "automatic"), False), (("guardrail", "automatic"), True), (("automatic",), True)],
)
def test_events_are_unfolded_where_nothing_else_answers(
    tmp_path: Path, roles: tuple[str, ...], is_open: bool
) -> None:
    metrics = [(f"of {role}", "conversion", "events", role) for role in roles]
    create_marts(tmp_path / "w.duckdb", rows_of(Shape("1", metrics=metrics, days=1)))
    build_site(tmp_path / "w.duckdb", "main", tmp_path)
    text = (tmp_path / "experiment-1.html").read_text()
    assert ('<details id="automatic" open>' in text) is is_open


# --- panels ---


def panel(tmp_path: Path, sql: str) -> Path:
    folder = tmp_path / "panels"
    folder.mkdir(exist_ok=True)
    (folder / "mine.sql").write_text(sql)
    return folder


def test_a_file_is_a_panel(warehouse: Path, tmp_path: Path) -> None:
    folder = panel(
        tmp_path,
        "-- Totals <here>\n-- What they\n-- are.\nselect variation_id, unique_conversions,"
        " numerator as total_cents, mean as share, $metric_name as metric, true as is_it,"
        " date '2026-01-02' as first_date, null as none, $segment_value || $method as choice"
        " from experiment_results where experiment_id = $experiment_id"
        " and metric_name = $metric_name and segment_name = $segment_name order by 1",
    )
    build_site(warehouse, "main", tmp_path / "site", folder)
    text = (tmp_path / "site" / "experiment-1.html").read_text()
    section = text.partition('<section id="panel-mine"')[2].partition("</section>")[0]
    assert "<h2>Totals &lt;here&gt;</h2>" in section and "What they are." in section
    with duckdb.connect(warehouse, read_only=True) as connection:
        [row] = connection.execute(
            """
            select unique_conversions, numerator, mean from experiment_results
            where experiment_id = '1' and metric_name = 'purchase rate'
                and segment_name = 'all' and variation_id = '12'
            """
        ).fetchall()
    cells = [
        f"{row[0]:,}",
        f"{row[1] / 100:,.2f}",
        f"{row[2]:.1%}",
        "purchase rate",
        "yes",
        "2026-01-02",
        NOTHING,
        "allalways_valid",
    ]
    places = [section.index(f">{cell}<", section.index(">12<")) for cell in cells]
    assert places == sorted(places)


def test_the_page_prints_the_panel_that_is_there() -> None:
    shipped = (sql_panels.FOLDER / "novelty.sql").read_text()
    assert f"```sql\n{shipped}```" in (ROOT / "docs/report.md").read_text()


def test_the_exposure_names_what_is_read() -> None:
    [exposure] = yaml.safe_load((ROOT / "models/exposures.yml").read_text())["exposures"]
    assert exposure["depends_on"] == [f"ref('{model}')" for model in sorted(MODELS)]


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("select x from nowhere", "nowhere"),
        ("selec 1", "syntax error"),
        ("", "not one select"),
        ("select 1; select 2", "not one select"),
        ("create table x as select 1", "not one select"),
        ("select $nobody", "no parameter $nobody"),
        ("select 1 / 'x'::int", "Conversion Error"),
    ],
)
def test_a_wrong_panel_is_named(warehouse: Path, tmp_path: Path, sql: str, reason: str) -> None:
    with pytest.raises(LoaderError) as raised:
        build_site(warehouse, "main", tmp_path / "site", panel(tmp_path, sql))
    assert reason in str(raised.value)
    assert "mine.sql" in str(raised.value) and "mend the query" in str(raised.value)
    assert str(raised.value).isprintable()
    assert not (tmp_path / "site").exists()


def test_a_long_panel_is_cut(warehouse: Path, tmp_path: Path) -> None:
    most = sql_panels.MOST_ROWS
    for rows, words in ((most, f"<h3>{most} rows"), (most + 1, f"<h3>The first {most} rows")):
        folder = panel(tmp_path, f"select range as n from range({rows})")
        build_site(warehouse, "main", tmp_path / "site", folder)
        assert words in (tmp_path / "site" / "experiment-1.html").read_text()


def test_a_panel_without_rows_says_so(warehouse: Path, tmp_path: Path) -> None:
    build_site(warehouse, "main", tmp_path / "site", panel(tmp_path, "select 1 where false"))
    assert "No rows." in (tmp_path / "site" / "experiment-1.html").read_text()


def start(*arguments: str | Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "report", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
