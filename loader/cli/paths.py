"""`loader paths`."""

from loader.cli.options import (
    Events,
    Experiments,
    FirstDay,
    Source,
    Types,
    Until,
    selection,
    type_names,
    window,
    with_source,
)
from loader.cli.output import AsJson, print_json
from loader.command_line import errors
from loader.errors import shown
from loader.listing import list_days


@with_source
def paths(
    source: Source,
    since: FirstDay = None,
    until: Until = None,
    types: Types = None,
    experiments: Experiments = None,
    events: Events = None,
    as_json: AsJson = False,
) -> None:
    """Print the addresses of the files of the ready days.

    One a line, for other tools: `s3://` and so on, or an absolute path. Days that are not ready
    are told on standard error.
    """
    asked = window(since, until)
    wanted = selection(experiments, events)
    export = source.open()
    listed = []
    for day in list_days(export, type_names(types), asked, wanted):
        if not day.is_ready:
            errors.print(f"not ready: {day.export_type} of {day.export_date} has no _SUCCESS yet")
        elif as_json:
            listed.append(day)
        else:
            for file in day.files:
                print(shown(export.address(file)))
    if as_json:
        print_json(
            [
                {
                    "address": export.address(file),
                    "bytes": file.size,
                    "etag": file.etag,
                    "type": day.export_type,
                    "date": day.export_date,
                }
                for day in listed
                for file in day.files
            ]
        )
