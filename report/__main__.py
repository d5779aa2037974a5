"""The command `report`, also as `python -m report`."""

import sys


def main() -> None:
    """Entry point. Imports inside: they take half a second, in which Ctrl-C may come too."""
    try:
        from loader.command_line import run
        from report.cli import app

        run(app, "report")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
