"""How both commands start."""

import signal
import sys
from importlib import import_module


def start(commands: str, name: str) -> None:
    """Run the commands of the module `commands` under `name`, and exit 130 at Ctrl-C.

    The imports take half a second, in which Ctrl-C may come too. It is held back until they are
    done, for compiled modules print what they were doing when they are interrupted.
    """
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        run, app = import_module("loader.command_line").run, import_module(commands).app
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        run(app, name)
    except KeyboardInterrupt:
        sys.exit(130)
