"""The command `report`, also as `python -m report`."""

import sys


def main() -> None:
    """Entry point. Imports inside: they take half a second, in which Ctrl-C may come too."""
    try:
        from loader.command_line import run
        from report.cli import app
    except KeyboardInterrupt:
        sys.exit(130)
    run(app, "report")


if __name__ == "__main__":
    main()
