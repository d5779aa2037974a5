"""Ctrl-C while days are landed: the first finishes what is being landed, a second stops at once."""

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from loader.errors import INTERRUPTED_TEXT, ExitCode

log = logging.getLogger(__name__)


@contextmanager
def finishing_first() -> Iterator[Callable[[], bool]]:
    """Holds back the first Ctrl-C; gives a function that tells whether it came.

    The second one ends the process where it is, as a kill would: what is committed stays, what is
    not is gone, and the next pull removes the spool. Outside of the main thread, where signals do
    not come, nothing is held back.
    """
    has_come = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield has_come.is_set
        return

    def handle(_number: int, _frame: FrameType | None) -> None:
        if has_come.is_set():
            # Not by an exception: the transaction and the downloads in hand would be waited for.
            os.write(2, INTERRUPTED_TEXT.encode() + b"\n")
            os._exit(ExitCode.INTERRUPTED)
        has_come.set()
        log.info("finishing what is being landed; Ctrl-C again stops at once")

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield has_come.is_set
    finally:
        signal.signal(signal.SIGINT, before)
