"""The proxy's connections outlive the 12 hours that the gate gives them, with tokens that the rotator signs."""

import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from discovery.model import Service, UserKey
from discovery.session import AwsCredentials
from proxy.directory import Credential, Database, Directory, Tls
from rotator.tokens import Grant, sign
from tests.proxy.dialogues import c
from tests.proxy.hall import HOUR, Hall

RENEWED_EVERY = 10.1  # hours, at the latest


@pytest.fixture(scope="module")
def node(sandbox):
    sandbox.create_iam_user("tenure")
    node, *_ = sandbox.create_replication_group("tenure", ["tenure"], replicas=0)
    return node


@pytest.fixture
def fresh_token(sandbox):
    """Signs another token each time."""
    environment = sandbox.environment()
    key = UserKey(Service.ELASTICACHE, sandbox.account, sandbox.region, "tenure")
    keys = AwsCredentials(
        environment["AWS_ACCESS_KEY_ID"], SecretStr(environment["AWS_SECRET_ACCESS_KEY"]), None, None
    )
    wanted = Grant(key, "tenure")

    def make():
        token = sign(wanted, keys, datetime.now(UTC))
        return Credential(
            key=wanted.key,
            kind="iam",
            username="tenure",
            version=token.version,
            current=token.value,
            expires_at=token.expires_at,
        )

    return make


@pytest.fixture
def path():
    folder = Path(tempfile.mkdtemp(prefix="vk", dir="/tmp"))
    yield folder / "orders.sock"
    shutil.rmtree(folder)


async def test_a_connection_lives_for_two_days(sandbox, node, fresh_token, path):
    held = fresh_token()
    database = Database(
        name="orders",
        host=node.host,
        port=node.port,
        tls=Tls(ca_file=str(sandbox.ca_file)),
        users={"tenure": held.key},
    )

    def directory(credential):
        return Directory(databases={"orders": database}, credentials={credential.key: credential})

    async with Hall(path, directory(held)) as hall, hall.client("tenure") as (reader, writer):
        since = max(entry["sequence"] for entry in sandbox.gate_logins())
        for renewal in range(5):
            hall.seconds += RENEWED_EVERY * HOUR
            sandbox.age_connections(RENEWED_EVERY * HOUR)
            hall.floor.replace(directory(fresh_token()))
            await hall.renewer.look(tuple(hall.sessions))
            await hall.until(lambda: hall.tally().renewals == {"renewed": renewal + 1})  # noqa: B023 -- awaited here
            writer.write(c("ACL", "WHOAMI"))
            assert await reader.readexactly(12) == b"$6\r\ntenure\r\n"
        entries = sandbox.gate_logins(since)
        assert all(entry["accepted"] for entry in entries)
        assert len(entries) == 10  # one on the side and one in-band, each time

        sandbox.age_connections(13 * HOUR)  # nobody looks after it any more
        assert await reader.read(-1) == b""
        await hall.until(lambda: hall.tally().ends == {"database_lost": 1})
