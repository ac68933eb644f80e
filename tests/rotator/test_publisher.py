"""The directory socket, with real sockets: what proxies are sent, and what they may say."""

import asyncio
import os
import subprocess
import sys
from contextlib import asynccontextmanager

import pytest

from proxy.channel import MAX_LINE, Channel
from proxy.counters import Counters, DatabaseCounters
from proxy.messages import (
    Acknowledged,
    AskSessions,
    EndSessions,
    FromRotator,
    Hello,
    Rejected,
    Report,
    SessionRecord,
    SessionsPart,
    Whole,
)
from proxy.rollcall import RollCall
from rotator.catalogue import Catalogue
from rotator.publisher import Publisher
from rotator.sessions import SessionsHeard
from tests.rotator.records import credential, inventory, user, user_key

APP = user_key()


@pytest.fixture
def catalogue():
    catalogue = Catalogue()
    catalogue.take_inventory(inventory(user()))
    catalogue.take_credentials([credential()])
    return catalogue


@pytest.fixture
async def publisher(catalogue, short_dir):
    publisher = Publisher(short_dir / "directory.sock", catalogue, lambda *refused: refusals.append(refused))
    refusals = publisher.refusals = []
    publisher.path = short_dir / "directory.sock"
    ready = asyncio.Event()
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        serving = group.create_task(publisher.serve(ready))
        await ready.wait()
        yield publisher
        serving.cancel()


@asynccontextmanager
async def connected(publisher):
    reader, writer = await asyncio.open_unix_connection(publisher.path, limit=MAX_LINE)
    channel = Channel(reader, writer)
    await channel.send(Hello(pid=os.getpid(), workers=2, started_at=0.0))
    try:
        yield channel
    finally:
        channel.close()


async def until(true):
    while not true():  # noqa: ASYNC110 -- what is waited for happens in this loop's other tasks
        await asyncio.sleep(0)


async def test_the_socket_is_its_owners_alone(publisher):
    assert publisher.path.stat().st_mode & 0o777 == 0o600


async def test_a_proxy_is_sent_the_whole_directory_and_then_what_changes(publisher, catalogue):
    async with connected(publisher) as channel:
        whole = await channel.receive(FromRotator)
        assert whole == Whole(directory=catalogue.directory)
        assert whole.directory.credentials[str(APP)].current.get_secret_value() == "secret-v1"
        publisher.publish(catalogue.take_credentials([credential(version="v2")]))
        changed = await channel.receive(FromRotator)
        assert whole.directory.updated(changed.update) == catalogue.directory


async def test_a_proxy_that_comes_before_anything_is_known_is_told_nothing_until_then(short_dir):
    """It may still know what another rotator told it."""
    catalogue, ready = Catalogue(), asyncio.Event()
    publisher = Publisher(short_dir / "directory.sock", catalogue, lambda *_: None)
    publisher.path = short_dir / "directory.sock"
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        serving = group.create_task(publisher.serve(ready))
        await ready.wait()
        async with connected(publisher) as channel:
            await until(lambda: publisher.proxies and publisher.proxies[0].workers == 2)
            publisher.publish(catalogue.take_inventory(inventory(user())))
            assert await channel.receive(FromRotator) == Whole(directory=catalogue.directory)
        serving.cancel()


async def test_a_version_counts_as_served_when_every_connected_proxy_has_said_so(publisher, catalogue):
    async with connected(publisher) as first, connected(publisher) as second:
        await first.receive(FromRotator)
        await second.receive(FromRotator)
        version = catalogue.directory.version
        await first.send(Acknowledged(version=version, workers=2))
        assert not await publisher.acknowledged(APP, "v1", 0.01)
        await second.send(Acknowledged(version=version, workers=2))
        assert await publisher.acknowledged(APP, "v1", 10)


async def test_a_proxy_that_goes_is_waited_for_no_longer(publisher):
    async with connected(publisher) as channel:
        await channel.receive(FromRotator)
        assert not await publisher.acknowledged(APP, "v1", 0.01)
    assert await publisher.acknowledged(APP, "v1", 10)


async def test_what_was_never_offered_needs_no_acknowledgement(publisher):
    async with connected(publisher) as channel:
        await channel.receive(FromRotator)
        assert await publisher.acknowledged(APP, "never-published", 0.01)


