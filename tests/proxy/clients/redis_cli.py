"""What people do with redis-cli: commands on its standard input, and its own modes."""

import contextlib
import os
import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

from tests.proxy.clients.way import BINARY, LARGE, MANY, PATIENCE, STEPS, digest

__all__ = ["play"]

# Of CLIENT INFO and HELLO: what is a number of the connection's own.
_NUMBERS = re.compile(rb"\b(id|addr|laddr|fd|age|idle|qbuf|qbuf-free|rbs|rbp|tot-mem)[= ]\S+")


def play(way, protocol):
    """Every step's name and what redis-cli printed."""
    with _Scenario(way, protocol) as scenario:
        return scenario.play()


class _Scenario(contextlib.ExitStack):
    """In commands, ~ stands for the way's prefix."""

    def __init__(self, way, protocol):
        super().__init__()
        self.way = way
        self.protocol = protocol
        address = ["-s", way.path] if way.path else ["-h", way.host, "-p", f"{way.port}"]
        tls = ["--tls", "--cacert", way.ca_file] if way.ca_file else []
        # None of them waits forever.
        self._command = ["timeout", f"{2 * PATIENCE}", "redis-cli", f"-{protocol}", *address, *tls]

    def play(self):
        return [[step, getattr(self, step)()] for step in STEPS]

    def _start(self, *arguments, user="app", password=None):
        login = ["--user", user] if user else []
        environment = os.environ | ({"REDISCLI_AUTH": password or self.way.password} if user else {})
        command = [
            *self._command,
            *login,
            *(argument.replace("~", self.way.prefix) for argument in arguments),
        ]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        process = self.enter_context(subprocess.Popen(command, env=environment, **pipes))
        self.callback(process.terminate)
        return process

    def _run(self, *arguments, said=b"", **login):
        """All that it printed, and how it ended."""
        process = self._start(*arguments, **login)
        printed, _ = process.communicate(said, PATIENCE)
        return _NUMBERS.sub(rb"\1", printed), process.returncode

    def _say(self, *commands, **login):
        """What it printed about commands on its standard input."""
        said = "".join(f"{command}\n" for command in commands).replace("~", self.way.prefix)
        return self._run(said=said.encode(), **login)

    def _dialogue(self, *arguments):
        return _Dialogue(self._start(*arguments), self.way.prefix)

    def login(self):
        by_hand = f"AUTH app {self.way.password}"
        by_hello = f"HELLO 3 AUTH app {self.way.password} SETNAME ~shop"
        return [
            self._say("PING", "ACL WHOAMI"),
            self._say("ACL WHOAMI", user="legacy", password="wrong"),
            self._say("GET x", by_hand, "ACL WHOAMI", user=None),
            self._say(by_hello, "CLIENT GETNAME", "ACL WHOAMI", user=None),
        ]

    def name(self):
        return self._say("CLIENT INFO", "CLIENT SETNAME ~shop", "CLIENT GETNAME", "CLIENT INFO")

    def values(self):
        return self._say(
            "SET ~a hällo EX 100",
            "SET ~b 1",
            'APPEND ~a "with spaces, \\"quotes\\" and \\r\\n\\x00\\xff"',
            "MGET ~a ~none ~b",
            "INCRBYFLOAT ~c 0.5",
            "HSET ~h one 1 two 2",
            "HGETALL ~h",
            "ZADD ~z 1.5 one 2 two",
            "ZRANGE ~z 0 -1 WITHSCORES",
            "XADD ~x 1-1 field value",
            "XRANGE ~x - +",
            "DEL ~a ~none",
        )

    def binary(self):
        return [self._run("-x", "SET", "~bin", said=BINARY), self._run("GET", "~bin")]

    def large(self):
        stored = self._run("-x", "SET", "~large", said=LARGE)
        value, code = self._run("GET", "~large")
        return [stored, digest(value), code, self._run("UNLINK", "~large")]

    def pipeline(self):
        """Mass insertion: a file of commands."""
        commands = (
            "".join(f"INCRBY ~p {n}\r\n" for n in range(1000)).replace("~", self.way.prefix) + "NOSUCH\r\n"
        )
        return [self._run("--pipe", said=commands.encode()), self._run("GET", "~p")]

    def transaction(self):
        whole = self._say("MULTI", "SET ~t 1", "INCR ~t", "LPUSH ~t x", "EXEC", "MULTI", "NOSUCH", "EXEC")
        one, other = self._dialogue(), self._dialogue()
        told = [one.say("WATCH ~t"), one.say("GET ~t"), other.say("SET ~t meanwhile")]
        told += [one.say("MULTI"), one.say("SET ~t mine"), one.say("EXEC"), one.say("GET ~t")]
        return [whole, told, one.end(), other.end()]

    def pubsub(self):
        here, there = self._dialogue(), self._dialogue()
        told = [here.say("SUBSCRIBE ~one", 3), there.say("PSUBSCRIBE ~two*", 3)]
        told.append(self._say(*(f"PUBLISH ~one {n}\nPUBLISH ~two {n}\nINCR ~heard" for n in range(5))))
        told += [here.read(15), there.read(20)]
        return told  # they listen until they are killed

    def blocking(self):
        waiting, other = self._dialogue(), self._dialogue()
        number = waiting.say("CLIENT ID")[0].decode().strip()
        waiting.begin(f"BLPOP ~none ~queue {PATIENCE}")
        end = time.monotonic() + PATIENCE
        while b" cmd=blpop " not in other.say(f"CLIENT LIST ID {number}")[0]:
            assert time.monotonic() < end
        pushed = self._run("-x", "RPUSH", "~queue", said=b"first \xff")
        return [pushed, waiting.read(2), waiting.say("BLPOP ~queue 0.01"), waiting.end(), other.end()]

    def scan(self):
        self._run("MSET", *(word for n in range(300) for word in (f"~scan:{n}", f"{n}")))
        found, code = self._run("--scan", "--pattern", "~scan:*")
        return [set(found.split()), code]

    def scripts(self):
        lua = "return {KEYS[1], ARGV[1], redis.call('INCR', KEYS[1]), {false, 'x'}}"
        (sha, _) = loaded = self._run("SCRIPT", "LOAD", lua)
        called = self._say(f"EVALSHA {sha.decode().strip()} 1 ~lua x", f'EVAL "{lua}" 1 ~lua y')
        return [loaded, called]

    def errors(self):
        return self._say(
            "RPUSH ~list x",
            "GET ~list",
            "NOSUCH x",
            "GET",
            f"EVALSHA {'0' * 40} 0",
            "EVAL \"return redis.error_reply('MINE this one')\" 0",
            "SELECT 99",
            "AUTH legacy wrong",
            "HELLO 9",
            "EXEC",
            "ACL WHOAMI",
        )

    def tracking(self):
        """The database says which of the keys that were read have changed: by a push, or to a connection in RESP2."""
        reader, listener = self._dialogue("--show-pushes", "yes"), self._dialogue()
        how = ""
        if self.protocol == 2:
            how = f"REDIRECT {listener.say('CLIENT ID')[0].decode().strip()}"
            listener.say("SUBSCRIBE __redis__:invalidate", 3)
        told = [reader.say(f"CLIENT TRACKING ON {how}"), reader.say("GET ~b"), self._say("SET ~b changed")]
        told.append(reader.say("PING", 1) if self.protocol == 2 else reader.say("PING", 3))
        if self.protocol == 2:
            told.append(listener.read(3))
        return [*told, reader.say("GET ~b")]

    def select(self):
        inside = self._say("SELECT 5", "SET ~five 5", "SELECT 0", "GET ~five")
        return [inside, self._run("-n", "5", "GET", "~five"), self._run("-n", "5", "DEL", "~five")]

    def parallel(self):
        with ThreadPoolExecutor(MANY) as pool:
            return list(
                pool.map(lambda n: self._say(f"SET ~parallel{n} {n}", f"GET ~parallel{n}"), range(MANY))
            )

    def leave(self):
        return [self._say("QUIT"), self._run("QUIT")]


class _Dialogue:
    """A redis-cli that waits for the next command."""

    def __init__(self, process, prefix):
        self.process = process
        self._prefix = prefix

    def begin(self, command):
        self.process.stdin.write(f"{command}\n".replace("~", self._prefix).encode())
        self.process.stdin.flush()

    def read(self, lines):
        return [self.process.stdout.readline() for _ in range(lines)]

    def say(self, command, lines=1):
        self.begin(command)
        return self.read(lines)

    def end(self):
        """What else it printed, and how it ended."""
        printed, _ = self.process.communicate(timeout=PATIENCE)
        return printed, self.process.returncode
