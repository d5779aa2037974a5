"""Keys for S3: from boto3's chain or a profile, and of a role that these may assume."""

from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

import boto3
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError

from loader.credentials.lease import Grant, Lease
from loader.errors import ExitCode, LoaderError, shown
from loader.export.access import Access

DEFAULT_REGION = "us-east-1"
"""Where the vendor's bucket is."""

CHAIN_SECONDS = 600.0
"""How long keys that boto3 renews hold at least: it renews them ten minutes before they expire."""

ROLE_SECONDS = 3600
ROLE_SESSION = "optimizely-e3-loader"
THROTTLING_CODES = {"Throttling", "ThrottlingException", "RequestLimitExceeded"}


@dataclass(frozen=True)
class AwsKeys:
    """An access key, its secret, and the token of a session; the secrets are in no `repr`."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


def aws_lease(access: Access) -> tuple[Lease[AwsKeys], str | None]:
    """Keys as `access` says, tried once so that a bad set-up shows at the start; their region.

    The region is the one of the profile or of `AWS_DEFAULT_REGION`, None where neither says.

    Raises:
        LoaderError: credentials, where there are none, or they, or the role, are refused; usage,
            for an external id without a role; transient, where nobody answers.
    """
    if access.external_id and not access.role_arn:
        raise LoaderError("--external-id belongs to a role: give --role-arn, too", ExitCode.USAGE)
    chain = _Chain(access.aws_profile)
    origin = f"profile {shown(access.aws_profile)}" if access.aws_profile else "boto3's chain"
    if access.role_arn:
        role = _Role(chain, access)
        lease = Lease(
            role.ask,
            f"role {shown(access.role_arn)}, assumed with {origin}",
            "check --role-arn and what its policies allow",
        )
    else:
        lease = Lease(chain.ask, origin)
    lease.grant()
    return lease, chain.region


class _Chain:
    """boto3's chain: environment, profile, SSO, container, instance."""

    def __init__(self, profile: str | None):
        self._profile = profile
        self.session: Any = None

    @property
    def region(self) -> str | None:
        return str(self.session.region_name) if self.session.region_name else None

    def ask(self, is_fresh: bool) -> Grant[AwsKeys]:
        try:
            if self.session is None or is_fresh:
                self.session = boto3.Session(profile_name=self._profile)
            keys = self.session.get_credentials()
            if keys is None:
                raise LoaderError(
                    "no AWS credentials found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY,"
                    " or AWS_PROFILE, or OPTIMIZELY_API_TOKEN for the vendor's own bucket",
                    ExitCode.CREDENTIALS,
                )
            frozen = keys.get_frozen_credentials()
        # Settings that cannot be read, numbers and JSON, come as a ValueError.
        except (ClientError, BotoCoreError, ValueError) as error:
            raise self.explain(error) from error
        is_static = getattr(keys, "refresh_needed", None) is None
        return Grant(
            AwsKeys(frozen.access_key, frozen.secret_key, frozen.token),
            None if is_static else CHAIN_SECONDS,
        )

    def explain(self, error: Exception) -> LoaderError:
        """Its name only: the text of a BotoCoreError may quote what a process printed."""
        profile = self._profile
        if profile is None:
            profile = (self.session and self.session.profile_name) or "default"
        if isinstance(error, HTTPClientError | BotoConnectionError) or _is_passing(error):
            return LoaderError(
                f"the AWS credentials cannot be renewed ({type(error).__name__}):"
                " check the network, then try again",
                ExitCode.TRANSIENT,
            )
        if isinstance(error, SSOError | TokenRetrievalError | UnauthorizedSSOTokenError):
            return LoaderError(
                f"the AWS sign-in has expired ({type(error).__name__}):"
                f" run `aws sso login --profile {shown(profile)}`",
                ExitCode.CREDENTIALS,
            )
        if isinstance(error, ProfileNotFound):
            return LoaderError(
                f"there is no AWS profile '{shown(profile)}' (ProfileNotFound):"
                " check --aws-profile or AWS_PROFILE",
                ExitCode.CREDENTIALS,
            )
        return LoaderError(
            f"the AWS credentials cannot be used ({_name_of(error)}): check AWS_PROFILE and the"
            " profile's settings, or sign in again with"
            f" `aws sso login --profile {shown(profile)}`",
            ExitCode.CREDENTIALS,
        )


class _Role:
    """A role, of another account too, that the chain's keys may assume."""

    def __init__(self, chain: _Chain, access: Access):
        self._chain = chain
        self._region = access.region
        self._request = {
            "RoleArn": access.role_arn,
            "RoleSessionName": ROLE_SESSION,
            "DurationSeconds": ROLE_SECONDS,
        }
        if access.external_id:
            self._request["ExternalId"] = access.external_id

    def ask(self, is_fresh: bool) -> Grant[AwsKeys]:
        self._chain.ask(is_fresh)
        try:
            region = self._region or self._chain.region or DEFAULT_REGION
            sts = self._chain.session.client("sts", region_name=region)
            answer = sts.assume_role(**self._request)
        except ClientError as error:
            if _is_passing(error):
                raise self._chain.explain(error) from error
            raise LoaderError(
                f"the role cannot be assumed ({_name_of(error)}): check --role-arn and"
                " --external-id, and that the role trusts these credentials",
                ExitCode.CREDENTIALS,
            ) from error
        except BotoCoreError as error:
            if isinstance(error, HTTPClientError | BotoConnectionError):
                raise self._chain.explain(error) from error
            raise LoaderError(
                f"the role cannot be assumed ({type(error).__name__}): check --role-arn,"
                " which is arn:aws:iam::<account>:role/<name>, and --external-id",
                ExitCode.USAGE,
            ) from error
        except ValueError as error:
            raise self._chain.explain(error) from error
        keys = answer["Credentials"]
        expires_at: datetime = keys["Expiration"]
        answered = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        lifetime = float(ROLE_SECONDS)
        if answered:
            seconds = expires_at.timestamp() - parsedate_to_datetime(answered).timestamp()
            lifetime = min(lifetime, seconds)
        return Grant(
            AwsKeys(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"]),
            lifetime,
            expiration=int(expires_at.timestamp() * 1000),
        )


def _is_passing(error: Exception) -> bool:
    if not isinstance(error, ClientError):
        return False
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return status >= 500 or _name_of(error) in THROTTLING_CODES


def _name_of(error: Exception) -> str:
    if isinstance(error, ClientError):
        return shown(str(error.response.get("Error", {}).get("Code", "refused")))
    return type(error).__name__
