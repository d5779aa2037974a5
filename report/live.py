"""The live page: what the static site shows, drawn by the same functions, with selectors.

Streamlit runs this file anew at each choice of a reader. `report serve` starts it.
"""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

import streamlit as st
from markupsafe import Markup

from loader.errors import ExitCode, LoaderError
from report import page
from report.formatting import moment
from report.marts import (
    COUNTED_BY,
    METHODS,
    Experiment,
    ExportState,
    Headline,
    open_marts,
    read_days,
    read_experiment,
    read_export_states,
    read_headlines,
)
from report.sql_panels import Panel, read_panels
from report.view import View

Page = tuple[Experiment, list[Panel]]
# How far the export is landed, the experiments, the chosen one, and when all that was read.
Shown = tuple[list[ExportState], list[Headline], Page | None, str]

LIST = "All experiments"
BUSY_SECONDS = 3
MOST_KEPT = 50
"""Pages that are kept for the time of a build: addresses are what anybody types."""


@st.cache_resource
def last_good() -> dict[tuple[str | None, View], Shown]:
    """What was read of each page last: it stays while a build holds the warehouse."""
    return {}


def read(warehouse: Path, schema: str, experiment_id: str | None, view: View) -> Shown:
    """Reads what a page shows, and closes the warehouse."""
    with open_marts(warehouse, schema, waits=False) as marts:
        headlines = read_headlines(marts)
        chosen = None
        for headline in headlines:
            if headline.experiment_id == experiment_id:
                experiment = read_experiment(marts, headline, page.CHARTED_METRICS)
                if view.metric:
                    days = read_days(marts, headline.experiment_id, [view.metric])
                    experiment = replace(experiment, days=days)
                chosen = (experiment, read_panels(marts, experiment, view))
        return read_export_states(marts), headlines, chosen, moment(marts.read_at)


def choose(experiment: Experiment, view: View) -> View:
    """The selectors of an experiment; what is chosen becomes the address."""
    metrics = [None, *experiment.metrics()]
    segments = list(
        dict.fromkeys((result.segment_name, result.segment_value) for result in experiment.results)
    ) or [(view.segment_name, view.segment_value)]
    segment = (view.segment_name, view.segment_value)
    methods = [None, *METHODS]
    with st.sidebar:
        metric = st.selectbox(
            "Metric",
            metrics,
            metrics.index(view.metric) if view.metric in metrics else 0,
            format_func=lambda name: name or "All metrics",
        )
        segment_name, segment_value = st.selectbox(
            "Segment",
            segments,
            segments.index(segment) if segment in segments else 0,
            format_func=lambda pair: "Everyone" if pair[0] == "all" else ": ".join(pair),
        )
        counted_by = st.selectbox(
            "Over time, count by",
            COUNTED_BY,
            COUNTED_BY.index(view.counted_by),
            format_func=lambda name: name.replace("_", " ").capitalize(),
        )
        method = st.selectbox(
            "Intervals and p-values",
            methods,
            methods.index(view.method),
            format_func=lambda name: page.METHODS[name].capitalize() if name else "As decided",
        )
    return View(metric, segment_name, segment_value, counted_by, method)


def main(warehouse: Path, schema: str) -> None:
    """Draws the page that the address asks for."""
    st.set_page_config(page_title="Experiments", layout="wide")
    query = st.query_params.to_dict()
    experiment_id, view = query.get("experiment"), View.from_query(query)
    key = (experiment_id, view)
    try:
        found = read(warehouse, schema, experiment_id, view)
        last_good().pop(key, None)
        last_good()[key] = found
        while len(last_good()) > MOST_KEPT:
            last_good().pop(next(iter(last_good())))
    except LoaderError as error:
        if key not in last_good():
            st.error(str(error))
            if error.exit_code == ExitCode.DATABASE_IN_USE:
                again()
            return
        st.info(f"Showing the last numbers: {error}")
    states, headlines, chosen, read_at = last_good()[key]
    ids = [None, *(headline.experiment_id for headline in headlines)]
    names = {headline.experiment_id: headline.experiment_name for headline in headlines}
    with st.sidebar:
        picked = st.selectbox(
            "Experiment",
            ids,
            ids.index(experiment_id) if experiment_id in ids else 0,
            format_func=lambda id_: f"{names[id_] or ''} {id_}".strip() if id_ else LIST,
        )
    if picked != experiment_id:
        st.query_params.from_dict({"experiment": picked} if picked else {})
        st.rerun()
    if chosen is None:
        pages = {id_: f"?{urlencode({'experiment': id_})}" for id_ in names}
        draw(page.draw_list(headlines, pages, states, read_at))
        return
    experiment, panels = chosen
    wanted = choose(experiment, view)
    if wanted != view:
        st.query_params.from_dict(
            {"experiment": [experiment.headline.experiment_id]}
            | {name: [value] for name, value in wanted.to_query().items()}
        )
        st.rerun()
    draw(page.draw_experiment(experiment, states, panels, view, read_at))


PLACE = """
export default ({ data, parentElement }) => {
  const place = parentElement.querySelector(".place");
  if (place.drawn === data) return; // what the reader has unfolded stays so
  place.drawn = data;
  place.innerHTML = data;
};
"""


@st.cache_resource
def place() -> Callable[..., Any]:
    """Where a fragment goes. `st.html` would take the charts out of it."""
    component = st.components.v2.component(
        "page",
        html='<div class="place"></div>',
        css=page.style(),
        js=PLACE,
        isolate_styles=False,
    )
    return cast(Callable[..., Any], component)


def draw(body: Markup) -> None:
    """Puts a fragment into the page; what is from outside is escaped in it already."""
    place()(data=str(body), key="page")


@st.fragment(run_every=BUSY_SECONDS)
def again() -> None:
    """Tries again, while a build holds the warehouse."""
    if st.session_state.setdefault("is_waiting", False):
        st.session_state["is_waiting"] = False
        st.rerun()
    st.session_state["is_waiting"] = True


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
