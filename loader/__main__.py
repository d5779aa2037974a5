"""The command `loader`, also as `python -m loader`."""

import sys


def main() -> None:
    """Entry point. Imports inside: they take half a second, in which Ctrl-C may come too."""
    try:
        from loader.cli import app
        from loader.command_line import run

        run(app, "loader")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
