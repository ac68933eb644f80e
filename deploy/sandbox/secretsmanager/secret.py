"""A secret, its versions and their staging labels: what AWS promises about them, with no clock and no network."""

from dataclasses import dataclass, field

__all__ = ["CURRENT", "PREVIOUS", "Secret", "SecretError", "Version"]

CURRENT = "AWSCURRENT"
PREVIOUS = "AWSPREVIOUS"
_MAX_VERSIONS = 100
_KEPT_SECONDS = 24 * 3600.0


class SecretError(Exception):
    """A call that Secrets Manager refuses, with AWS's error code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Version:
    """One value. `created` never changes: it is when this version was put."""

    version_id: str
    created: float
    string: str | None
    binary: str | None


@dataclass
class Secret:
    """A secret; `holders` says which version has a staging label, so no label can have two."""

    arn: str
    name: str
    created: float
    changed: float
    description: str = ""
    kms_key_id: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    deletion: float | None = None
    versions: dict[str, Version] = field(default_factory=dict)
    holders: dict[str, str] = field(default_factory=dict)

    def stages(self, version_id: str) -> list[str]:
        """Return the labels of a version, in the order of the alphabet."""
        return sorted(stage for stage, holder in self.holders.items() if holder == version_id)

    def labelled(self) -> dict[str, list[str]]:
        """Return the versions that have labels, and their labels."""
        return {version_id: stages for version_id in self.versions if (stages := self.stages(version_id))}

    def put(self, version: Version, stages: list[str]) -> Version:
        """Add a version under its labels, taking these from whichever had them.

        The same token with the same value is a repetition: it succeeds and changes nothing.

        Raises:
            SecretError: the token was used with another value, or there is no room for a version.
        """
        held = self.versions.get(version.version_id)
        if held is not None:
            if (held.string, held.binary) != (version.string, version.binary):
                raise SecretError(
                    "ResourceExistsException",
                    f"The operation failed because version {version.version_id} of the secret already exists "
                    "with a different value.",
                )
            return held
        self._make_room(version.created)
        if not self.versions:
            stages = [*stages, CURRENT]
        self.versions[version.version_id] = version
        for stage in stages:
            self._label(stage, version.version_id)
        self.changed = version.created
        return version

    def move(self, stage: str, remove_from: str | None, move_to: str | None, now: float) -> None:
        """UpdateSecretVersionStage: moves a label only if the caller knows who has it (compare and set).

        Raises:
            SecretError: `remove_from` is not the version that has the label, or a version does not exist.
        """
        for version_id in (remove_from, move_to):
            if version_id is not None and version_id not in self.versions:
                raise SecretError(
                    "ResourceNotFoundException",
                    f"Secrets Manager can't find the specified secret value for VersionId: {version_id}",
                )
        holder = self.holders.get(stage)
        if remove_from is not None and remove_from != holder:
            raise SecretError(
                "InvalidParameterException",
                f"Staging label {stage} isn't currently attached to version {remove_from}.",
            )
        if move_to is None:
            self._unlabel(stage, remove_from)
        elif holder not in (None, move_to, remove_from):
            raise SecretError(
                "InvalidParameterException",
                f"The parameter RemoveFromVersionId can't be empty. Staging label {stage} is currently attached to "
                f"version {holder}, so you must explicitly reference that version in RemoveFromVersionId.",
            )
        else:
            self._label(stage, move_to)
        self.changed = now

    def read(self, version_id: str | None, stage: str | None) -> Version:
        """Return a version by id, by label, or by both, which must then agree; AWSCURRENT by default.

        Raises:
            SecretError: there is none, or the two do not agree.
        """
        if version_id is None:
            stage = stage or CURRENT
            if stage not in self.holders:
                raise SecretError(
                    "ResourceNotFoundException",
                    f"Secrets Manager can't find the specified secret value for staging label: {stage}",
                )
            return self.versions[self.holders[stage]]
        if version_id not in self.versions:
            raise SecretError(
                "ResourceNotFoundException",
                f"Secrets Manager can't find the specified secret value for VersionId: {version_id}",
            )
        if stage is not None and self.holders.get(stage) != version_id:
            raise SecretError(
                "InvalidRequestException",
                "You provided a VersionStage that is not associated to the provided VersionId.",
            )
        return self.versions[version_id]

    def _label(self, stage: str, version_id: str) -> None:
        current = self.holders.get(CURRENT)
        self.holders[stage] = version_id
        if stage == CURRENT and current not in (None, version_id):
            self.holders[PREVIOUS] = str(current)

    def _unlabel(self, stage: str, remove_from: str | None) -> None:
        if remove_from is None:
            raise SecretError(
                "InvalidParameterException", "Name a version to move the label to or to remove it from."
            )
        if stage == CURRENT:
            raise SecretError(
                "InvalidParameterException",
                f"You can only move staging label {CURRENT} to a different secret version. "
                "It can't be completely removed.",
            )
        del self.holders[stage]

    def _make_room(self, now: float) -> None:
        for version in sorted(self.versions.values(), key=lambda version: version.created):
            if len(self.versions) < _MAX_VERSIONS:
                return
            # AWS deletes only versions without labels that are at least 24 hours old.
            if not self.stages(version.version_id) and now - version.created >= _KEPT_SECONDS:
                del self.versions[version.version_id]
        if len(self.versions) >= _MAX_VERSIONS:
            raise SecretError(
                "LimitExceededException",
                "The request failed because you would exceed the number of versions of a secret.",
            )
