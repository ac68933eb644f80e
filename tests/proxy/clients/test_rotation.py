"""Clients that connect again by themselves do not notice that the password changes."""

from tests.proxy.clients import node
from tests.proxy.proxykit import credential, eventually, token

CHANGES = 4


def test_no_command_fails_while_passwords_change(proxy, server):
    prefix, current = token(), "app-current"
    rounds = f"{prefix}ioredis", f"{prefix}node_redis"
    with (
        server.client() as admin,
        node.running("rotation.mjs", path=str(proxy.path()), prefix=prefix) as process,
    ):

        def have_worked():
            """Twice: the first of these rounds may have begun before."""
            assert process.poll() is None, process.stderr.read()
            return all(int(count or 0) >= 2 for count in admin.mget(rounds))

        eventually(have_worked, what="a beginning")
        for _ in range(CHANGES):
            new = token()
            server.acl("app", "resetpass", f">{current}", f">{new}")
            proxy.publisher.update(credentials=[credential(version=new, current=new, previous=current)])
            proxy.publisher.acknowledged(proxy.publisher.directory.version)
            admin.delete(*rounds)
            eventually(have_worked, what="work after the change")
            current = new
        told = node.answer(process)
        admin.delete(prefix, *rounds)
    for client in told.values():
        assert client["rounds"] == client["reconnected"] >= 2 * CHANGES
        assert client["stayed"]
