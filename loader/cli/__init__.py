"""The command `loader`: each file here parses the options of one command and prints its answer."""

from loader.cli import auth, check, demo, ls, names, paths, pull, sample, status
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
    names.names,
    auth.auth,
    demo.demo,
):
    app.command()(command)
