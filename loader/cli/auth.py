"""`loader auth`."""

import shlex
from functools import partial

from loader.auth import read_settings
from loader.cli.options import Source, with_source
from loader.cli.output import AsJson, print_json


@partial(with_source, without=["endpoint_url"])
def auth(source: Source, as_json: AsJson = False) -> None:
    """Print temporary credentials, secrets too, for `eval "$(loader auth)"`."""
    settings = read_settings(source.source, source.access)
    if as_json:
        print_json(settings)
        return
    for name, value in settings.items():
        print(f"unset {name}" if value is None else f"export {name}={shlex.quote(value)}")
