"""AWS in one account and region: Secrets Manager, the users API, and when the Redis endpoints take a user's passwords.

The secret itself is the sandbox's (`deploy.sandbox.secretsmanager.secret`), which contract tests hold against AWS.
Errors go through the product's own translation (`discovery.translation`).
"""

from dataclasses import dataclass, field

from botocore.exceptions import ClientError

from deploy.sandbox.secretsmanager.secret import Secret, SecretError, Version
from discovery.errors import AwsError
from discovery.translation import translate
from tests.simulation.calls import at

__all__ = ["Aws", "Endpoint", "UserRecord", "refused"]


def refused(call, code, message="", status=400):
    """The product's error for an answer of AWS's that is one."""
    name = "".join(word.capitalize() for word in call.operation.split("_"))
    answer = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return translate(ClientError(answer, name), action=f"{call.service}:{name}")


@dataclass(slots=True, eq=False)
class Endpoint:
    """One Redis server: for each user, the passwords that it takes by now."""

    name: str
    up: bool = True
    taken: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class UserRecord:
    """One user as ElastiCache keeps it."""

    id: str
    endpoints: list[Endpoint]
    passwords: tuple[str, ...]
    status: str = "active"
    to_take: list[Endpoint] = field(default_factory=list)  # those that do not have the new list yet
    stuck: bool = False  # stays `modifying`, however long


class Aws:
    """Each call's effect, at once. `on_modified(record)` is told of a list that endpoints have yet to take."""

    def __init__(self, clock, on_modified):
        self._clock = clock
        self._on_modified = on_modified
        self.secrets: dict[str, Secret] = {}  # by name; ARNs are made of names
        self.users: dict[str, UserRecord] = {}

    def perform(self, call):
        """The answer.

        Raises:
            AwsError: as `discovery.aws.Session` does.
        """
        try:
            return getattr(self, call.operation)(**call.parameters)
        except SecretError as refusal:
            raise refused(call, refusal.code, refusal.message) from None

    def attempt(self, call):
        """The answer and no error, or no answer and the error."""
        try:
            return self.perform(call), None
        except AwsError as error:
            return None, error

    # Users.

    def describe_users(self, UserId=None):  # noqa: N803  AWS's names
        found = self.users.values() if UserId is None else [self.users[UserId]]
        return {
            "Users": [
                {
                    "UserId": user.id,
                    "UserName": user.id,
                    "Status": user.status,
                    "AccessString": "on ~* +@all",
                    "Authentication": {"Type": "password", "PasswordCount": len(user.passwords)},
                }
                for user in found
            ]
        }

    def modify_user(self, UserId, Passwords):  # noqa: N803
        user = self.users[UserId]
        if user.status != "active":
            raise SecretError("InvalidUserState", f"user {UserId} is {user.status}")
        if not 1 <= len(set(Passwords)) == len(Passwords) <= 2:
            raise SecretError("InvalidParameterValue", "one or two different passwords")
        user.passwords, user.status, user.to_take = tuple(Passwords), "modifying", list(user.endpoints)
        self._on_modified(user)
        return {}

    @staticmethod
    def take(user, endpoint):
        """One endpoint has heard of the new list; when all have, the user is active again."""
        endpoint.taken[user.id] = user.passwords
        user.to_take.remove(endpoint)
        if not user.to_take and not user.stuck:
            user.status = "active"

    # Secrets.

    def secret(self, secret_id):
        secret = self.secrets.get(secret_id.partition(":secret:")[2] or secret_id)
        if secret is None:
            raise SecretError("ResourceNotFoundException", "no such secret")
        return secret

    def readable(self, secret_id):
        secret = self.secret(secret_id)
        if secret.deletion is not None:
            raise SecretError("InvalidRequestException", "it was marked for deletion")
        return secret

    def create_secret(self, Name, Description="", Tags=()):  # noqa: N803
        held = self.secrets.get(Name)
        if held is not None:
            code = "InvalidRequestException" if held.deletion is not None else "ResourceExistsException"
            raise SecretError(code, f"{Name} exists")
        now = self._clock()
        secret = Secret(f"arn:aws:secretsmanager:r:1:secret:{Name}", Name, now, now, Description)
        secret.tags = {tag["Key"]: tag["Value"] for tag in Tags}
        self.secrets[Name] = secret
        return {"ARN": secret.arn}

    def describe_secret(self, SecretId):  # noqa: N803
        secret = self.secret(SecretId)
        return {
            "ARN": secret.arn,
            "Description": secret.description,
            "Tags": [{"Key": key, "Value": value} for key, value in secret.tags.items()],
            "VersionIdsToStages": secret.labelled(),
            "DeletedDate": secret.deletion,
        }

    def list_secret_version_ids(self, SecretId, IncludeDeprecated):  # noqa: N803
        versions = self.readable(SecretId).versions.values() if IncludeDeprecated else ()
        return {"Versions": [{"CreatedDate": at(version.created)} for version in versions]}

    def get_secret_value(self, SecretId, VersionId):  # noqa: N803
        version = self.readable(SecretId).read(VersionId, None)
        return {
            "VersionId": version.version_id,
            "CreatedDate": at(version.created),
            "SecretString": version.string,
        }

    def put_secret_value(self, SecretId, ClientRequestToken, SecretString, VersionStages):  # noqa: N803
        secret = self.readable(SecretId)
        secret.put(Version(ClientRequestToken, self._clock(), SecretString, None), VersionStages)
        return {}

    def update_secret_version_stage(
        self,
        SecretId,  # noqa: N803
        VersionStage,  # noqa: N803
        MoveToVersionId,  # noqa: N803
        RemoveFromVersionId=None,  # noqa: N803
    ):
        secret = self.readable(SecretId)
        secret.move(VersionStage, RemoveFromVersionId, MoveToVersionId, self._clock())
        return {}

    def tag_resource(self, SecretId, Tags):  # noqa: N803
        self.readable(SecretId).tags |= {tag["Key"]: tag["Value"] for tag in Tags}
        return {}

    def update_secret(self, SecretId, Description=None):  # noqa: N803
        secret = self.readable(SecretId)
        secret.description = Description or secret.description
        return {}
