"""`loader check`."""

import typer

from loader.check import gravest, run_checks
from loader.cli.options import Lake, Source, with_source
from loader.cli.output import AsJson, print_json
from loader.command_line import DEFAULT_WAREHOUSE, Warehouse


@with_source
def check(
    source: Source,
    warehouse: Warehouse = DEFAULT_WAREHOUSE,
    lake: Lake = None,
    as_json: AsJson = False,
) -> None:
    """Check credentials, source, and warehouse or lake; each failure says what to do."""
    checks = run_checks(source.address, source.access, warehouse, lake)
    if as_json:
        print_json([{**vars(found), "exit_code": int(found.exit_code)} for found in checks])
    else:
        for found in checks:
            print(f"{found.status:<8} {found.name:<12} {found.message}")
    raise typer.Exit(gravest(checks))
