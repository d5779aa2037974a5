"""Options that more than one command has."""

import inspect
from collections.abc import Callable, Collection
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import wraps
from typing import Annotated, Any

import typer

from loader import spec
from loader.errors import ExitCode, LoaderError
from loader.export.access import Access
from loader.export.layout import Export, open_export
from loader.export.selection import Selection
from loader.plan import Window
from loader.timespan import parse_day, today_utc


class ExportType(StrEnum):
    """Types of the export, as in `type=<name>/`."""

    DECISIONS = spec.DECISIONS.export_type
    EVENTS = spec.CONVERSIONS.export_type


Lake = Annotated[
    str | None,
    typer.Option(
        envvar="OPTIMIZELY_E3_LAKE",
        help="A folder, s3://bucket/prefix or gs://bucket/prefix to keep the rows in as Parquet, "
        "for Spark too; then --warehouse is not used.",
        show_default=False,
    ),
]
Since = Annotated[
    str | None,
    typer.Option(
        help="First day: a date, `yesterday`, or an age such as 7d, in UTC. "
        "Default: three days before the newest landed day; everything the first time.",
        show_default=False,
    ),
]
FirstDay = Annotated[
    str | None,
    typer.Option(
        "--since",
        help="First day: a date, `yesterday`, or an age such as 7d, in UTC.",
        show_default=False,
    ),
]
Until = Annotated[
    str | None, typer.Option(help="Last day, likewise, inclusive.", show_default=False)
]
Types = Annotated[
    list[ExportType] | None,
    typer.Option("--type", help="Only this type; both by default.", show_default=False),
]

Experiments = Annotated[
    list[str] | None,
    typer.Option(
        "--experiment",
        help="Of decisions only this experiment's, by its id; may be repeated.",
        show_default=False,
    ),
]
Events = Annotated[
    list[str] | None,
    typer.Option(
        "--event",
        help="Of conversions only this event's, by its name; may be repeated.",
        show_default=False,
    ),
]


@dataclass(frozen=True)
class Source:
    """Where the export is and how it is reached: the options of every command that looks there."""

    source: Annotated[
        str | None,
        typer.Option(
            envvar="OPTIMIZELY_E3_SOURCE",
            help="Where the export is: s3://bucket/prefix, gs://bucket, a folder, or the number "
            "of an account (a folder of that name is ./12345).",
            show_default=False,
        ),
    ] = None
    endpoint_url: Annotated[
        str | None,
        typer.Option(
            help="Address of another store that speaks the API of S3 or of Google.",
            show_default=False,
        ),
    ] = None
    region: Annotated[
        str | None,
        typer.Option(
            help="Region of the bucket; by default AWS_REGION, the profile's, or us-east-1.",
            show_default=False,
        ),
    ] = None
    aws_profile: Annotated[
        str | None,
        typer.Option(help="Profile of the AWS settings, for S3.", show_default=False),
    ] = None
    role_arn: Annotated[
        str | None,
        typer.Option(help="Role to assume, of another account too.", show_default=False),
    ] = None
    external_id: Annotated[
        str | None,
        typer.Option(help="External id that the role asks for.", show_default=False),
    ] = None

    @property
    def is_given(self) -> bool:
        """Whether there is a source to look at."""
        return bool(self.source)

    @property
    def access(self) -> Access:
        """How the source is reached."""
        return Access(
            self.endpoint_url, self.region, self.aws_profile, self.role_arn, self.external_id
        )

    @property
    def address(self) -> str:
        """The source; a LoaderError (usage) where none was given."""
        if not self.source:
            raise LoaderError(
                "no source: give --source or set OPTIMIZELY_E3_SOURCE "
                "(`loader demo` writes one to try with)",
                ExitCode.USAGE,
            )
        return self.source

    def open(self) -> Export:
        """Opens the export; a LoaderError (usage) where no source was given."""
        return open_export(self.address, self.access)


def with_source(command: Callable[..., None], without: Collection[str] = ()) -> Callable[..., None]:
    """Gives a command the options of `Source`, and hands them to it as its parameter `source`.

    Args:
        command: The function of the command.
        without: Fields of `Source` that mean nothing to it.
    """
    own = inspect.signature(command, eval_str=True).parameters
    names = [field.name for field in fields(Source) if field.name not in without]

    @wraps(command)
    def run(**arguments: Any) -> None:
        given = {name: arguments.pop(name) for name in names}
        command(source=Source(**given), **arguments)

    options = inspect.signature(Source, eval_str=True).parameters
    parameters = [options[name].replace(kind=inspect.Parameter.KEYWORD_ONLY) for name in names]
    parameters += [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for name, parameter in own.items()
        if name != "source"
    ]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def window(since: str | None, until: str | None) -> Window:
    """The days that --since and --until name."""
    today = today_utc()
    asked = Window(
        parse_day(since, "--since", today) if since is not None else None,
        parse_day(until, "--until", today) if until is not None else None,
    )
    if asked.since and asked.until and asked.since > asked.until:
        raise LoaderError(
            f"--since {asked.since} is after --until {asked.until}: exchange them",
            ExitCode.USAGE,
        )
    return asked


def selection(experiments: list[str] | None, events: list[str] | None) -> Selection:
    """What --experiment and --event name; everything without them."""
    for option, names in (("--experiment", experiments), ("--event", events)):
        if "" in (names or []):  # a variable of a script that is not set would ask for nothing
            raise LoaderError(
                f"{option} '' is no name: give one, or __HIVE_DEFAULT_PARTITION__ for rows "
                "without one",
                ExitCode.USAGE,
            )
    return Selection(frozenset(experiments or []), frozenset(events or []))


def type_names(types: list[ExportType] | None) -> list[str]:
    """The types asked for, each once; all by default."""
    return [str(export_type) for export_type in dict.fromkeys(types or ExportType)]
