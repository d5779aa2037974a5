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
    EVERYONE,
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


def to_address(experiment_id: str | None, view: View) -> None:
    """Makes the address ask for this."""
    query = {"experiment": experiment_id, **view.to_query()} if experiment_id else {}
    st.query_params.from_dict({name: [value] for name, value in query.items()})


def follow_experiment() -> None:
    """A reader chose an experiment, or the list."""
    to_address(st.session_state["experiment"] or None, View())


def follow_view(experiment_id: str) -> None:
    """A reader chose how an experiment is to be seen."""
    state = st.session_state
    name, value = state["segment"]
    metric, method = state["metric"] or None, state["method"] or None
    to_address(experiment_id, View(metric, name, value, state["counted_by"], method))


def select(key: str, label: str, names: dict[Any, str], chosen: Any, **follow: Any) -> None:
    """A selector of values by their names, which shows what the address says.

    A choice is followed by another address, and by that the page is drawn. To a selector None is no
    choice at all: where it is a value, it is an empty text here.
    """
    st.session_state[key] = chosen
    st.selectbox(label, list(names), format_func=names.__getitem__, key=key, **follow)


def segments_of(experiment: Experiment) -> dict[tuple[str, str], str]:
    """Names of the segments that it has results of."""
    pairs = [(result.segment_name, result.segment_value) for result in experiment.results]
    pairs = pairs or [(View().segment_name, View().segment_value)]
    return {pair: "Everyone" if pair[0] == EVERYONE else ": ".join(pair) for pair in pairs}


def possible(experiment: Experiment, view: View) -> View:
    """The view without what the experiment has not."""
    metric = view.metric if view.metric in experiment.metrics() else None
    segments = list(segments_of(experiment))
    segment = (view.segment_name, view.segment_value)
    name, value = segment if segment in segments else segments[0]
    return replace(view, metric=metric, segment_name=name, segment_value=value)


def draw_selectors(experiment: Experiment, view: View) -> None:
    """The selectors of an experiment."""
    follow = {"on_change": follow_view, "args": (experiment.headline.experiment_id,)}
    metrics = {"": "All metrics"} | {name: name for name in experiment.metrics()}
    methods = {"": "As decided"} | {name: page.METHODS[name].capitalize() for name in METHODS}
    ways = {way: way.replace("_", " ").capitalize() for way in COUNTED_BY}
    segment = (view.segment_name, view.segment_value)
    select("metric", "Metric", metrics, view.metric or "", **follow)
    select("segment", "Segment", segments_of(experiment), segment, **follow)
    select("counted_by", "Over time, count by", ways, view.counted_by, **follow)
    select("method", "Intervals and p-values", methods, view.method or "", **follow)


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
    names = {headline.experiment_id: headline.experiment_name for headline in headlines}
    if experiment_id is not None and experiment_id not in names:
        to_address(None, View())
        st.rerun()
    with st.sidebar:
        labels = {id_: f"{name or ''} {id_}".strip() for id_, name in names.items()}
        select(
            "experiment",
            "Experiment",
            {"": LIST} | labels,
            experiment_id or "",
            on_change=follow_experiment,
        )
    if chosen is None:
        pages = {id_: f"?{urlencode({'experiment': id_})}" for id_ in names}
        draw(page.draw_list(headlines, pages, states, read_at))
        return
    experiment, panels = chosen
    shown = possible(experiment, view)
    if shown != view:
        to_address(experiment_id, shown)
        st.rerun()
    with st.sidebar:
        draw_selectors(experiment, view)
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
