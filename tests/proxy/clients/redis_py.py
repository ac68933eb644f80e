"""What applications do, with redis-py's blocking client."""

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.proxy.clients.way import BINARY, LARGE, MANY, PATIENCE, STEPS, digest

__all__ = ["play"]


def play(way, protocol):
    """Every step's name and what the client was told."""
    with _Scenario(way, protocol) as scenario:
        return scenario.play()


class _Scenario(contextlib.ExitStack):
    def __init__(self, way, protocol):
        super().__init__()
        self.way = way
        self.key = way.key
        self.protocol = protocol
        self.client = self.open()
        self.other = self.open()

    def open(self, **options):
        """One connection, that is not made again if it ends."""
        way = self.way
        address = {"unix_socket_path": way.path} if way.path else {"host": way.host, "port": way.port}
        if way.ca_file:
            address |= {"ssl": True, "ssl_ca_certs": way.ca_file}
        login = {"username": "app", "password": way.password}
        fixed = {"protocol": self.protocol, "single_connection_client": True, "retry": Retry(NoBackoff(), 0)}
        return self.enter_context(redis.Redis(**(address | login | fixed | options)))

    def play(self):
        return [[step, getattr(self, step)()] for step in STEPS]

    def login(self):
        again = self.client.auth(self.way.password, "app")
        refused = [self._refused(), self._refused(password="wrong")]
        return [self.client.ping(), self.client.acl_whoami(), again, refused]

    def _refused(self, **login):
        """What a connection is told that does not log in, or not well."""
        try:
            return self.open(**({"username": "legacy" if login else None, "password": None} | login)).get("x")
        except redis.RedisError as error:
            return error

    def name(self):
        before = self._info()
        self.client.client_setname(self.key("shop"))
        return [before, self.client.client_getname(), self._info()]

    def _info(self):
        info = self.client.client_info()
        return {
            field: info[field] for field in ("name", "db", "user", "resp", "flags", "sub", "multi", "cmd")
        }

    def values(self):
        client, key = self.client, self.key
        return [
            client.set(key("a"), "hällo"),
            client.set(key("a"), "x", nx=True),
            client.get(key("a")),
            client.get(key("none")),
            client.mset({key("b"): 1, key("c"): 2}),
            client.mget(key("a"), key("none"), key("b")),
            client.incrbyfloat(key("c"), 0.5),
            client.expire(key("b"), 100),
            client.persist(key("b")),
            client.hset(key("h"), mapping={"one": 1, "two": 2}),
            client.hgetall(key("h")),
            client.sadd(key("s"), "x", "y"),
            client.smembers(key("s")),
            client.zadd(key("z"), {"one": 1.5, "two": 2}),
            client.zrange(key("z"), 0, -1, withscores=True),
            client.xadd(key("x"), {"field": "value"}, id="1-1"),
            client.xrange(key("x")),
            client.exists(key("a"), key("none")),
            client.delete(key("a"), key("none")),
            client.type(key("h")),
        ]

    def binary(self):
        key = self.key("bin") + "\x00\xff\r\n"
        return [self.client.set(key, BINARY), self.client.append(key, BINARY), self.client.get(key)]

    def large(self):
        self.client.set(self.key("large"), LARGE)
        value = self.client.get(self.key("large"))
        return [digest(value), self.client.strlen(self.key("large")), self.client.unlink(self.key("large"))]

    def pipeline(self):
        pipe = self.client.pipeline(transaction=False)
        for n in range(1000):
            pipe.set(self.key("p"), n).get(self.key("p")).incr(self.key("n"))
        return digest(repr(pipe.execute()).encode())

    def transaction(self):
        answers = []
        with self.client.pipeline() as pipe:
            answers.append(pipe.set(self.key("t"), 1).incr(self.key("t")).get(self.key("t")).execute())
            pipe.lpush(self.key("t"), "x").incr(self.key("t"))
            answers.append(pipe.execute(raise_on_error=False))
            for conflict in (False, True):
                pipe.watch(self.key("t"))
                found = pipe.get(self.key("t"))
                if conflict:
                    self.other.set(self.key("t"), "meanwhile")
                pipe.multi()
                pipe.set(self.key("t"), found + b"0")
                try:
                    answers.append(pipe.execute())
                except redis.WatchError as error:
                    answers.append(error)
            answers.append(pipe.set(self.key("t"), 1).execute_command("NOSUCH"))
            try:
                pipe.execute()
            except redis.RedisError as error:
                answers.append(error)
        return [*answers[:4], answers[5], self.client.get(self.key("t"))]

    def pubsub(self):
        """Two listen to each other, and go on with commands of their own."""
        key, heard = self.key, []
        with self.client.pubsub() as here, self.other.pubsub() as there:

            def hear(channel, times=1):
                heard.extend(channel.get_message(timeout=PATIENCE) for _ in range(times))

            here.subscribe(key("one"), key("two"))
            here.psubscribe(key("pattern*"))
            here.ssubscribe(key("shard"))
            there.subscribe(key("three"))
            hear(here, 4)
            hear(there)
            for n in range(10):
                heard.append(self.other.publish(key("one"), n))
                heard.append(self.client.publish(key("three"), BINARY))
                heard.append(self.client.incr(key("heard")))
                hear(here)
                hear(there)
            self.other.publish(key("pattern-x"), "by pattern")
            self.other.spublish(key("shard"), "by shard")
            hear(here, 2)
            heard.append(self.client.pubsub_numsub(key("one"), key("three")))
            here.ping("still there")
            hear(here)
            here.sunsubscribe()
            here.punsubscribe()
            here.unsubscribe(key("two"))
            here.unsubscribe(key("one"))
            hear(here, 4)
        return heard

    def blocking(self):
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(self.client.blpop, [self.key("none"), self.key("queue")], PATIENCE)
            self._until_blocked()
            pushed = self.other.rpush(self.key("queue"), BINARY, "more")
            woken = waiting.result()
        return [
            pushed,
            woken,
            self.client.blpop(self.key("queue"), 1),
            self.client.blpop(self.key("queue"), 0.01),
        ]

    def _until_blocked(self):
        end = time.monotonic() + PATIENCE
        name = self.key("shop")
        while not any(c["name"] == name and c["cmd"] == "blpop" for c in self.other.client_list()):
            assert time.monotonic() < end
            time.sleep(0.002)

    def scan(self):
        self.client.mset({self.key(f"scan:{n}"): n for n in range(300)})
        self.client.hset(self.key("scanned"), mapping={f"field{n}": n for n in range(600)})
        found = set(self.client.scan_iter(self.key("scan:*"), count=50))
        return [found, dict(self.client.hscan_iter(self.key("scanned"), count=50))]

    def scripts(self):
        script = self.client.register_script(
            "return {KEYS[1], ARGV[1], redis.call('INCR', KEYS[1]), {false, 'x'}}"
        )
        answers = [script(keys=[self.key("lua")], args=[BINARY]) for _ in range(2)]
        answers.append(self.client.script_exists(script.sha, "0" * 40))
        return [*answers, self.client.eval("return redis.status_reply('FINE')", 0)]

    def errors(self):
        self.client.rpush(self.key("list"), "x")
        commands = (
            ("GET", self.key("list")),
            ("NOSUCH", "x"),
            ("GET",),
            ("SET", self.key("a"), "x", "nonsense"),
            ("INCR", self.key("list")),
            ("EVALSHA", "0" * 40, 0),
            ("EVAL", "return redis.error_reply('MINE this one')", 0),
            ("EVAL", "nonsense", 0),
            ("SELECT", 99),
            ("AUTH", "legacy", "wrong"),
            ("HELLO", 9),
            ("EXEC",),
            ("ACL", "NOSUCH"),
        )
        return [*(self._error(*command) for command in commands), self.client.acl_whoami()]

    def _error(self, *command):
        try:
            return self.client.execute_command(*command)
        except redis.RedisError as error:
            return error

    def tracking(self):
        """The database says which of the keys that were read have changed: by a push, or to a connection in RESP2."""
        told = []
        with self.other.pubsub() as listener:
            if self.protocol == 2:
                listener.execute_command("CLIENT", "ID")
                number = listener.parse_response()
                listener.subscribe("__redis__:invalidate")
                listener.get_message(timeout=PATIENCE)
                how = ("REDIRECT", number)
            else:
                self.client.connection._parser.set_invalidation_push_handler(told.append)
                how = ()
            on = self.client.execute_command("CLIENT", "TRACKING", "ON", *how)
            self.client.get(self.key("b"))
            changed = self.other.set(self.key("b"), "changed")
            if self.protocol == 2:
                told.append(listener.get_message(timeout=PATIENCE)["data"])
            after = self.client.get(self.key("b"))
            off = self.client.execute_command("CLIENT", "TRACKING", "OFF")
        return [on, changed, told, after, off]

    def select(self):
        with self.open(db=5) as fifth:
            fifth.set(self.key("five"), 5)
            answers = [fifth.client_info()["db"], self.client.get(self.key("five")), self.client.select(5)]
            answers += [self.client.get(self.key("five")), self.client.delete(self.key("five"))]
            return [*answers, self.client.select(0), self.client.get(self.key("b"))]

    def parallel(self):
        name = self.key("parallel")

        def work(n):
            client = self.open(client_name=name)
            return [client.set(f"{name}{n}", n), client.get(f"{name}{n}"), client.client_getname()]

        with ThreadPoolExecutor(MANY) as pool:
            answers = list(pool.map(work, range(MANY)))
        return [answers, sum(client["name"] == name for client in self.client.client_list())]

    def leave(self):
        return [self.client.quit(), self.other.close()]
