"""`python -m loader` is `loader`."""

from loader.cli import main

if __name__ == "__main__":
    main()
