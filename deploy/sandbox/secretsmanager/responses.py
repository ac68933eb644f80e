"""The Secrets Manager calls, in JSON."""

import json
import time
from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.core.responses import TYPE_RESPONSE, BaseResponse
from moto.secretsmanager.models import secretsmanager_backends
from moto.secretsmanager.responses import SecretsManagerResponse as MotoResponse

from deploy.sandbox.paging import page
from deploy.sandbox.secretsmanager.backend import SecretsManager
from deploy.sandbox.secretsmanager.secret import Secret, SecretError, Version

__all__ = ["SecretsManagerResponse"]

_BATCH = 20
_PAGE = 100


class SecretsManagerResponse(BaseResponse):
    """One method per operation, found by moto by its name."""

    # No state of the account is in it.
    get_random_password = MotoResponse.get_random_password

    def __init__(self) -> None:
        super().__init__(service_name="secretsmanager")

    @property
    def backend(self) -> SecretsManager:
        """The secrets of the account and region that the call is for."""
        return secretsmanager_backends[self.current_account][self.region]  # type: ignore[return-value]

    def call_action(self) -> TYPE_RESPONSE:
        """Answer a refusal in AWS's words."""
        try:
            return super().call_action()
        except SecretError as refusal:
            error = JsonRESTError(refusal.code, refusal.message)
            return 400, {**self.response_headers, **dict(error.get_headers())}, error.get_body()

    @property
    def _params(self) -> dict[str, Any]:
        return json.loads(self.body or "{}")

    def create_secret(self) -> str:  # noqa: D102
        return _written(*self.backend.create(self._params))

    def put_secret_value(self) -> str:  # noqa: D102
        return _written(*self.backend.put(self._params), stages=True)

    def update_secret(self) -> str:  # noqa: D102
        return _written(*self.backend.update(self._params))

    def update_secret_version_stage(self) -> str:  # noqa: D102
        params = self._params
        secret = self.backend.readable(params["SecretId"])
        secret.move(
            params["VersionStage"],
            params.get("RemoveFromVersionId"),
            params.get("MoveToVersionId"),
            time.time(),
        )
        return _written(secret, None)

    def get_secret_value(self) -> str:  # noqa: D102
        params = self._params
        secret = self.backend.readable(params["SecretId"])
        return json.dumps(_shown(secret, secret.read(params.get("VersionId"), params.get("VersionStage"))))

    def batch_get_secret_value(self) -> str:  # noqa: D102
        params = self._params
        ids, filters = params.get("SecretIdList"), params.get("Filters")
        if bool(ids) == bool(filters):
            raise SecretError("InvalidParameterException", "Give either SecretIdList or Filters.")
        if ids and len(ids) > _BATCH:
            raise SecretError("InvalidParameterException", f"SecretIdList holds at most {_BATCH} secrets.")
        following = None
        if filters:
            found, following = self._page(self.backend.matching(filters, deleted=False), _BATCH)
            ids = [secret.name for secret in found]
        values, errors = [], []
        for secret_id in ids or ():
            try:
                secret = self.backend.readable(secret_id)
                values.append(_shown(secret, secret.read(None, None)))
            except SecretError as refusal:
                errors.append({"SecretId": secret_id, "ErrorCode": refusal.code, "Message": refusal.message})
        return json.dumps({"SecretValues": values, "Errors": errors, "NextToken": following})

    def describe_secret(self) -> str:  # noqa: D102
        secret = self.backend.find(self._params["SecretId"])
        described = _described(secret)
        if secret.versions:
            described["VersionIdsToStages"] = secret.labelled()
        return json.dumps(described)

    def list_secrets(self) -> str:  # noqa: D102
        params = self._params
        deleted = bool(params.get("IncludePlannedDeletion"))
        found, following = self._page(
            self.backend.matching(params.get("Filters") or (), deleted=deleted), _PAGE
        )
        secrets = [_described(secret) | {"SecretVersionsToStages": secret.labelled()} for secret in found]
        return json.dumps({"SecretList": secrets, "NextToken": following})

    def list_secret_version_ids(self) -> str:  # noqa: D102
        params = self._params
        secret = self.backend.readable(params["SecretId"])
        everything = bool(params.get("IncludeDeprecated"))
        versions = [
            {"VersionId": version.version_id, "VersionStages": stages, "CreatedDate": version.created}
            for version in secret.versions.values()
            if (stages := secret.stages(version.version_id)) or everything
        ]
        return json.dumps({"ARN": secret.arn, "Name": secret.name, "Versions": versions})

    def delete_secret(self) -> str:  # noqa: D102
        params = self._params
        secret, date = self.backend.delete(
            params["SecretId"],
            params.get("RecoveryWindowInDays"),
            force=bool(params.get("ForceDeleteWithoutRecovery")),
        )
        return json.dumps({"ARN": secret.arn, "Name": secret.name, "DeletionDate": date})

    def restore_secret(self) -> str:  # noqa: D102
        return _written(self.backend.restore(self._params["SecretId"]), None)

    def tag_resource(self) -> str:  # noqa: D102
        params = self._params
        self.backend.tag_resource(
            params["SecretId"], {tag["Key"]: tag.get("Value", "") for tag in params["Tags"]}
        )
        return "{}"

    def untag_resource(self) -> str:  # noqa: D102
        params = self._params
        self.backend.untag_resource(params["SecretId"], params["TagKeys"])
        return "{}"

    def _page(self, secrets: list[Secret], most: int) -> tuple[list[Secret], str | None]:
        params = self._params
        size = int(params.get("MaxResults") or most)
        if not 1 <= size <= most:
            raise SecretError("InvalidParameterException", f"MaxResults must be between 1 and {most}.")
        try:
            return page(secrets, lambda secret: secret.name, size, params.get("NextToken"))
        except ValueError:
            raise SecretError("InvalidNextTokenException", "The NextToken value is invalid.") from None


def _written(secret: Secret, version: Version | None, *, stages: bool = False) -> str:
    answer: dict[str, Any] = {"ARN": secret.arn, "Name": secret.name}
    if version is not None:
        answer["VersionId"] = version.version_id
        if stages:
            answer["VersionStages"] = secret.stages(version.version_id)
    return json.dumps(answer)


def _shown(secret: Secret, version: Version) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "ARN": secret.arn,
        "Name": secret.name,
        "VersionId": version.version_id,
        "VersionStages": secret.stages(version.version_id),
        "CreatedDate": version.created,
    }
    if version.string is not None:
        shown["SecretString"] = version.string
    if version.binary is not None:
        shown["SecretBinary"] = version.binary
    return shown


def _described(secret: Secret) -> dict[str, Any]:
    described: dict[str, Any] = {
        "ARN": secret.arn,
        "Name": secret.name,
        "Description": secret.description,
        "Tags": [{"Key": key, "Value": value} for key, value in secret.tags.items()],
        "CreatedDate": secret.created,
        "LastChangedDate": secret.changed,
    }
    if secret.kms_key_id is not None:
        described["KmsKeyId"] = secret.kms_key_id
    if secret.deletion is not None:
        described["DeletedDate"] = secret.deletion
    return described
