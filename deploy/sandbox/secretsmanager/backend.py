"""One account's secrets in one region."""

import secrets
import string
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from moto.core.base_backend import BaseBackend
from moto.core.resource_tagging import TaggableResourcesMixin, TaggedResource

from deploy.sandbox.secretsmanager.secret import CURRENT, Secret, SecretError, Version

__all__ = ["SecretsManager"]

_NOT_FOUND = "Secrets Manager can't find the specified secret."
_DELETED = "You can't perform this operation on the secret because it was marked for deletion."
_DAY = 24 * 3600.0
_RECOVERY_DAYS = range(7, 31)
_TOKEN_LENGTHS = range(32, 65)

_FILTERS: dict[str, Callable[[Secret], Sequence[str]]] = {
    "name": lambda secret: [secret.name],
    "description": lambda secret: [secret.description],
    "tag-key": lambda secret: list(secret.tags),
    "tag-value": lambda secret: list(secret.tags.values()),
    "all": lambda secret: [secret.name, secret.description, *secret.tags, *secret.tags.values()],
}


class SecretsManager(BaseBackend, TaggableResourcesMixin):
    """Secrets by name, as AWS keeps them."""

    SERVICE_NAMESPACE = "secretsmanager"

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.secrets: dict[str, Secret] = {}

    @property
    def _url_module(self) -> Any:
        from deploy.sandbox.secretsmanager import urls  # noqa: PLC0415 - urls needs this module first

        return urls

    def create(self, params: Mapping[str, Any]) -> tuple[Secret, Version | None]:
        """CreateSecret; without a value, a secret without versions."""
        name, now = params["Name"], time.time()
        secret = self.secrets.get(name)
        if secret is not None and secret.deletion is not None:
            raise SecretError(
                "InvalidRequestException",
                "You can't create this secret because a secret with this name is already scheduled for deletion.",
            )
        if secret is not None:
            held = secret.versions.get(params.get("ClientRequestToken", ""))
            if held is not None and (held.string, held.binary) == _value(params):
                return secret, held
            raise SecretError(
                "ResourceExistsException", f"The operation failed because the secret {name} already exists."
            )
        suffix = "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(6))
        secret = Secret(
            arn=f"arn:{self.partition}:secretsmanager:{self.region_name}:{self.account_id}:secret:{name}-{suffix}",
            name=name,
            created=now,
            changed=now,
            description=params.get("Description", ""),
            kms_key_id=self._key(params.get("KmsKeyId")),
            tags=_tags(params),
        )
        version = self._put(secret, params, [CURRENT]) if any(_value(params)) else None
        self.secrets[name] = secret
        return secret, version

    def put(self, params: Mapping[str, Any]) -> tuple[Secret, Version]:
        """PutSecretValue."""
        if not any(_value(params)):
            raise SecretError(
                "InvalidRequestException", "You must provide either SecretString or SecretBinary."
            )
        secret = self.readable(params["SecretId"])
        return secret, self._put(secret, params, params.get("VersionStages") or [CURRENT])

    def update(self, params: Mapping[str, Any]) -> tuple[Secret, Version | None]:
        """UpdateSecret."""
        secret = self.readable(params["SecretId"])
        version = self._put(secret, params, [CURRENT]) if any(_value(params)) else None
        secret.description = params.get("Description", secret.description)
        if "KmsKeyId" in params:
            secret.kms_key_id = self._key(params["KmsKeyId"])
        secret.changed = time.time()
        return secret, version

    def delete(self, secret_id: str, days: int | None, *, force: bool) -> tuple[Secret, float]:
        """DeleteSecret: unreadable from now on, gone after the recovery window, or at once by force."""
        if days is not None and (force or days not in _RECOVERY_DAYS):
            raise SecretError(
                "InvalidParameterException",
                "The RecoveryWindowInDays value must be between 7 and 30 days (inclusive), and excludes "
                "ForceDeleteWithoutRecovery.",
            )
        secret = self.find(secret_id) if force else self.readable(secret_id)
        now = time.time()
        if force:
            del self.secrets[secret.name]
            return secret, now
        secret.deletion = now + (days or 30) * _DAY
        return secret, secret.deletion

    def restore(self, secret_id: str) -> Secret:
        """RestoreSecret."""
        secret = self.find(secret_id)
        secret.deletion = None
        return secret

    def age(self, secret_id: str, seconds: float) -> None:
        """Make all versions of a secret `seconds` older: the passing of time, for tests."""
        secret = self.find(secret_id)
        for held in secret.versions.values():
            secret.versions[held.version_id] = Version(
                held.version_id, held.created - seconds, held.string, held.binary
            )

    def find(self, secret_id: str) -> Secret:
        """Return a secret by name or ARN (also without its random end), deleted or not."""
        for secret in self.secrets.values():
            if secret_id in (secret.name, secret.arn, secret.arn[:-7]):
                return secret
        raise SecretError("ResourceNotFoundException", _NOT_FOUND)

    def readable(self, secret_id: str) -> Secret:
        """Return a secret that is not marked for deletion."""
        secret = self.find(secret_id)
        if secret.deletion is not None:
            raise SecretError("InvalidRequestException", _DELETED)
        return secret

    def matching(self, filters: Sequence[Mapping[str, Any]], *, deleted: bool) -> list[Secret]:
        """Return the secrets that pass every filter of ListSecrets."""
        found = [secret for secret in self.secrets.values() if deleted or secret.deletion is None]
        for given in filters:
            texts = _FILTERS.get(given["Key"])
            if texts is None:
                raise SecretError("ValidationException", f"Unknown filter key {given['Key']}.")
            found = [secret for secret in found if _passes(texts(secret), given["Values"])]
        return found

    def iter_tagged_resources(self) -> Iterator[TaggedResource]:
        """Yield every secret for the Resource Groups Tagging API."""
        for secret in self.secrets.values():
            yield TaggedResource(secret.arn, dict(secret.tags), "secretsmanager:secret")

    def tag_resource(self, arn: str, tags: dict[str, str]) -> None:
        """TagResource, here and in the Resource Groups Tagging API."""
        self.readable(arn).tags.update(tags)

    def untag_resource(self, arn: str, tag_keys: list[str]) -> None:
        """UntagResource, here and in the Resource Groups Tagging API."""
        tags = self.readable(arn).tags
        for key in tag_keys:
            tags.pop(key, None)

    def _key(self, named: str | None) -> str | None:
        """Return a KMS key as DescribeSecret tells it: a key as it was named, an alias by its ARN, AWS's own not."""
        alias = f"arn:{self.partition}:kms:{self.region_name}:{self.account_id}:{named}"
        key = alias if named and named.startswith("alias/") else named
        return None if not key or key.endswith(":alias/aws/secretsmanager") else key

    def _put(self, secret: Secret, params: Mapping[str, Any], stages: list[str]) -> Version:
        token = params.get("ClientRequestToken") or str(uuid.uuid4())
        if len(token) not in _TOKEN_LENGTHS:
            raise SecretError(
                "InvalidParameterException", "ClientRequestToken must be 32-64 characters long."
            )
        value, binary = _value(params)
        return secret.put(Version(token, time.time(), value, binary), stages)


def _value(params: Mapping[str, Any]) -> tuple[str | None, str | None]:
    return params.get("SecretString"), params.get("SecretBinary")


def _tags(params: Mapping[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag.get("Value", "") for tag in params.get("Tags") or ()}


def _passes(texts: Sequence[str], values: Sequence[str]) -> bool:
    # A value is a prefix; with an exclamation mark before it, one that must not match.
    wanted = [value for value in values if not value.startswith("!")]
    unwanted = [value[1:] for value in values if value.startswith("!")]
    if any(text.startswith(value) for text in texts for value in unwanted):
        return False
    return not wanted or any(text.startswith(value) for text in texts for value in wanted)
