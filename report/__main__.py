"""The command `report`, also as `python -m report`."""

from loader.starting import start


def main() -> None:
    """Entry point."""
    start("report.cli", "report")


if __name__ == "__main__":
    main()
