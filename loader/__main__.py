"""The command `loader`, also as `python -m loader`."""

import sys


def main() -> None:
    """Entry point. Imports inside: they take half a second, in which Ctrl-C may come too."""
    try:
        from loader.cli import app
        from loader.command_line import run
    except KeyboardInterrupt:
        sys.exit(130)
    run(app, "loader")


if __name__ == "__main__":
    main()
