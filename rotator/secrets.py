"""Secrets Manager: a user's secret, its versions and its three staging labels.

The SecretString is the JSON of AWS's own ElastiCache rotation (`username`, `password`, `user_arn`), with one more key,
`valkeeper`, that makes a version part of the journal.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import SecretStr

from discovery.aws import Session
from discovery.errors import AwsError, ConflictError, NotFoundError, PermanentError
from discovery.model import User, UserKey
from rotator.attributes import Amendment, Attributes, amendment, attributes_of
from rotator.observation import Secret, Version, retired_before, version_token

__all__ = ["Vault", "secret_name"]

_SERVICE = "secretsmanager"
_MARK = "valkeeper"


def secret_name(prefix: str, key: UserKey) -> str:
    """The name of a user's secret, in the user's own account and region."""
    return f"{prefix}{key}"


@dataclass(frozen=True, slots=True)
class _Described:
    arn: str
    labels: dict[str, str]  # staging label → version id
    attributes: Attributes
    deleted: bool


class Vault:
    """The secrets of one account and region.

    Versions never change, so each is fetched once and kept while it carries a label.
    """

    def __init__(self, session: Session, *, prefix: str, kms_key_id: str | None = None) -> None:
        self._session = session
        self._prefix = prefix
        self._kms_key_id = kms_key_id
        self._versions: dict[str, dict[str, Version]] = {}  # secret ARN → version id → version

    async def read(self, key: UserKey) -> Secret | None:
        """A user's secret as it is now; None where there is none.

        Raises:
            ConflictError: the labels moved while they were being read.
            AwsError: as `Session.call`.
        """
        described = await self._describe(key)
        if described is None:
            return None
        if described.deleted:
            return Secret(described.arn, deleted=True)
        known = self._versions.get(described.arn, {})
        fresh: dict[str, Version] = {}
        for version_id in set(described.labels.values()):
            fresh[version_id] = known.get(version_id) or await self._fetch(described.arn, version_id)
        self._versions[described.arn] = fresh
        at = {label: fresh[version_id] for label, version_id in described.labels.items()}
        return Secret(
            described.arn,
            at.get("AWSCURRENT"),
            at.get("AWSPREVIOUS"),
            at.get("AWSPENDING"),
            attributes=described.attributes,
        )

    async def unchanged(self, key: UserKey, secret: Secret) -> bool:
        """Whether the labels still are where they were seen: asked right before and after a change of the user."""
        described = await self._describe(key)
        seen = {
            label: version.id
            for label, version in (
                ("AWSCURRENT", secret.current),
                ("AWSPREVIOUS", secret.previous),
                ("AWSPENDING", secret.pending),
            )
            if version is not None
        }
        return described is not None and not described.deleted and described.labels == seen

    async def made(self, secret: Secret) -> tuple[datetime, ...]:
        """When each version was made that Secrets Manager still has, those without labels too."""
        found: list[datetime] = []
        more: dict[str, str] = {}
        while True:  # botocore has no paginator for it
            page = await self._session.call(
                _SERVICE, "list_secret_version_ids", SecretId=secret.arn, IncludeDeprecated=True, **more
            )
            found.extend(version["CreatedDate"] for version in page.get("Versions", ()))
            if not page.get("NextToken"):
                return tuple(found)
            more = {"NextToken": page["NextToken"]}

    async def seed(self, user: User, *, create: bool) -> None:
        """Make the secret, and a first version that says whose it is and holds no password.

        The first version's token and value are the same for every instance, so that rivals write the same.

        Raises:
            ConflictError: somebody else did it at the same time.
        """
        name = secret_name(self._prefix, user.key)
        if create:
            wanted = attributes_of(user, self._kms_key_id)
            await self._session.mutate(
                _SERVICE,
                "create_secret",
                Name=name,
                Description=wanted.description,
                Tags=_tag_list(wanted.tags.items()),
                **({"KmsKeyId": wanted.kms_key_id} if wanted.kms_key_id else {}),
            )
        described = await self._describe(user.key)
        if described is None or described.labels:
            raise ConflictError(
                f"secret {name} is no longer as it was seen",
                operation=f"{_SERVICE}:DescribeSecret",
                code="Changed",
            )
        await self._put(
            described.arn,
            version_token(Secret(described.arn)),
            _encode(user, None, succeeds=None, retire=False),
            "AWSCURRENT",
        )

    async def stage(
        self, user: User, secret: Secret, password: SecretStr, *, token: str, succeeds: str, retire: bool
    ) -> None:
        """Put a new version as AWSPENDING. Moves no other label.

        Where the version of this token exists already and no label moved since, somebody has taken AWSPENDING off it by
        hand: it is labelled again, with the password that it has, for no other value can ever be put under its token.

        Raises:
            ConflictError: another instance staged first, under the same token.
        """
        value = _encode(user, password, succeeds=succeeds, retire=retire, retired=retired_before(secret))
        try:
            await self._put(secret.arn, token, value, "AWSPENDING")
        except ConflictError:
            if not await self.unchanged(user.key, secret):
                raise
            await self._move("AWSPENDING", secret, to=token, held_by=secret.pending)

    async def promote(self, secret: Secret, version: Version, current: Version) -> None:
        """Move AWSCURRENT; AWSPREVIOUS follows it by itself.

        Raises:
            ConflictError: AWSCURRENT is no longer on `current`.
        """
        await self._move("AWSCURRENT", secret, to=version.id, held_by=current)

    async def _move(self, label: str, secret: Secret, *, to: str, held_by: Version | None) -> None:
        """Move a label if it still is where it was seen: a compare-and-set."""
        seen = {"RemoveFromVersionId": held_by.id} if held_by is not None else {}
        try:
            await self._session.mutate(
                _SERVICE,
                "update_secret_version_stage",
                SecretId=secret.arn,
                VersionStage=label,
                MoveToVersionId=to,
                **seen,
            )
        except PermanentError as error:
            # With ResourceNotFoundException the version is gone: then its token is free again.
            if error.code not in {
                "InvalidParameterException",
                "InvalidRequestException",
                "ResourceNotFoundException",
            }:
                raise
            raise ConflictError(str(error), operation=error.operation, code=error.code) from None

    def amendment(self, user: User, secret: Secret) -> Amendment | None:
        """What of a secret's KMS key, description and tags has to be set; None: nothing."""
        return amendment(attributes_of(user, self._kms_key_id), secret.attributes)

    async def amend(self, secret: Secret, changes: Amendment) -> None:
        """Set these attributes. No version is made; AWS encrypts the labelled ones anew where the key changes.

        Raises:
            AwsError: as `Session.mutate`. The tags and the rest are set apart, and one's failure keeps no other back.
        """
        failure: AwsError | None = None
        if changes.tags:
            try:
                await self._session.mutate(
                    _SERVICE, "tag_resource", SecretId=secret.arn, Tags=_tag_list(changes.tags)
                )
            except AwsError as error:
                failure = error
        told = {"KmsKeyId": changes.kms_key_id, "Description": changes.description}
        wanted = {name: value for name, value in told.items() if value is not None}
        if wanted:
            await self._session.mutate(_SERVICE, "update_secret", SecretId=secret.arn, **wanted)
        if failure is not None:
            raise failure

    async def names(self) -> set[str]:
        """The names of all secrets under the prefix: whoever has one was managed once.

        Eventually consistent, as AWS documents ListSecrets: good for finding, not for deciding.
        """
        found = await self._session.pages(
            _SERVICE,
            "list_secrets",
            "SecretList",
            Filters=[{"Key": "name", "Values": [self._prefix]}],
            PaginationConfig={"PageSize": 100},
        )
        return {item["Name"] for item in found}

    def is_named(self, key: UserKey, names: set[str]) -> bool:
        """Whether a user's secret is among the names."""
        return secret_name(self._prefix, key) in names

    async def _describe(self, key: UserKey) -> _Described | None:
        try:
            answer = await self._session.call(
                _SERVICE, "describe_secret", SecretId=secret_name(self._prefix, key)
            )
        except NotFoundError:
            return None
        labels = {
            label: version_id
            for version_id, stages in answer.get("VersionIdsToStages", {}).items()
            for label in stages
            if label in {"AWSCURRENT", "AWSPREVIOUS", "AWSPENDING"}
        }
        attributes = Attributes(
            answer.get("KmsKeyId"),
            answer.get("Description", ""),
            {tag["Key"]: tag.get("Value", "") for tag in answer.get("Tags", ())},
        )
        return _Described(answer["ARN"], labels, attributes, deleted=answer.get("DeletedDate") is not None)

    async def _fetch(self, arn: str, version_id: str) -> Version:
        try:
            answer = await self._session.call(
                _SERVICE, "get_secret_value", SecretId=arn, VersionId=version_id
            )
        except NotFoundError:
            raise ConflictError(
                f"version {version_id} of {arn} is gone",
                operation=f"{_SERVICE}:GetSecretValue",
                code="Changed",
            ) from None
        return _decode(answer)

    async def _put(self, arn: str, token: str, value: SecretStr, label: str) -> None:
        await self._session.mutate(
            _SERVICE,
            "put_secret_value",
            SecretId=arn,
            ClientRequestToken=token,
            SecretString=value.get_secret_value(),
            VersionStages=[label],
        )


