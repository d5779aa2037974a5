"""The command `report`: parses options and prints."""

import importlib.util
import os
import socket
import sys
from itertools import groupby
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.measure import Measurement

from loader.command_line import DEFAULT_WAREHOUSE, Warehouse, new_app
from loader.errors import ExitCode, LoaderError, shown
from report.marts import open_marts, read_headlines, read_results
from report.terminal import draw_results

app = new_app("Shows what the marts say.")

Schema = Annotated[str, typer.Option(help="Schema of the marts.")]

EXTRA = ("altair", "great_tables", "jinja2", "pyarrow", "streamlit", "vl_convert")
"""What the extra [report] installs."""


@app.command()
def show(
    warehouse: Warehouse = DEFAULT_WAREHOUSE,
    schema: Schema = "main",
    experiment: Annotated[
        str | None, typer.Option(help="Only this experiment.", show_default=False)
    ] = None,
    metrics: Annotated[
        list[str] | None,
        typer.Option("--metric", help="Only metrics whose name contains this.", show_default=False),
    ] = None,
) -> None:
    """Print the experiment results as a table."""
    with open_marts(warehouse, schema) as marts:
        headlines = {of.experiment_id: of for of in read_headlines(marts, experiment)}
        found = read_results(marts, experiment, only_everyone=True)
    results = [
        (id_, result)
        for id_, result in found
        if not metrics or any(text.lower() in result.metric_name.lower() for text in metrics)
    ]
    tables = [
        draw_results(headlines[id_], [result for _, result in of_experiment])
        for id_, of_experiment in groupby(results, lambda pair: pair[0])
    ]
    # A number that is cut is a wrong number: rather a line longer than the terminal.
    console = Console(highlight=False)
    measured = Console(width=10_000)
    widths = [Measurement.get(measured, measured.options, table).maximum for table in tables]
    console.width = max(console.width, *widths, 0)
    for table in tables:
        console.print(table)
        console.print()
    if not results:
        if found:
            reason = "no metric has such a name; without --metric all are shown"
        elif headlines or not experiment:
            reason = "no event was attributed to a counted visitor"
        else:
            reason = f"{shown(experiment)} is no experiment; without --experiment all are shown"
        console.print(f"no results: {reason}", markup=False, soft_wrap=True)


@app.command()
def build(
    warehouse: Warehouse = DEFAULT_WAREHOUSE,
    schema: Schema = "main",
    out: Annotated[Path, typer.Option(help="Folder of the site.")] = Path("site"),
) -> None:
    """Write the results as web pages, which open from the folder without a server."""
    _need_the_extra()
    from report.site import build_site

    first, *pages = build_site(warehouse, schema, out)
    print(f"{len(pages)} pages and a list of them; open {first}")


@app.command()
def serve(
    warehouse: Warehouse = DEFAULT_WAREHOUSE,
    schema: Schema = "main",
    address: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 lets others look.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8501,
) -> None:
    """Show the same pages live, with selectors for metric, segment, counting and method."""
    _need_the_extra()
    with open_marts(warehouse, schema):
        pass  # What is not there is said here, and not in a browser.
    _try_to_listen(address, port)
    live = Path(__file__).with_name("live.py")
    options = {
        "server.address": address,
        "server.port": port,
        "server.headless": "true",
        "server.fileWatcherType": "none",
        "runner.magicEnabled": "false",
        "browser.gatherUsageStats": "false",
        "client.toolbarMode": "minimal",
        "client.showErrorDetails": "none",
    }
    flags = [f"--{name}={value}" for name, value in options.items()]
    sys.stdout.flush()
    os.execv(  # noqa: S606
        sys.executable,
        [sys.executable, "-m", "streamlit", "run", str(live), *flags, "--", str(warehouse), schema],
    )


def _try_to_listen(address: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        socket.create_server((address, port), family=family).close()
    except (OSError, TypeError, UnicodeError) as error:
        reason = (getattr(error, "strerror", None) or "it is no name").partition(" (")[0]
        raise LoaderError(
            f"cannot listen on port {port} of {shown(address)} ({reason}): "
            "give another --port or --address",
            ExitCode.USAGE,
        ) from error


def _need_the_extra() -> None:
    missing = [name for name in EXTRA if importlib.util.find_spec(name) is None]
    if missing:
        raise LoaderError(
            f"the pages need more packages ({', '.join(missing)}): "
            "pip install 'optimizely-e3[report]', or in a clone pip install -e '.[report]'",
            ExitCode.USAGE,
        )
