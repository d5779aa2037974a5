"""The command `loader`: each file here parses the options of one command and prints its answer."""

from loader.cli import (
    auth,
    check,
    demo,
    forget,
    history,
    ls,
    names,
    paths,
    prune,
    pull,
    sample,
    status,
    verify,
)
from loader.command_line import new_app

__all__ = ["app"]

app = new_app("Lands Optimizely's Enriched Events Export in a warehouse.")
for command in (
    pull.pull,
    check.check,
    ls.ls,
    paths.paths,
    sample.sample,
    status.status,
    history.history,
    verify.verify,
    forget.forget,
    prune.prune,
    names.names,
    auth.auth,
    demo.demo,
):
    app.command()(command)
