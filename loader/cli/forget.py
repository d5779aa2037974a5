"""`loader forget`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from loader.cli.options import Lake
from loader.cli.output import AsJson, number, print_json
from loader.command_line import DEFAULT_WAREHOUSE, Warehouse
from loader.errors import ExitCode, LoaderError, shown
from loader.forget import Receipt
from loader.forget import forget as forget_visitors
from loader.lake.forget import forget_in_lake
from loader.place import open_place


def forget(
    warehouse: Warehouse = DEFAULT_WAREHOUSE,
    lake: Lake = None,
    visitor_id: Annotated[
        list[str] | None,
        typer.Option(help="A visitor's id, as the export has it.", show_default=False),
    ] = None,
    from_file: Annotated[
        str | None,
        typer.Option(
            help="File with one id a line; - reads standard input, so that no id stands in the "
            "list of processes.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count the rows.")] = False,
    as_json: AsJson = False,
) -> None:
    """Erase visitors from every table and the file, and keep them out of later landings."""
    ids = [*(visitor_id or []), *(_read_ids(from_file) if from_file is not None else [])]
    with open_place(warehouse, lake, writes=not dry_run) as place:
        if place.lake is None:
            receipt = forget_visitors(warehouse, ids, dry_run=dry_run)
        else:
            receipt = forget_in_lake(place.lake, ids, dry_run=dry_run)
    if as_json:
        print_json(vars(receipt) | {"seconds": round(receipt.seconds, 3)})
    else:
        print(_text(receipt))


def _read_ids(place: str) -> list[str]:
    """One id a line; only the line's end and empty lines are left out: an id may hold spaces."""
    try:
        content = sys.stdin.buffer.read() if place == "-" else Path(place).read_bytes()
        lines = content.decode("utf-8-sig").replace("\r\n", "\n").split("\n")
    except (OSError, UnicodeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise LoaderError(
            f"cannot read --from-file {shown(place)} ({reason}): "
            "give a text file with one visitor id a line, or -",
            ExitCode.USAGE,
        ) from None
    return [line for line in lines if line]


def _text(receipt: Receipt) -> str:
    would = "would delete" if receipt.dry_run else "deleted"
    lines = [
        f"{would} {number(count)} rows of {table}"
        for table, count in receipt.rows_deleted.items()
        if count
    ]
    total = number(sum(receipt.rows_deleted.values()))
    if receipt.dry_run:
        return "\n".join(
            [*lines, f"would forget {receipt.visitors:,} visitors and delete {total} rows"]
        )
    emptied = ", a leftover spool was emptied" if receipt.spool_emptied else ""
    rewritten = "the database file" if receipt.database_rewritten else "their days' files"
    return "\n".join(
        [
            *lines,
            f"forgot {receipt.visitors:,} visitors: {total} rows deleted, {rewritten} "
            f"written anew{emptied}, in {receipt.seconds:.1f} s",
        ]
    )
