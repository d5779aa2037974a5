"""Credentials that are held for a while and renewed in time."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from loader.errors import ExitCode, LoaderError

Keys = TypeVar("Keys")

MARGIN_SECONDS = 300.0
"""Keys are renewed this long before they expire: a request may be tried again for two minutes."""

PATIENCE_SECONDS = 10.0
"""How long keys that still hold are used before a renewal that failed is tried again."""


@dataclass(frozen=True)
class Grant(Generic[Keys]):
    """What some source of credentials gave."""

    keys: Keys = field(repr=False)
    lifetime: float | None = None
    """Seconds, from when they were asked for; None: they do not expire."""
    base: str | None = None
    """The address below which they may read, where the source says it."""
    expiration: int | None = None
    """Milliseconds since 1970, by the source's own clock; None: not said."""


class Lease(Generic[Keys]):
    """The credentials of one store, asked for when first needed. Safe for many threads.

    Time is measured with a clock that nobody sets: the wall clock may be hours off.
    """

    def __init__(self, ask: Callable[[bool], Grant[Keys]], origin: str, remedy: str | None = None):
        """`ask` gives a grant; called with True it must look everything up anew.

        `origin` says where the credentials come from, `remedy` what to do when the store rejects
        them (None: that depends on the store's answer). Both are shown to users.
        """
        self._ask = ask
        self._lock = threading.Lock()
        self._grant: Grant[Keys] | None = None
        self._renew_at = self._expires_at = 0.0
        self.origin = origin
        self.remedy = remedy
        self.failure: Exception | None = None
        """Why the last attempt to get credentials failed; None: it did not."""

    def grant(self) -> Grant[Keys]:
        """A grant that holds for a while yet. Raises what `ask` raises."""
        with self._lock:
            now = time.monotonic()
            if self._grant is None or now >= self._renew_at:
                try:
                    return self._take(is_fresh=False)
                except LoaderError as error:
                    still_holds = self._grant is not None and now < self._expires_at
                    if not still_holds or error.exit_code != ExitCode.TRANSIENT:
                        raise
                    self._renew_at = now + PATIENCE_SECONDS
            assert self._grant is not None
            return self._grant

    def replace(self, rejected: Keys) -> bool:
        """Ask anew after the store rejected these keys; False: there are no others.

        Of many threads whose keys were rejected, one asks. Raises what `ask` raises.
        """
        with self._lock:
            if self._grant is None or self._grant.keys == rejected:
                self._take(is_fresh=True)
            assert self._grant is not None
            return self._grant.keys != rejected

    def _take(self, *, is_fresh: bool) -> Grant[Keys]:
        asked_at = time.monotonic()
        try:
            grant = self._ask(is_fresh)
        except Exception as error:
            self.failure = error
            raise
        self.failure = None
        lifetime = float("inf") if grant.lifetime is None else max(grant.lifetime, 0.0)
        self._expires_at = asked_at + lifetime
        self._renew_at = self._expires_at - min(MARGIN_SECONDS, lifetime / 2)
        self._grant = grant
        return grant
