"""How both commands start."""

import os
import signal
import sys
from importlib import import_module
from pathlib import Path


def start(commands: str, name: str) -> None:
    """Run the commands of the module `commands` under `name`, and exit 130 at Ctrl-C.

    The imports take half a second, in which Ctrl-C may come too. It is held back until they are
    done, for compiled modules print what they were doing when they are interrupted.
    """
    open_standard_streams()
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        run, app = import_module("loader.command_line").run, import_module(commands).app
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        run(app, name)
    except KeyboardInterrupt:
        sys.exit(130)


def open_standard_streams() -> None:
    """Opens the standard streams that the caller has closed.

    The warehouse would be the next file to get the number of one, and what a library prints as an
    error would be written into it.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stream = Path(os.devnull).open(mode)  # noqa: SIM115 - until the process ends
            os.set_inheritable(stream.fileno(), True)
            setattr(sys, name, stream)
