"""What one program of the proxy leaves to the next, and what comes of versions that do not understand each other."""

import asyncio
import os
import socket
import subprocess
import sys

import pytest

from proxy import reload
from proxy.counters import Counters
from proxy.directory import to_wire
from proxy.errors import HandoverError
from proxy.handover import VARIABLE, Handover, receive, sealed
from proxy.link import HeldLink, Link
from proxy.listener import BACKLOG
from proxy.member import HeldMember, Member
from proxy.orders import Ready, SayReady, Start
from proxy.settings import ProxySettings, WorkerSettings
from proxy.sockets import Address, OpenSocket, Sockets
from proxy.staff import HeldStaff
from tests.proxy.proxykit import credential, directory, free_port
from tests.proxy.test_life import Novelty


@pytest.fixture
def handover(tmp_path):
    lock = os.open(tmp_path / "lock", os.O_CREAT | os.O_RDWR)
    yield Handover(
        runtime_dir=tmp_path,
        started_at=1.0,
        lock=lock,
        directory=directory(credentials=[credential()]),
        sockets=(),
        staff=HeldStaff(serial=1, dead=Counters(), members=()),
    )
    os.close(lock)


@pytest.fixture
def left(monkeypatch):
    """Leave a file to the next program; it is that program's to close."""

    def leave(descriptor):
        monkeypatch.setenv(VARIABLE, str(os.dup(descriptor)))

    return leave


def test_what_is_left_is_received_once_secrets_included(handover, left):
    with sealed(handover) as descriptor:
        left(descriptor)
        with pytest.raises(PermissionError):
            os.write(descriptor, b"x")
    settings = ProxySettings(runtime_dir=handover.runtime_dir)
    assert receive(settings) == handover
    assert VARIABLE not in os.environ
    assert receive(settings) is None


def test_another_folder_and_another_versions_words_are_refused_and_not_quoted(handover, left, tmp_path):
    with sealed(handover) as descriptor:
        left(descriptor)
        with pytest.raises(HandoverError, match="to move it, restart it"):
            receive(ProxySettings(runtime_dir=tmp_path / "elsewhere"))
    with (tmp_path / "left").open("w+b") as file:
        file.write(to_wire(handover).replace(b"started_at", b"begun"))
        file.seek(0)
        left(file.fileno())
        with pytest.raises(
            HandoverError, match=r"not understood at: begun, started_at\); restart it"
        ) as caught:
            receive(ProxySettings(runtime_dir=tmp_path))
    assert "app-current" not in str(caught.value)


def test_a_program_that_cannot_be_executed_leaves_all_as_it_was(handover, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/no/such/program")
    assert reload.replace(handover) == "No such file or directory"
    assert not os.get_inheritable(handover.lock)


async def test_a_check_that_cannot_be_started_is_a_fault(handover, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/no/such/program")
    assert await reload.fault(handover) == "the check can't be started: No such file or directory"


async def test_a_link_goes_on_in_the_middle_of_a_line_and_behind_a_full_buffer():
    ours, theirs = socket.socketpair()
    heard = asyncio.Queue()
    link = Link(ours, heard.put_nowait, lambda: None)
    theirs.sendall(b"first\nsec")
    assert await heard.get() == b"first"
    lines = [b"%d%b\n" % (number, b"x" * 100_000) for number in range(20)]
    for line in lines:
        link.send(line, os.open(os.devnull, os.O_RDONLY))
    held = link.held()
    assert held.received == b"sec"
    assert 0 < len(held.outgoing) < 20

    asyncio.get_running_loop().remove_writer(ours.fileno())
    asyncio.get_running_loop().remove_reader(ours.fileno())
    ours.detach()  # as in the next program, which knows the number alone
    resumed = Link.resume(held, heard.put_nowait, lambda: None)
    theirs.sendall(b"ond\n")
    assert await heard.get() == b"second"
    peer_heard = asyncio.Queue()
    peer = Link(theirs, peer_heard.put_nowait, lambda: None)
    for line in lines:
        assert await peer_heard.get() == line[:-1]
        os.close(peer.descriptor())
    resumed.close()
    assert resumed.held() is None
    peer.close()


def test_sockets_that_are_there_are_used_and_those_that_nobody_asks_for_closed(short_dir):
    first = Sockets()
    port, other = free_port(), free_port()
    by_path = Address(short_dir / "a.sock", None, None, None)
    first.open(by_path)
    first.open(Address(short_dir / "b.sock", None, None, None))
    first.open(Address(None, ("127.0.0.1", port), None, None))
    first.open(Address(None, ("127.0.0.1", other), None, None))
    held = first.held()
    for opened in first:
        opened.socket.detach()  # as in the next program, which knows the numbers alone
    second = Sockets(held)
    assert second.open(by_path).socket.fileno() == held[0].descriptor
    by_name = second.open(Address(None, ("localhost", port), "orders", "app"))
    assert by_name.socket.getsockname() == ("127.0.0.1", port)
    by_name_too = Address(None, ("localhost", other), None, None)  # not opened yet, and not given up
    assert second.close_unasked([by_name_too]) == [str(short_dir / "b.sock")]
    second.open(by_name_too)
    assert not (short_dir / "b.sock").exists()
    assert second.held() == (held[0], held[2], held[3])
    for opened in second:
        second.close(opened.address.name)
    assert not by_path.path.exists()


@pytest.fixture
def stranger():
    """A process that says what no parent knows, and ends well when that hangs up; and this end of its link."""
    ours, theirs = socket.socketpair()
    program = (
        "import socket, sys; sock = socket.socket(fileno=int(sys.argv[1]));"
        """ sock.sendall(b'{"type": "novelty"}\\n'); sys.exit(len(sock.recv(1)))"""
    )
    with theirs:
        command = [sys.executable, "-c", program, str(theirs.fileno())]
        child = subprocess.Popen(command, pass_fds=[theirs.fileno()])
    yield child.pid, ours.detach()
    child.wait()


async def test_a_worker_that_is_not_understood_is_hung_up_on(stranger):
    pid, descriptor = stranger
    link = HeldLink(descriptor=descriptor, received=b"", outgoing=())
    held = HeldMember(pid=pid, applied=7, counters=Counters(), link=link)
    member = Member.resume(held, lambda *_: None)
    assert (member.applied, member.held()) == (7, held)
    assert await member.ended() == 0
    assert member.applied == 0, "nothing waits for it any more"
    assert member.held().link is None


async def test_a_worker_that_does_not_understand_lets_its_clients_go_in_good_order(short_dir):
    answers = asyncio.Queue()
    member = Member.start(("error", "json"), lambda _, answer: answers.put_nowait(answer))
    settings = ProxySettings(drain_timeout=0.01)
    path = short_dir / "all.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen(BACKLOG)
        member.tell(to_wire(Start(settings=WorkerSettings.of(settings), uid=os.getuid(), gid=os.getgid())))
        member.hand_over(OpenSocket(Address(path, None, None, None), listening))
        member.tell(to_wire(SayReady()))
        assert await answers.get() == Ready()
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"PING\r\n")
        assert (await reader.readline()).startswith(b"-NOAUTH")
        member.tell(to_wire(Novelty()))
        assert await reader.read() == b"-ERR valkeeper: the proxy is shutting down; connect again\r\n"
        writer.close()
        await writer.wait_closed()
    assert await member.ended() == 0
