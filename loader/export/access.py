"""How a store is reached, beyond its address."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Access:
    """What a user says of a store; None: as the cloud's own tools find it."""

    endpoint_url: str | None = None
    region: str | None = None
