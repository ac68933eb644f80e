"""The world that all instances share: AWS, the endpoints, the users, and the truth about each user."""

import json
from dataclasses import dataclass, replace
from datetime import timedelta

from deploy.sandbox.secretsmanager.secret import Secret, Version
from discovery.model import Inventory
from rotator.attributes import attributes_of
from rotator.secrets import secret_name
from tests.rotator.records import database, user
from tests.simulation.aws import Aws, Endpoint, UserRecord

__all__ = ["INTERVAL", "LABELS", "PREFIX", "Subject", "Value", "World"]

INTERVAL = timedelta(minutes=15)
PREFIX = "valkeeper/"
LABELS = ("AWSCURRENT", "AWSPREVIOUS", "AWSPENDING")


@dataclass(slots=True, frozen=True)
class Value:
    """What a version holds."""

    password: str | None
    succeeds: str | None
    retire: bool
    ours: bool


class Subject:
    """One database user, and what is true of it whatever anybody believes."""

    def __init__(self, world, user_id, endpoints):
        self.world = world
        self.id = user_id
        self.endpoints = endpoints
        self.user = user(user_id, databases=(f"db-{user_id}",))
        self.key = self.user.key
        self.name = secret_name(PREFIX, self.key)
        self.managed = True  # tagged
        self.database = database(f"db-{user_id}")
        self._values = {}

    def tag(self, managed):
        """The operator puts the tag on, or takes it off."""
        self.managed = managed
        self.user = replace(self.user, managed=managed)

    @property
    def record(self):
        return self.world.aws.users[self.id]

    @property
    def secret(self):
        return self.world.aws.secrets.get(self.name)

    @property
    def readable(self):
        """There is a secret, and it is not scheduled for deletion."""
        return self.secret is not None and self.secret.deletion is None

    @property
    def labels(self):
        """The version ids under AWSCURRENT, AWSPREVIOUS and AWSPENDING."""
        secret = self.secret
        if secret is None:
            return (None, None, None)
        return tuple(secret.holders.get(label) for label in LABELS)

    def value(self, version_id):
        """What a version holds; None where there is no such version."""
        secret = self.secret
        if version_id is None or secret is None:
            return None
        known = self._values.get(version_id)
        if known is None:
            known = self._values[version_id] = _value(secret.versions[version_id].string)
        return known

    @property
    def current(self):
        """AWSCURRENT's value, where it holds a password."""
        value = self.value(self.labels[0])
        return value if value is not None and value.password is not None else None

    @property
    def age(self):
        """Seconds since AWSCURRENT was made."""
        version_id = self.labels[0]
        return self.world.now - self.secret.versions[version_id].created if version_id else 0.0

    def live(self, labels):
        """The pending version that succeeds AWSCURRENT, as (id, value), where these labels say that there is one."""
        current, previous, pending = labels
        value = self.value(pending)
        if value is None or pending in (current, previous) or not value.ours or value.password is None:
            return None
        return (pending, value) if value.succeeds == current else None

    @property
    def reachable(self):
        return [endpoint for endpoint in self.endpoints if endpoint.up]

    def accepts(self, endpoint, password):
        return password in endpoint.taken[self.id]

    @property
    def works(self):
        """AWSCURRENT's password is let in by every endpoint that answers, or there is none yet."""
        current = self.current
        return current is None or all(self.accepts(one, current.password) for one in self.reachable)


class World:
    """Everything outside the instances. `now` is in seconds from the beginning."""

    def __init__(self, on_modified):
        self.now = 0.0
        self.aws = Aws(lambda: self.now, on_modified)
        self.subjects = {}
        self.names = {}  # passwords and version ids, as a story calls them

    def add(self, user_id, *, endpoints, age=None):
        """A user; with `age` it is adopted already, and its password that many seconds old."""
        nodes = [Endpoint(f"{user_id}-{number}") for number in range(endpoints)]
        subject = Subject(self, user_id, nodes)
        held = ("by-hand",) if age is None else ("first",)
        self.aws.users[user_id] = UserRecord(user_id, nodes, held)
        for node in nodes:
            node.taken[user_id] = held
        self.subjects[user_id] = subject
        if age is not None:
            self._adopt(subject, age)
        return subject

    def _adopt(self, subject, age):
        own = attributes_of(subject.user, None)
        arn = f"arn:aws:secretsmanager:r:1:secret:{subject.name}"
        secret = Secret(arn, subject.name, -age, -age, own.description, tags=dict(own.tags))
        text = json.dumps({"username": subject.id, "password": "first", "valkeeper": {"succeeds": None}})
        secret.put(Version("00000000-0000-0000-0000-000000000000", -age, text, None), ["AWSCURRENT"])
        self.aws.secrets[subject.name] = secret

    def name(self, kind, thing):
        """A short name for a random string: p1, p2, v1, v2, in the order in which they come up."""
        if thing is None:
            return "-"
        known = self.names.get(thing)
        if known is None:
            number = sum(name.startswith(kind) for name in self.names.values())
            known = self.names[thing] = f"{kind}{number}"
        return known

    def inventory(self):
        """What discovery finds now."""
        databases = {one.database.name: one.database for one in self.subjects.values()}
        users = {one.key: one.user for one in self.subjects.values()}
        return Inventory(databases, users)


def _value(text):
    try:
        value = json.loads(text)
    except ValueError:
        return Value(None, None, retire=False, ours=False)
    mark = value.get("valkeeper")
    journal = mark or {}
    return Value(
        value.get("password"), journal.get("succeeds"), journal.get("retire") is True, mark is not None
    )
