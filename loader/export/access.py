"""How a store is reached, beyond its address."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Access:
    """What a user says of a store; None: as the cloud's own tools find it.

    A profile or a role is for S3 only, and goes before the token API.
    """

    endpoint_url: str | None = None
    region: str | None = None
    aws_profile: str | None = None
    role_arn: str | None = None
    external_id: str | None = None
