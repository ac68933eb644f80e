"""Rotators in miniature: the real engine and its real doors to the sandbox, without service and schedule around."""

import asyncio
import json
import socket
import ssl
from datetime import timedelta

from discovery.model import Database, DatabaseKind, Endpoint, Place, Tls
from rotator.attributes import attributes_of
from rotator.engine import Account, Engine
from rotator.secrets import Vault, secret_name
from rotator.users import ElastiCacheUsers, SharedReads
from rotator.verify import RealLogins
from tests.rotator.records import INTERVAL, user

PREFIX = "valkeeper/"


def database_of(nodes, ca_file, place):
    """A replication group's database as discovery finds it, every node of it to be verified."""
    endpoints = tuple(Endpoint(node.host, node.port) for node in nodes)
    return Database(
        name=nodes[0].replication_group,
        kind=DatabaseKind.ELASTICACHE,
        endpoint=endpoints[0],
        nodes=endpoints,
        place=place,
        tls=Tls(ca_file=str(ca_file)),
    )


class Home:
    """A database in the sandbox, its users, and AWS's own view of them."""

    def __init__(self, sandbox, session, nodes):
        self.sandbox = sandbox
        self.session = session
        self.nodes = nodes
        self.place = Place(sandbox.account, sandbox.region)
        self.database = database_of(nodes, sandbox.ca_file, self.place)
        self.tls = ssl.create_default_context(cafile=sandbox.ca_file)
        self.elasticache = sandbox.boto3("elasticache")
        self.secretsmanager = sandbox.boto3("secretsmanager")

    def add_user(self, user_id, *, adopted=False, **options):
        """A new user that reaches the database, as `Subject`; with a secret that holds its password if `adopted`."""
        subject = Subject(self, user_id)
        password = self.sandbox.create_user(user_id, managed=True, **options)
        if adopted:
            value = {"username": user_id, "password": password, "user_arn": subject.user.arn}
            value["valkeeper"] = {"succeeds": None, "retire": False}
            own = attributes_of(subject.user, None)
            self.secretsmanager.create_secret(
                Name=subject.secret,
                SecretString=json.dumps(value),
                Description=own.description,
                Tags=[{"Key": key, "Value": text} for key, text in own.tags.items()],
            )
        self.elasticache.modify_user_group(UserGroupId=f"{self.database.name}-users", UserIdsToAdd=[user_id])
        self.sandbox.settle()
        return subject


class Subject:
    """A user, seen from AWS's side."""

    def __init__(self, home, user_id):
        self.home = home
        self.id = user_id
        self.user = user(user_id, place=home.place, databases=(home.database.name,))
        self.secret = secret_name(PREFIX, self.user.key)

    @property
    def labels(self):
        """Staging label → version id."""
        stages = self.home.secretsmanager.describe_secret(SecretId=self.secret).get("VersionIdsToStages", {})
        return {label: version_id for version_id, labels in stages.items() for label in labels}

    @property
    def versions(self):
        """All version ids that Secrets Manager keeps, those without labels too."""
        answer = self.home.secretsmanager.list_secret_version_ids(
            SecretId=self.secret, IncludeDeprecated=True
        )
        return {one["VersionId"] for one in answer["Versions"]}

    def value(self, label="AWSCURRENT"):
        """What a version's SecretString says."""
        answer = self.home.secretsmanager.get_secret_value(SecretId=self.secret, VersionStage=label)
        return json.loads(answer["SecretString"])

    def password(self, label="AWSCURRENT"):
        return self.value(label).get("password")

    def put(self, label, **value):
        """A version that somebody else puts."""
        answer = self.home.secretsmanager.put_secret_value(
            SecretId=self.secret, SecretString=json.dumps(value), VersionStages=[label]
        )
        return answer["VersionId"]

    def set_passwords(self, *passwords):
        """Somebody's own ModifyUser."""
        self.home.elasticache.modify_user(UserId=self.id, Passwords=list(passwords))
        self.home.sandbox.settle()

    @property
    def passwords(self):
        """What the servers take now."""
        return self.home.sandbox.passwords(self.id)

    def age(self, by):
        self.home.sandbox.age_secret(self.secret, by.total_seconds())

    def logs_in(self, password):
        """Whether each server takes a password: primary, reader."""
        return [self._is_let_in(node, password) for node in self.home.nodes]

    def _is_let_in(self, node, password):
        with (
            socket.create_connection((node.host, node.port), timeout=5) as plain,
            self.home.tls.wrap_socket(plain, server_hostname=node.host) as connection,
        ):
            connection.sendall(f"AUTH {self.id} {password}\r\n".encode())
            answer = connection.recv(1000)
        assert answer.startswith((b"+OK", b"-WRONGPASS")), answer
        return answer.startswith(b"+OK")


class Instance:
    """One instance: it knows only what AWS tells it. A new one is what a crash leaves."""

    def __init__(self, home, interval=INTERVAL, *, kms_key_id=None, **options):
        self.home = home
        self.steps = []
        self.seen = []
        self.watch = lambda: None  # called after everything that is told
        self.acknowledged = True
        self.asked_to_acknowledge = []
        users = ElastiCacheUsers(home.session)
        self.vault = Vault(home.session, prefix=PREFIX, kms_key_id=kms_key_id)
        self.account = Account(self.vault, SharedReads(users), users, home.session.now)
        self.engine = Engine(
            interval=interval,
            verifier=RealLogins(timeout=5, ca_file=None),
            listener=self,
            acknowledged=self._is_acknowledged,
            **({"sleep": _look_again, "chance": lambda: 1.0} | options),
        )

    async def run(self, subject, wish=None):
        return await self.engine.run(subject.user, (self.home.database,), self.account, wish)

    def observed(self, user, state, secret):
        self.seen.append((user, state, secret))
        self.watch()

    def stepped(self, user, row, seen):
        self.steps.append(row)
        self.watch()

    async def _is_acknowledged(self, key, version, _timeout):
        self.asked_to_acknowledge.append(version)
        return self.acknowledged


async def _look_again(_seconds):
    """The sandbox settles much faster than AWS."""
    await asyncio.sleep(0.01)


def later(interval=INTERVAL):
    """A little more than an interval."""
    return interval + timedelta(minutes=1)