def _tag_list(tags: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags]


def _encode(
    user: User,
    password: SecretStr | None,
    *,
    succeeds: str | None,
    retire: bool,
    retired: datetime | None = None,
) -> SecretStr:
    value: dict[str, Any] = {"username": user.name}
    if password is not None:
        value["password"] = password.get_secret_value()
    value["user_arn"] = user.arn
    value[_MARK] = {"succeeds": succeeds, "retire": retire}
    if retired is not None:
        value[_MARK]["retired_before"] = retired.astimezone(UTC).isoformat()
    return SecretStr(json.dumps(value))


def _decode(answer: dict[str, Any]) -> Version:
    version_id, created = answer["VersionId"], answer["CreatedDate"]
    try:
        value = json.loads(answer.get("SecretString", ""))
    except ValueError:
        return Version(version_id, created, ours=False, readable=False)
    if not isinstance(value, dict) or not isinstance(value.get("username"), str):
        return Version(version_id, created, ours=False, readable=False)
    mark = value.get(_MARK)
    ours = isinstance(mark, dict)
    journal: dict[str, Any] = mark if isinstance(mark, dict) else {}
    password = value.get("password")
    return Version(
        version_id,
        created,
        password=SecretStr(password) if isinstance(password, str) and password else None,
        succeeds=journal.get("succeeds"),
        retire=journal.get("retire") is True,
        retired_before=_moment(journal.get("retired_before")),
        ours=ours,
    )


def _moment(text: Any) -> datetime | None:
    """A time with its zone; None where somebody wrote something else there."""
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo is not None else None
