"""The proxy's own life: what comes, goes, dies, and comes back."""

import os
import signal
import socket
import stat
from pathlib import Path

from proxy.directory import Directory, Record
from proxy.messages import Hello
from tests.proxy.proxykit import credential, database, directory, eventually, free_port


def test_sockets_come_and_go_with_their_databases(proxy, server):
    folder = proxy.settings.runtime_dir
    assert stat.S_IMODE(proxy.path().stat().st_mode) == 0o666
    assert stat.S_IMODE((folder / "control").stat().st_mode) == 0o700
    proxy.publisher.update(databases=[database(server, "carts")])
    with proxy.wait_for("carts").client("carts") as client:
        assert client.ping()
        proxy.publisher.update(removed_databases=["carts"])
        eventually(lambda: not proxy.path("carts").exists())
        assert client.ping()
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def test_a_name_that_is_no_name_gets_no_socket(proxy, server):
    names = ["../etc", "A", "a_b", "", "x" * 63, "x" * 64, "fine"]
    proxy.publisher.update(databases=[database(server, name) for name in names])
    proxy.wait_for("fine")
    found = {path.name.split(".")[0] for path in proxy.settings.runtime_dir.glob("*.sock")}
    assert found == {"all", "orders", "fine", "x" * 63}


def test_a_new_password_is_used_by_the_next_client(proxy, server):
    with proxy.client() as old:
        assert old.ping()
        server.acl("app", "resetpass", ">fresh")
        proxy.serve(database(server), credentials=[credential(version="v2", current="fresh", previous=None)])
        with proxy.client() as new:
            assert new.ping()
        assert old.ping()


def test_every_version_is_acknowledged_by_all_workers(start_proxy, publisher, server):
    publisher.publish(directory(database(server), credentials=[credential()]))
    proxy = start_proxy(workers=2).wait_for()
    assert eventually(lambda: publisher.of(Hello))[0].workers == 2
    eventually(lambda: len(proxy.workers()) == 2)
    version = 1

    def both():
        nonlocal version
        version += 1
        publisher.update(credentials=[credential(version=f"v{version}")])
        return publisher.acknowledged(version).workers == 2

    eventually(both)


def test_it_serves_on_without_its_rotator_and_finds_it_again(proxy, server):
    publisher = proxy.publisher
    publisher.hang_up()
    with proxy.client() as client:
        assert client.ping()
    publisher.messages.clear()
    publisher.directory = directory(database(server), database(server, "carts"), credentials=[credential()])
    publisher.start()
    publisher.acknowledged(1)
    assert isinstance(publisher.messages[0], Hello)
    with proxy.wait_for("carts").client("carts") as client:
        assert client.ping()


class Novelty(Record):
    """What a rotator of another version might say."""

    type: str = "novelty"


def test_a_rotator_of_another_version_is_hung_up_on_and_clients_are_served_on(proxy):
    proxy.publisher._send(Novelty())
    reason = "a message of a kind that this version does not know; run one version of rotator and proxy"
    eventually(
        lambda: reason in [event["error"] for event in proxy.events("rotator lost")],
        what="the end of the conversation",
    )
    with proxy.client() as client:
        assert client.ping()
    eventually(lambda: proxy.publisher.of(Hello), what="the next conversation")


def test_a_rotator_that_knows_nothing_yet_takes_nothing_away(proxy):
    proxy.publisher.messages.clear()
    proxy.publisher.publish(Directory())
    proxy.publisher.update(credentials=[credential(version="v2")])
    proxy.publisher.acknowledged(1)
    with proxy.client() as client:
        assert client.ping()


def test_a_worker_that_dies_is_replaced_and_its_counts_are_kept(own_proxy, publisher):
    with own_proxy.socket() as sock:
        sock.sendall(b"AUTH app x\r\n")
        assert sock.recv(5) == b"+OK\r\n"
        publisher.counters("orders", lambda counts: counts.connections == 1)
        [pid] = eventually(own_proxy.workers)
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: own_proxy.events("worker died"))
        publisher.counters("orders", lambda counts: (counts.connections, counts.open) == (1, 0))
        assert sock.recv(5) == b""
    with own_proxy.client() as client:
        assert client.ping()
        publisher.counters("orders", lambda counts: counts.connections == 2)
    [replacement] = own_proxy.workers()
    assert replacement != pid


def test_clients_wait_while_there_is_no_worker(own_proxy):
    [pid] = eventually(own_proxy.workers)
    os.kill(pid, signal.SIGSTOP)
    with own_proxy.socket() as sock:
        sock.sendall(b"AUTH app x\r\nPING\r\n")
        os.kill(pid, signal.SIGKILL)
        reply = b""
        while len(reply) < 12:
            reply += sock.recv(12)
        assert reply == b"+OK\r\n+PONG\r\n"


def test_sigterm_gives_sessions_their_time_and_ends_them_with_an_error(own_proxy):
    with own_proxy.socket() as idle, own_proxy.socket() as busy, own_proxy.socket() as new:
        idle.sendall(b"AUTH app x\r\n")
        busy.sendall(b"AUTH app x\r\nBLPOP no-such-list 0\r\n")
        for sock in (idle, busy):
            assert sock.recv(5) == b"+OK\r\n"
        new.sendall(b"*1\r\n")
        own_proxy.process.send_signal(signal.SIGTERM)
        eventually(lambda: not own_proxy.path().exists())
        idle.sendall(b"PING\r\n")
        assert idle.recv(7) == b"+PONG\r\n"
        for sock in (idle, busy, new):
            text = b"".join(iter(lambda sock=sock: sock.recv(4096), b""))
            assert text == b"-ERR valkeeper: the proxy is shutting down; connect again\r\n"
    assert own_proxy.process.wait(10) == 0
    assert own_proxy.events("proxy stopped")


def test_ctrl_c_stops_it_too(own_proxy):
    own_proxy.process.send_signal(signal.SIGINT)
    assert own_proxy.process.wait(10) == 0


def test_workers_leave_with_a_parent_that_was_killed(own_proxy):
    [pid] = eventually(own_proxy.workers)
    own_proxy.process.kill()
    own_proxy.process.wait()
    # Nobody has to reap it here, so a zombie counts as gone.
    eventually(lambda: not (stat := Path(f"/proc/{pid}/stat")).exists() or stat.read_text().split()[2] == "Z")


def test_only_one_proxy_serves_a_folder_and_dead_ones_are_succeeded(own_proxy, start_proxy, short_dir):
    second = start_proxy()
    assert second.process.wait(10) == 1
    [event] = eventually(lambda: own_proxy.events("proxy cannot start"))
    assert event["error"].startswith("another proxy runs with this runtime_dir")
    own_proxy.process.kill()
    own_proxy.process.wait()
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(short_dir / "gone.sock"))
    third = start_proxy()
    eventually(lambda: len(own_proxy.events("listener opened")) == 2)
    assert not (short_dir / "gone.sock").exists()
    with third.client() as client:
        assert client.ping()


def test_an_address_in_use_is_named(start_proxy):
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        proxy = start_proxy(listeners=[{"tcp": f"127.0.0.1:{port}"}])
        assert proxy.process.wait(10) == 1
    [event] = proxy.events("proxy cannot start")
    assert event["error"] == f"cannot listen on 127.0.0.1:{port}: Address already in use"


def test_no_secret_is_on_a_command_line(proxy):
    [pid] = proxy.workers()
    for process in (pid, proxy.process.pid):
        with (
            open(f"/proc/{process}/cmdline", "rb") as command,
            open(f"/proc/{process}/environ", "rb") as environment,
        ):
            assert b"app-current" not in command.read() + environment.read()
