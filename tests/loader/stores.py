"""What the tests of more than one store ask of it."""

import unicodedata

from loader.errors import ExitCode, LoaderError

AWKWARD_NAMES = [
    "a b",
    "semi;colon",
    "a%2Fb",
    "100%",
    "%zz",
    "é" + unicodedata.normalize("NFD", "é") + unicodedata.normalize("NFC", "é"),
    "p+lus",
    "am&per",
    "(par)",
    "~tilde",
    "😀",
    "st*r?",
    "[br]",
    "h#ash#1",
    "back\\slash",
    "co:lon",
    "'quote\"",
    "x" * 246,
]
"""Of files, which every store must take as they are."""


def check_error(error: LoaderError, exit_code: ExitCode, *texts: str) -> None:
    """One line, with this exit code and these texts."""
    message = str(error)
    assert error.exit_code == exit_code
    assert message.isprintable()  # so it is one line
    for text in texts:
        assert text in message
