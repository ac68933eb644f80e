"""Ways to one database, and what the scenarios of all client libraries share."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

__all__ = ["BINARY", "LARGE", "MANY", "PATIENCE", "STEPS", "Way", "digest", "side_by_side"]

STEPS = (
    "login", "name", "values", "binary", "large", "pipeline", "transaction", "pubsub", "blocking", "scan", "scripts",
    "errors", "tracking", "select", "parallel", "leave",
)  # fmt: skip
"""What every scenario does, in this order."""

PATIENCE = 10
BINARY = bytes(range(256)) + b"\r\n$3\r\n*1\r\n-ERR\r\n+OK\r\n\xff\xfe"
LARGE = bytes(range(256)) * 16 * 1024  # 4 MiB
MANY = 12


@dataclass(frozen=True, slots=True)
class Way:
    """How to reach the database: by TLS where there is a `ca_file`, by a socket where there is a `path`.

    `prefix` begins every name that the scenario gives to a key, a channel or a connection. It is as long on every way.
    """

    prefix: str
    password: str
    host: str = "127.0.0.1"
    port: int = 0
    ca_file: str | None = None
    path: str | None = None

    def key(self, name):
        return f"{self.prefix}{name}"

    def results(self, answers):
        """Answers by step, as they would be with the same names on every way."""
        return dict(json.loads(json.dumps(_plain(answers)).replace(self.prefix, "~")))


def side_by_side(play, ways, protocol):
    """Run a scenario on every way at the same time."""
    with ThreadPoolExecutor(len(ways)) as pool:
        return list(pool.map(lambda way: play(way, protocol), ways))


def _plain(answer):
    """An answer in JSON's types: bytes as the characters of their numbers, errors as their texts."""
    match answer:
        case bytes():
            return answer.decode("latin-1")
        case dict():
            return {str(_plain(key)): _plain(value) for key, value in answer.items()}
        case list() | tuple():
            return [_plain(one) for one in answer]
        case set() | frozenset():
            return sorted(_plain(one) for one in answer)
        case Exception():
            return f"{type(answer).__name__}: {answer}"
    return answer


def digest(value):
    return f"{len(value)} {hashlib.sha256(value).hexdigest()}"
