"""What happened in a schedule, one readable line an event."""

__all__ = ["Story", "Untold"]


class Untold:
    """Nobody listens: nothing is put into words."""

    told = False

    def tell(self, *_):
        """Nothing."""


class Story:
    """Lines of text: virtual time, who, what, and how labels and passwords stand."""

    told = True

    def __init__(self, world):
        self._world = world
        self.lines = []

    def tell(self, who, what, subject=None):
        state = "".join(f"\n{'':20}{self._state(one)}" for one in ([subject] if subject else ()))
        self.lines.append(f"{self._world.now:10.3f} {who:8} {what}{state}")

    def _state(self, subject):
        labels = " ".join(
            f"{label}={self._version(subject, version_id)}"
            for label, version_id in zip(("cur", "prev", "pend"), subject.labels, strict=True)
        )
        record = subject.record
        taken = " ".join(
            f"{one.name}{'' if one.up else '(down)'}={self.passwords(one.taken[subject.id])}"
            for one in subject.endpoints
        )
        return f"{labels}  {record.id}({record.status})={self.passwords(record.passwords)}  {taken}"

    def _version(self, subject, version_id):
        value = subject.value(version_id)
        if value is None:
            return "-"
        password = f"({self._world.name('p', value.password)}{',retire' if value.retire else ''})"
        return f"{self._world.name('v', version_id)}{password if value.password else '()'}"

    def passwords(self, passwords):
        return "[" + ",".join(self._world.name("p", one) for one in passwords) + "]"

    def call(self, call):
        """A call in few words."""
        given = call.parameters
        match call.operation:
            case "modify_user":
                return f"ModifyUser {self.passwords(given['Passwords'])}"
            case "put_secret_value":
                return f"Put {self._world.name('v', given['ClientRequestToken'])} {given['VersionStages']}"
            case "update_secret_version_stage":
                removed = given.get("RemoveFromVersionId")
                return f"Move AWSCURRENT {self._world.name('v', removed)} → {self._world.name('v', given['MoveToVersionId'])}"
            case "get_secret_value":
                return f"Get {self._world.name('v', given['VersionId'])}"
        return "".join(word.capitalize() for word in call.operation.split("_"))
