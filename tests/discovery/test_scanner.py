import asyncio
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from discovery.errors import ThrottledError
from discovery.model import SourceState
from discovery.scanner import Scanner
from discovery.source import Skipped
from tests.discovery.records import answer, database, user

THROTTLED = ThrottledError("too fast", operation="elasticache:DescribeUsers", code="Throttling")


class Scripted:
    """A source that answers, or raises, or waits for, one thing after the other; the last one for ever."""

    def __init__(self, name, *script):
        self.name = name
        self.script = list(script)

    async def read(self):
        step = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(step, asyncio.Event):
            await step.wait()
            return await self.read()
        if isinstance(step, Exception):
            raise step
        return step


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def events(logs, *names):
    return [one for one in logs if one["event"] in names]


async def test_a_scan_reads_every_source_into_one_inventory():
    scanner = Scanner(
        [
            Scripted("east", answer([database("orders")], [user("app", ["orders"])])),
            Scripted("static", answer([database("legacy", None)])),
        ],
        clock=Clock(),
    )
    inventory = await scanner.scan()
    assert list(inventory.databases) == ["legacy", "orders"]
    assert [one.databases for one in inventory.users.values()] == [("orders",)]
    assert inventory.sources == (SourceState("east", 1000.0, None), SourceState("static", 1000.0, None))
    assert scanner.inventory is inventory


async def test_a_source_that_fails_keeps_its_last_good_answer_and_says_so():
    clock = Clock()
    scanner = Scanner(
        [
            Scripted("east", answer([database("orders")], [user("app", ["orders"])]), THROTTLED),
            Scripted("west", answer([database("stock")]), answer([])),
        ],
        clock=clock,
    )
    await scanner.scan()
    clock.now += 300
    with capture_logs() as logs:
        inventory = await scanner.scan()
        await scanner.scan()
    assert list(inventory.databases) == ["orders"]
    assert len(inventory.users) == 1
    assert inventory.sources == (
        SourceState("east", 1000.0, "too fast", stale=True),
        SourceState("west", 1300.0, None),
    )
    [failed] = events(logs, "source_failed")  # once, not at every scan
    assert failed["source"] == "east"
    assert failed["error"] == "too fast"
    assert failed["last_good_seconds_ago"] == 300


async def test_a_source_that_recovers_is_believed_again():
    scanner = Scanner([Scripted("east", answer([database("orders")]), THROTTLED, answer([]))])
    await scanner.scan()
    assert list((await scanner.scan()).databases) == ["orders"]
    with capture_logs() as logs:
        inventory = await scanner.scan()
    assert inventory.databases == {}
    assert [one["event"] for one in logs] == ["source_recovered", "database_gone"]


async def test_a_source_that_never_answered_says_so_and_hides_nothing():
    scanner = Scanner(
        [Scripted("east", THROTTLED), Scripted("west", answer([database("stock")]))], clock=Clock()
    )
    inventory = await scanner.scan()
    assert list(inventory.databases) == ["stock"]
    assert inventory.sources[0] == SourceState("east", None, "too fast", stale=False)


async def test_a_bug_in_one_source_is_that_sources_failure():
    scanner = Scanner(
        [Scripted("east", KeyError("ARN")), Scripted("west", answer([database("stock")]))], clock=Clock()
    )
    with capture_logs() as logs:
        inventory = await scanner.scan()
    assert list(inventory.databases) == ["stock"]
    assert inventory.sources[0].error == "unexpected KeyError: 'ARN'"
    assert events(logs, "source_broken")[0]["source"] == "east"


async def test_a_source_that_hangs_is_given_up():
    scanner = Scanner(
        [Scripted("east", asyncio.Event()), Scripted("west", answer([database("stock")]))],
        timeout=timedelta(milliseconds=1),
    )
    inventory = await scanner.scan()
    assert list(inventory.databases) == ["stock"]
    assert inventory.sources[0].error == "no answer within 0.001 seconds"


async def test_after_the_first_scan_no_source_waits_for_another():
    slow, told = asyncio.Event(), asyncio.Queue()
    scanner = Scanner(
        [
            Scripted("slow", answer([database("orders")]), slow, answer([])),
            Scripted("fast", answer([database("old")]), answer([database("stock")])),
        ],
        on_inventory=told.put_nowait,
    )
    await scanner.scan()
    assert list(told.get_nowait().databases) == ["old", "orders"]  # once and whole: names depend on all
    assert told.empty()
    async with asyncio.TaskGroup() as group:
        group.create_task(scanner.scan())
        assert list((await told.get()).databases) == ["orders", "stock"]
        slow.set()
    assert list(told.get_nowait().databases) == ["stock"]
    assert told.empty()


async def test_a_scan_that_finds_nothing_new_tells_nobody():
    told = []
    scanner = Scanner([Scripted("east", answer([database("orders")]))], on_inventory=told.append)
    await scanner.scan()
    with capture_logs() as logs:
        await scanner.scan()
    assert len(told) == 1
    assert logs == []


async def test_each_thing_that_changes_is_one_event():
    first = answer([database("orders")], [user("app", ["orders"]), user("web", ["orders"], managed=True)])
    second = answer([database("orders"), database("stock")], [user("app", ["orders"], managed=True)])
    scanner = Scanner([Scripted("east", first, second)])
    await scanner.scan()
    with capture_logs() as logs:
        await scanner.scan()
    assert [(one["event"], one.get("database") or one["user"]) for one in logs] == [
        ("database_found", "stock"),
        ("user_tagged", "elasticache/us-east-1/111111111111/user/app"),
        ("user_gone", "elasticache/us-east-1/111111111111/user/web"),
    ]


async def test_what_is_left_out_is_said_once():
    plain = Skipped("replication group plain", "in-transit encryption is off")
    scanner = Scanner([Scripted("east", answer(skipped=[plain]))])
    with capture_logs() as logs:
        await scanner.scan()
        await scanner.scan()
    [skipped] = events(logs, "resource_skipped")
    assert skipped["log_level"] == "info"
    assert skipped["reason"] == "in-transit encryption is off"


async def test_what_will_pass_is_said_at_debug():
    scanner = Scanner([Scripted("east", answer(skipped=[Skipped("x", "it is creating", passing=True)]))])
    with capture_logs() as logs:
        await scanner.scan()
    assert events(logs, "resource_skipped")[0]["log_level"] == "debug"


async def test_a_scan_can_be_cancelled_and_the_next_one_works():
    scanner = Scanner([Scripted("east", asyncio.Event(), answer([database("orders")]))])
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await scanner.scan()
    assert list((await scanner.scan()).databases) == ["orders"]


async def test_scans_asked_for_at_once_run_one_after_the_other():
    class Counting:
        name = "east"
        running = most = reads = 0

        async def read(self):
            self.running += 1
            self.reads += 1
            self.most = max(self.most, self.running)
            await asyncio.sleep(0)
            self.running -= 1
            return answer([])

    source = Counting()
    scanner = Scanner([source])
    await asyncio.gather(scanner.scan(), scanner.scan(), scanner.scan())
    assert (source.reads, source.most) == (3, 1)


async def test_without_sources_there_is_nothing():
    assert (await Scanner([]).scan()).databases == {}


def test_two_sources_of_one_name_are_refused():
    with pytest.raises(ValueError, match="same name"):
        Scanner([Scripted("east", answer()), Scripted("east", answer())])
