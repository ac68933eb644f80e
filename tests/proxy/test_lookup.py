"""Who asks for a name that is being looked up gets the same answer, and nobody an older one."""

import asyncio
import contextlib
import socket

import pytest

from proxy.lookup import addresses


class Resolver:
    """Counts questions, and answers when it is told to."""

    def __init__(self):
        self.asked = []
        self.questions = asyncio.Queue()
        self.answer = asyncio.Event()
        self.error = None

    async def __call__(self, host, port, **_options):
        self.asked.append(host)
        self.questions.put_nowait(host)
        await self.answer.wait()
        if self.error is not None:
            raise self.error
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"{host} {len(self.asked)}", port))]


@pytest.fixture
async def resolver(monkeypatch):
    resolver = Resolver()
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolver)
    return resolver


@contextlib.asynccontextmanager
async def asking(*hosts):
    """Tasks that have all come to ask."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(addresses(host, 6379)) for host in hosts]
        await asyncio.sleep(0)
        yield tasks


async def test_one_lookup_serves_all_who_ask_meanwhile(resolver):
    async with asking("a", "a", "b", "a") as tasks:
        assert resolver.asked == ["a", "b"]
        resolver.answer.set()
    assert [task.result()[0][4][0][0] for task in tasks] == ["a", "a", "b", "a"]
    await addresses("a", 6379)
    assert resolver.asked == ["a", "b", "a"], "nothing is remembered"


async def test_all_hear_that_there_is_no_such_name(resolver):
    resolver.error = socket.gaierror(socket.EAI_NONAME, "no such name")
    asyncio.get_running_loop().call_later(0, resolver.answer.set)
    answers = await asyncio.gather(*(addresses("a", 6379) for _ in range(3)), return_exceptions=True)
    assert [answer.errno for answer in answers] == [socket.EAI_NONAME] * 3
    assert resolver.asked == ["a"]


async def test_who_gives_up_takes_nobody_along(resolver):
    async with asking("a", "a", "a") as (first, second, third):
        second.cancel()
        await resolver.questions.get()
        first.cancel()
        await resolver.questions.get()
        resolver.answer.set()
    assert first.cancelled()
    assert second.cancelled()
    assert third.result()[0][4] == ("a 2", 6379)


async def test_a_real_name_is_found():
    assert any(address[4][:2] == ("127.0.0.1", 6379) for address in await addresses("localhost", 6379))
