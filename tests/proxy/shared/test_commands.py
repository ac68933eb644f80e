"""Which commands are shared follows from the server's own table."""

import re
from pathlib import Path

import hiredis
import pytest

from proxy.shared.commands import CommandTable, read_table

DOCS = Path(__file__).parents[3] / "docs" / "sharing.md"


@pytest.fixture(scope="module")
def table(shared_server):
    with shared_server.client(protocol=2) as client:
        connection = client.connection_pool.get_connection()
        connection.send_command("COMMAND")
        return read_table(connection.read_response())


SHARED = "GET|set|MGET|HGETALL|lrange|ZADD|XADD|SCAN|DEL|EXPIRE|INCR|PING|ECHO|PUBLISH|EVAL|EVALSHA|FCALL|SORT|KEYS|INFO|"
SHARED += (
    "DBSIZE|OBJECT ENCODING|MEMORY USAGE|XINFO STREAM|SCRIPT LOAD|CLIENT SETINFO|COMMAND|COMMAND DOCS|FLUSHDB"
)


@pytest.mark.parametrize("command", SHARED.split("|"))
def test_what_reads_and_writes_keys_or_is_about_no_connection_is_shared(table, command):
    assert table.obstacle(command.encode().split()) == ""


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("MULTI", "transaction"), ("exec", "transaction"), ("WATCH k", "transaction"), ("UNWATCH", "transaction"),
        ("BLPOP k 0", "blocking"), ("XREAD STREAMS k 0", "blocking"), ("BZMPOP 0 1 k MIN", "blocking"), ("WAIT 1 0", "blocking"),
        ("SUBSCRIBE c", "pubsub"), ("psubscribe c", "pubsub"), ("SSUBSCRIBE c", "pubsub"), ("MONITOR", "pubsub"),
        ("SELECT 1", "connection"), ("AUTH x", "connection"), ("HELLO 3", "connection"), ("RESET", "connection"),
        ("CLIENT SETNAME me", "connection"), ("CLIENT REPLY OFF", "connection"), ("CLIENT TRACKING on", "connection"),
        ("CLIENT ID", "connection"), ("CLIENT no-touch on", "unknown"), ("READONLY", "connection"), ("ASKING", "connection"),
        ("PSYNC ? -1", "replication"), ("REPLCONF x", "replication"), ("QUIT", "quit"),
        ("CONFIG GET x", "other"), ("ACL WHOAMI", "other"), ("DEBUG SLEEP 1", "other"), ("SCRIPT DEBUG yes", "other"),
        ("SHUTDOWN", "other"), ("NO-SUCH-COMMAND", "unknown"), ("SCRIPT NO-SUCH", "unknown"), ("Get\r\n", "unknown"),
    ],
)  # fmt: skip
def test_what_could_touch_the_connection_is_not(table, command, reason):
    words = command.encode().split(b" ")
    assert table.obstacle(words) == reason


def test_nothing_that_has_side_effects_on_its_connection_is_shared(table):
    shared = set(table.shared())
    assert len(shared) > 150
    for name in (
        "MULTI",
        "SELECT",
        "AUTH",
        "CLIENT SETNAME",
        "BLPOP",
        "SUBSCRIBE",
        "RESTORE-ASKING",
        "PFDEBUG",
        "ROLE",
    ):
        assert name not in shared


def test_the_docs_list_what_is_shared(table, shared_server):
    text = re.search(r"<!-- shared-commands -->(.*?)<!--", DOCS.read_text(encoding="utf-8"), re.DOTALL)[1]
    listed = {" ".join(name.split()) for name in text.split(",")}
    with shared_server.client() as client:
        version = client.info("server")["redis_version"]
    shared = set(table.shared())
    assert listed == shared if version.startswith("7.0.") else len(listed & shared) > 150


def test_capitals_do_not_matter(table):
    assert table.obstacle([b"gEt", b"k"]) == ""
    assert table.obstacle([b"mUlTi"]) == "transaction"


@pytest.mark.parametrize("reply", [None, b"OK", [], [[b"get"]], [None, 7], hiredis.ReplyError("NOPERM no")])
def test_without_a_table_nothing_is_shared(reply):
    table = read_table(reply)
    assert table.shared() == []
    assert table.obstacle([b"GET", b"k"]) == "unknown"
    assert table.obstacle([b"MULTI"]) == "transaction"
    assert table.obstacle([b"QUIT"]) == "quit"


def test_a_server_without_subcommands_shares_only_what_stands_alone():
    table = read_table(
        [[b"get", 2, [b"readonly", b"fast"]], [b"client", -2, [b"admin"]], [b"object", -2, [b"readonly"]]]
    )
    assert table.obstacle([b"GET", b"k"]) == ""
    assert table.obstacle([b"CLIENT", b"SETNAME", b"me"]) == "connection"
    assert table.obstacle([b"OBJECT", b"FREQ", b"k"]) == ""


def test_a_table_of_ones_own():
    assert CommandTable({b"GET": ""}).shared() == ["GET"]
