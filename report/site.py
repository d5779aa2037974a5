"""Writes the static site: a list of experiments and a page of each, in a folder.

Every file is whole at any instant: all are drawn beside their places first, and put there only
when the last one is done. What is in the folder and not ours is left alone.
"""

import fcntl
import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from report import page
from report.formatting import moment
from report.marts import open_marts, read_experiment, read_export_states, read_headlines
from report.sql_panels import FOLDER, read_panels
from report.view import View

LIST = "index.html"

MARK = b'<meta name="generator" content="optimizely-e3">'
"""Tells our files from others: a page of an experiment that is gone is deleted."""


def build_site(warehouse: Path, schema: str, out: Path, panels: Path = FOLDER) -> list[Path]:
    """Reads the marts, and writes the site.

    Args:
        warehouse: The DuckDB file that dbt built; a build that holds it is waited for.
        schema: Schema of the marts.
        out: Folder of the site; made where there is none.
        panels: Folder of the panels.

    Returns:
        The files, the list of experiments first.

    Raises:
        LoaderError: Nothing is built, or a panel is wrong; the site stays as it was.
        OSError: The folder cannot be written; the site stays as it was.
    """
    view = View()
    with open_marts(warehouse, schema) as marts:
        states = read_export_states(marts)
        experiments = [
            read_experiment(marts, headline, page.CHARTED_METRICS)
            for headline in read_headlines(marts)
        ]
        of_panels = [read_panels(marts, experiment, view, panels) for experiment in experiments]
        read_at = moment(marts.read_at)
    headlines = [experiment.headline for experiment in experiments]
    names = {headline.experiment_id: page_name(headline.experiment_id) for headline in headlines}
    with _take(out):
        drawn: dict[Path, Path] = {}
        try:
            for experiment, its_panels in zip(experiments, of_panels, strict=True):
                headline = experiment.headline
                body = page.draw_experiment(
                    experiment, states, its_panels, view, read_at, list_address=LIST
                )
                text = page.document(page.title_of(headline), body, ["page.js"])
                _draw(out / names[headline.experiment_id], text, drawn)
            body = page.draw_list(headlines, names, states, read_at, is_searchable=True)
            _draw(out / LIST, page.document("Experiments", body, ["list.js"]), drawn)
            for place, unfinished in drawn.items():
                unfinished.replace(place)
        finally:
            for unfinished in out.glob(".*.html.new"):  # also those of a build that was killed
                unfinished.unlink()
        _delete_others(out, drawn)
    return list(reversed(drawn))


@contextmanager
def _take(folder: Path) -> Iterator[None]:
    """Makes the folder, and keeps it from other builds, which wait; so a kill leaves no lock."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def page_name(experiment_id: str) -> str:
    """The file of an experiment's page; its id where every file system can call a file so."""
    if re.fullmatch(r"[a-z0-9_-]{1,64}", experiment_id):
        return f"experiment-{experiment_id}.html"
    return f"experiment.{hashlib.sha256(experiment_id.encode()).hexdigest()[:32]}.html"


def _draw(place: Path, text: str, drawn: dict[Path, Path]) -> None:
    unfinished = place.with_name(f".{place.name}.new")
    drawn[place] = unfinished
    unfinished.write_text(text, encoding="utf-8")


def _delete_others(out: Path, drawn: Mapping[Path, Path]) -> None:
    """Deletes the pages of experiments that are no longer there."""
    for path in out.glob("experiment*.html"):
        if path not in drawn:
            with path.open("rb") as file:
                is_ours = MARK in file.read(1000)
            if is_ours:
                path.unlink()