async def test_a_proxy_that_leaves_updates_unread_is_hung_up_on(publisher, monkeypatch):
    monkeypatch.setattr("rotator.publisher._PATIENCE", 0.0)
    async with connected(publisher) as channel:
        await channel.receive(FromRotator)
        assert not await publisher.acknowledged(APP, "v1", 0.01)
        assert await channel.receive(FromRotator) is None
    assert await publisher.acknowledged(APP, "v1", 10)


async def test_rejections_and_counters_are_heard(publisher):
    counters = Counters(databases={"orders": DatabaseCounters(connections=3)})
    async with connected(publisher) as channel:
        await channel.send(Report(counters=counters))
        await channel.send(Rejected(credential=str(APP), version="v1", database="orders"))
        await until(lambda: publisher.refusals)
        assert publisher.refusals == [(str(APP), "v1")]
        assert publisher.counters == counters


async def test_a_proxy_that_talks_nonsense_is_hung_up_on_and_others_are_not(publisher, catalogue):
    async with connected(publisher) as good, connected(publisher) as bad:
        await good.receive(FromRotator)
        await bad.receive(FromRotator)
        bad._writer.write(b'{"type": "surprise"}\n')
        assert await bad.receive(FromRotator) is None
        publisher.publish(catalogue.take_credentials([credential(version="v2")]))
        assert (await good.receive(FromRotator)).update.credentials[0].version == "v2"


def session(name):
    return SessionRecord(
        id=name, identity="uid 0", uid=0, pid=1, database="orders", user="app", state="open", since=0.0,
        commands=0, bytes_from_client=0, bytes_from_database=0,
    )  # fmt: skip


async def test_sessions_of_all_proxies_are_told_together(publisher):
    async with connected(publisher) as first, connected(publisher) as second:
        await first.receive(FromRotator)
        await second.receive(FromRotator)
        async with asyncio.TaskGroup() as group:
            asking = group.create_task(publisher.sessions())
            for channel, name, silent in ((first, "1-1", 0), (second, "2-1", 1)):
                question = await channel.receive(FromRotator)
                assert isinstance(question, AskSessions)
                await channel.send(SessionsPart(number=question.number, sessions=(session(name),)))
                await channel.send(SessionsPart(number=question.number, last=True, silent=silent))
    heard = asking.result()
    assert {one.id for one in heard.sessions} == {"1-1", "2-1"}
    assert (heard.proxies, heard.silent) == (2, 1)


async def test_sessions_are_ended_by_whichever_proxy_has_them(publisher):
    async with connected(publisher) as channel:
        await channel.receive(FromRotator)
        async with asyncio.TaskGroup() as group:
            ending = group.create_task(publisher.end_sessions({"1-1"}, "it is time"))
            question = await channel.receive(FromRotator)
            assert question == EndSessions(number=question.number, ids=("1-1",), reason="it is time")
            await channel.send(SessionsPart(number=question.number, sessions=(session("1-1"),), last=True))
    assert ending.result() == SessionsHeard((session("1-1"),), proxies=1, silent=0)


async def test_a_proxy_that_says_nothing_of_sessions_is_left_out(publisher, monkeypatch):
    monkeypatch.setattr(publisher, "_roll", RollCall(0.0))
    async with connected(publisher) as channel:
        await channel.receive(FromRotator)
        assert await publisher.sessions() == SessionsHeard((), proxies=1, silent=1)


async def test_a_proxy_that_goes_is_asked_for_its_sessions_no_longer(publisher):
    async with asyncio.TaskGroup() as group, connected(publisher) as channel:
        await channel.receive(FromRotator)
        asking = group.create_task(publisher.sessions())
        assert isinstance(await channel.receive(FromRotator), AskSessions)
    assert asking.result() == SessionsHeard((), proxies=1, silent=0)


async def test_without_a_proxy_no_sessions_are_known(publisher):
    assert await publisher.sessions() == SessionsHeard((), proxies=0, silent=0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
async def test_another_users_process_is_told_nothing(publisher, short_dir):
    """Even where the socket's mode would let it in."""
    publisher.path.chmod(0o666)
    program = (
        "import os, socket, sys; os.setgroups([]); os.setgid(65534); os.setuid(65534);"
        "s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.settimeout(10); print(len(s.recv(1)))"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program, str(publisher.path)), stdout=subprocess.PIPE
    )
    answer, _ = await process.communicate()
    assert answer == b"0\n"
