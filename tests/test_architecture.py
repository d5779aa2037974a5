"""docs/architecture.md: what it names is there, and what is there is named."""

import re
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGE = (DOCS / "architecture.md").read_text(encoding="utf-8")
[PICTURE] = re.findall(r"^```mermaid\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)

MODELS = {path.stem: path for path in (ROOT / "models").rglob("*.sql")}
MARTS = {path.stem for path in (ROOT / "models" / "marts").rglob("*.sql")}
MACROS = {
    name: body
    for path in (ROOT / "macros").rglob("*.sql")
    for name, body in re.findall(
        r"{%-? macro (\w+)\(.*?%}(.*?){%-? endmacro", path.read_text(encoding="utf-8"), re.DOTALL
    )
}


def read_by(sql: str) -> frozenset[str]:
    """What SQL reads: models and seeds by name, sources as `schema.table`; through macros too."""
    read: set[str] = set()
    called: set[str] = set()
    pending = [sql]
    while pending:
        text = pending.pop()
        read |= set(re.findall(r"ref\('(\w+)'\)", text))
        read |= {".".join(pair) for pair in re.findall(r"source\('(\w+)', '(\w+)'\)", text)}
        new = set(re.findall(r"optimizely_e3\.(\w+)", text)) & MACROS.keys() - called
        called |= new
        pending += [MACROS[name] for name in new]
    return frozenset(read)


@cache
def behind(model: str) -> frozenset[str]:
    """Everything that a model is computed from."""
    if model not in MODELS:
        return frozenset()
    read = read_by(MODELS[model].read_text(encoding="utf-8"))
    return read.union(*(behind(name) for name in read))


def arrows() -> list[tuple[str, str]]:
    """The arrows of the picture, from one name to another."""
    found = []
    for line in PICTURE.splitlines():
        places = [re.findall(r"\w+", place) for place in re.split(r"-->|-\. .*? \.->", line)]
        for sources, targets in pairwise(places):
            found += [(source, target) for source in sources for target in targets]
    return found


def folders() -> list[str]:
    """Every folder with a file of ours in it, two levels deep; marts and tests three."""
    found = set()
    for top in ("loader", "models", "macros", "report", "tests", "docs", "examples"):
        for path in (ROOT / top).rglob("*"):
            folder = path.parent.relative_to(ROOT)
            if path.is_file() and not {"__pycache__", "target", "logs"} & set(folder.parts):
                found.add("/".join(folder.parts[:3]))
    found |= {"seeds", "analyses", "benchmarks"}
    return sorted(
        found - {"tests", "examples/support_calls/models", "examples/support_calls/seeds"}
    )


LABELS = dict(re.findall(r'^\s*(?:subgraph )?(\w+)\[\(?"(.*?)"\)?\]$', PICTURE, flags=re.MULTILINE))
"""What is written in each box that has a text."""


def test_the_arrows_between_tables_are_true() -> None:
    tables = {
        name: label for name, label in LABELS.items() if label.startswith("optimizely_")
    } | dict.fromkeys(MODELS)
    held = 0
    for source, target in arrows():
        if target in MODELS and source in tables:
            wanted = tables[source] or source
            sources = {name for name in behind(target) if f"{name}.".startswith(f"{wanted}.")}
            assert sources, f"{target} is not computed from {wanted}"
            held += 1
    assert held > 15


def test_every_box_has_an_arrow() -> None:
    boxes = set(re.findall(r"^\s+(\w+)(?:$|\[)", PICTURE, flags=re.MULTILINE)) - {"end"}
    assert boxes == {name for arrow in arrows() for name in arrow}
    assert {name for name in boxes if name not in LABELS} <= MODELS.keys()


def test_a_table_stands_in_its_folder() -> None:
    boxes = re.findall(r'subgraph \w+\["(models/\S+):.*?"\]\n(.*?) +end', PICTURE, flags=re.DOTALL)
    assert len(boxes) == 5
    for folder, body in boxes:
        for name in body.split():
            assert MODELS[name].parent == ROOT / folder


def test_what_the_report_reads_is_what_it_is_said_to_read() -> None:
    read = (ROOT / "report" / "marts.py").read_text(encoding="utf-8")
    for source, target in arrows():
        if target == "show":
            assert re.search(rf"\bfrom {source}\b", read), source


def test_every_path_is_there() -> None:
    quoted = [word for label in LABELS.values() for word in re.split(r"<br/>|[\s:,]+", label)]
    quoted += re.findall(r"`([^`\n]+)`", PAGE)
    paths = {word for word in quoted if "/" in word}
    assert len(paths) > 30
    for path in paths:
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("folder", folders())
def test_every_folder_is_named(folder: str) -> None:
    assert f"`{folder}`" in PAGE or f"`{folder}/`" in PAGE


def test_every_mart_is_named() -> None:
    [table] = re.findall(r"^\| table \| one row per \|\n(.*?)\n\n", PAGE, flags=re.M | re.S)
    named = re.findall(r"`(\w+)`", re.sub(r"\|[^|]*\|\n", "|\n", table))
    assert set(named) >= MARTS
    assert {name for name in named if re.match("fct_|dim_|int_|stg_", name)} <= MODELS.keys()


def test_every_decision_is_linked_and_every_link_leads_somewhere() -> None:
    links = {link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", PAGE)}
    assert all((DOCS / link).exists() for link in links)
    decisions = {f"decisions/{path.name}" for path in (DOCS / "decisions").glob("*.md")}
    assert decisions <= links


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "docs/extending.md"])
def test_links_of_other_pages_lead_somewhere(page: str) -> None:
    path = ROOT / page
    for link in re.findall(r"\]\(([^)#:]+)", path.read_text(encoding="utf-8")):
        assert (path.parent / link).exists(), link


def test_the_readme_links_every_page() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [page.name for page in DOCS.glob("*.md") if f"](docs/{page.name})" not in readme] == []
