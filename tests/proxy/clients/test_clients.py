"""Real clients are told the same by Redis and through Valkeeper, in all that applications do."""

from functools import partial

import pytest

from tests.proxy.clients import node, redis_cli, redis_py, redis_py_asyncio
from tests.proxy.clients.way import STEPS, Way, side_by_side
from tests.proxy.proxykit import database, eventually, token

CLIENTS = {
    "redis-cli": partial(side_by_side, redis_cli.play),
    "redis-py": partial(side_by_side, redis_py.play),
    "redis-py asyncio": partial(side_by_side, redis_py_asyncio.play),
    "node-redis": partial(node.play, "node_redis.mjs"),
    "ioredis": partial(node.play, "ioredis.mjs"),
}
CASES = [
    ("redis-cli", 2, "unix shared"),
    ("redis-cli", 3, "tcp"),
    ("redis-py", 2, "tcp"),
    ("redis-py", 3, "unix shared"),
    ("redis-py asyncio", 2, "unix shared"),
    ("redis-py asyncio", 3, "tcp"),
    ("node-redis", 2, "tcp"),
    ("node-redis", 3, "unix shared"),
    ("ioredis", 2, "unix tcp shared"),  # it speaks RESP2 only
]


@pytest.fixture(scope="module")
def served(shared_server, shared_proxy):
    shared_proxy.serve(database(shared_server), database(shared_server, "carts"))
    with shared_server.client() as admin:
        yield shared_server, shared_proxy, admin


@pytest.fixture
def ways(served):
    """Directly with the password, and with none by each kind of listener."""
    server, proxy, admin = served
    yield {
        "direct": Way(token(), "app-current", port=server.port, ca_file=str(server.ca_file)),
        "unix": Way(token(), "any", path=str(proxy.path())),
        "tcp": Way(token(), "any", port=proxy.port),
        "shared": Way(token(), "any", path=str(proxy.path("orders.shared"))),
    }
    admin.flushall()
    eventually(lambda: _left(admin) <= proxy.publisher.shared("orders"), what="a clean end")
    eventually(lambda: proxy.publisher.sessions() == ({}, 0), what="the end of all sessions")


def _left(admin):
    """How many connections Valkeeper's user has."""
    return sum(client["user"] == "app" for client in admin.client_list())


@pytest.mark.parametrize(("client", "protocol", "listeners"), CASES)
def test_a_client_is_told_the_same_through_valkeeper(client, protocol, listeners, ways):
    taken = ways["direct"], *(ways[listener] for listener in listeners.split())
    direct, *others = map(Way.results, taken, CLIENTS[client](taken, protocol))
    assert tuple(direct) == STEPS
    for listener, through in zip(listeners.split(), others, strict=True):
        assert tuple(through) == STEPS
        for step in STEPS:
            assert through[step] == direct[step], (listener, step)
