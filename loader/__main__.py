"""The command `loader`, also as `python -m loader`."""

from loader.starting import start


def main() -> None:
    """Entry point."""
    start("loader.cli", "loader")


if __name__ == "__main__":
    main()
