"""What applications do, with redis-py's asyncio client."""

import asyncio
import contextlib

import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from tests.proxy.clients.way import BINARY, LARGE, MANY, PATIENCE, STEPS, digest

__all__ = ["play"]


def play(way, protocol):
    """Every step's name and what the client was told."""

    async def run():
        async with asyncio.timeout(30), _Scenario(way, protocol) as scenario:
            return await scenario.play()

    return asyncio.run(run())


class _Scenario(contextlib.AsyncExitStack):
    def __init__(self, way, protocol):
        super().__init__()
        self.way = way
        self.key = way.key
        self.protocol = protocol

    async def open(self, **options):
        """One connection, that is not made again if it ends."""
        way = self.way
        address = {"unix_socket_path": way.path} if way.path else {"host": way.host, "port": way.port}
        if way.ca_file:
            address |= {"ssl": True, "ssl_ca_certs": way.ca_file}
        login = {"username": "app", "password": way.password}
        fixed = {"protocol": self.protocol, "single_connection_client": True, "retry": Retry(NoBackoff(), 0)}
        return await self.enter_async_context(redis.Redis(**(address | login | fixed | options)))

    async def play(self):
        self.client = await self.open()
        self.other = await self.open()
        return [[step, await getattr(self, step)()] for step in STEPS]

    async def login(self):
        refused = [
            await self._refused(username=None),
            await self._refused(username="legacy", password="wrong"),
        ]
        again = await self.client.auth(self.way.password, "app")
        return [await self.client.ping(), await self.client.acl_whoami(), again, refused]

    async def _refused(self, **login):
        """What a connection is told that does not log in, or not well."""
        try:
            async with await self.open(**({"password": None} | login)) as client:
                return await client.get("x")
        except redis.RedisError as error:
            return str(error)  # over a Unix socket, redis-py's asyncio makes every one a ConnectionError

    async def name(self):
        before = await self._info()
        await self.client.client_setname(self.key("shop"))
        return [before, await self.client.client_getname(), await self._info()]

    async def _info(self):
        info = await self.client.client_info()
        return {
            field: info[field] for field in ("name", "db", "user", "resp", "flags", "sub", "multi", "cmd")
        }

    async def values(self):
        client, key = self.client, self.key
        return [
            await client.set(key("a"), "hällo"),
            await client.set(key("b"), 1),
            await client.mget(key("a"), key("none"), key("b")),
            await client.incrbyfloat(key("c"), 0.5),
            await client.hset(key("h"), mapping={"one": 1, "two": 2}),
            await client.hgetall(key("h")),
            await client.zadd(key("z"), {"one": 1.5, "two": 2}),
            await client.zrange(key("z"), 0, -1, withscores=True),
            await client.geoadd(key("g"), [13.361389, 38.115556, "Palermo"]),
            await client.geopos(key("g"), "Palermo"),
            await client.expire(key("b"), 100),
            await client.delete(key("a"), key("none")),
        ]

    async def binary(self):
        key = self.key("bin") + "\x00\xff\r\n"
        return [
            await self.client.set(key, BINARY),
            await self.client.append(key, BINARY),
            await self.client.get(key),
        ]

    async def large(self):
        await self.client.set(self.key("large"), LARGE)
        return [digest(await self.client.get(self.key("large"))), await self.client.unlink(self.key("large"))]

    async def pipeline(self):
        pipe = self.client.pipeline(transaction=False)
        for n in range(1000):
            pipe.set(self.key("p"), n).get(self.key("p")).incr(self.key("n"))
        return digest(repr(await pipe.execute()).encode())

    async def transaction(self):
        answers, key = [], self.key("t")
        async with self.client.pipeline() as pipe:
            answers.append(await pipe.set(key, 1).incr(key).get(key).execute())
            answers.append(await pipe.lpush(key, "x").incr(key).execute(raise_on_error=False))
            for conflict in (False, True):
                await pipe.watch(key)
                found = await pipe.get(key)
                if conflict:
                    await self.other.set(key, "meanwhile")
                pipe.multi()
                answers.append(await _told(pipe.set(key, found + b"0").execute()))
            answers.append(await _told(pipe.set(key, 1).execute_command("NOSUCH").execute()))
        return [*answers, await self.client.get(key)]

    async def pubsub(self):
        """Two listen to each other at the same time, and go on with commands of their own."""
        key = self.key
        async with self.client.pubsub() as here, self.other.pubsub() as there:
            await here.subscribe(key("one"), key("two"))
            await here.psubscribe(key("pattern*"))
            await here.ssubscribe(key("shard"))
            await there.subscribe(key("three"))
            heard = [await _heard(here, 4), await _heard(there, 1)]
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._publish(self.other, key("one"))),
                    group.create_task(self._publish(self.client, key("three"))),
                    group.create_task(_heard(here, 20)),
                    group.create_task(_heard(there, 20)),
                ]
            heard += [task.result() for task in tasks]
            await self.other.publish(key("pattern-x"), "by pattern")
            await self.other.spublish(key("shard"), "by shard")
            await here.ping("still there")
            heard.append(await _heard(here, 3))
            await here.sunsubscribe()
            await here.punsubscribe()
            await here.unsubscribe(key("two"))
            await here.unsubscribe(key("one"))
            return [*heard, await _heard(here, 4)]

    async def _publish(self, client, channel):
        return [[await client.publish(channel, n), await client.incr(f"{channel}:{n}")] for n in range(20)]

    async def blocking(self):
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(self.client.blpop([self.key("none"), self.key("queue")], PATIENCE))
            while not await self._is_blocked():
                pass
            pushed = await self.other.rpush(self.key("queue"), BINARY)
        return [pushed, waiting.result(), await self.client.blpop(self.key("queue"), 0.01)]

    async def _is_blocked(self):
        clients = await self.other.client_list()
        return any(client["name"] == self.key("shop") and client["cmd"] == "blpop" for client in clients)

    async def scan(self):
        await self.client.mset({self.key(f"scan:{n}"): n for n in range(300)})
        return {key async for key in self.client.scan_iter(self.key("scan:*"), count=50)}

    async def scripts(self):
        script = self.client.register_script(
            "return {KEYS[1], ARGV[1], redis.call('INCR', KEYS[1]), {false, 'x'}}"
        )
        answers = [await script(keys=[self.key("lua")], args=[BINARY]) for _ in range(2)]
        return [*answers, await self.client.script_exists(script.sha, "0" * 40)]

    async def errors(self):
        await self.client.rpush(self.key("list"), "x")
        commands = (
            ("GET", self.key("list")),
            ("NOSUCH", "x"),
            ("GET",),
            ("EVALSHA", "0" * 40, 0),
            ("EVAL", "return redis.error_reply('MINE this one')", 0),
            ("SELECT", 99),
            ("AUTH", "legacy", "wrong"),
            ("HELLO", 9),
            ("EXEC",),
        )
        return [await _told(self.client.execute_command(*command)) for command in commands]

    async def tracking(self):
        """The database says which of the keys that were read have changed: by a push, or to a connection in RESP2."""
        told, how = [], ()

        async def tell(message):
            told.append(message)

        async with self.other.pubsub() as listener:
            if self.protocol == 2:
                await listener.execute_command("CLIENT", "ID")
                how = ("REDIRECT", await listener.parse_response())
                await listener.subscribe("__redis__:invalidate")
                await _heard(listener, 1)
            else:
                self.client.connection._parser.set_invalidation_push_handler(tell)
            on = await self.client.execute_command("CLIENT", "TRACKING", "ON", *how)
            await self.client.get(self.key("b"))
            await self.other.set(self.key("b"), "changed")
            if self.protocol == 2:
                told += await _heard(listener, 1)
            after = await self.client.get(self.key("b"))
        return [on, told, after, await self.client.execute_command("CLIENT", "TRACKING", "OFF")]

    async def select(self):
        fifth = await self.open(db=5)
        answers = [await fifth.set(self.key("five"), 5), await self.client.get(self.key("five"))]
        answers += [await self.client.select(5), await self.client.get(self.key("five"))]
        return [*answers, await self.client.select(0), await self.client.get(self.key("b"))]

    async def parallel(self):
        name = self.key("parallel")

        async def work(n):
            client = await self.open(client_name=name)
            return [
                await client.set(f"{name}{n}", n),
                await client.get(f"{name}{n}"),
                await client.client_getname(),
            ]

        answers = await asyncio.gather(*(work(n) for n in range(MANY)))
        return [answers, sum(client["name"] == name for client in await self.client.client_list())]

    async def leave(self):
        return [await self.client.quit(), await self.other.aclose()]


async def _told(answer):
    """What is answered, error or not."""
    try:
        return await answer
    except redis.RedisError as error:
        return error


async def _heard(channel, times):
    return [await channel.get_message(timeout=PATIENCE) for _ in range(times)]
