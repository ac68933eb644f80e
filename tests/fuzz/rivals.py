"""The same bytes to Redis and to what Valkeeper makes of them."""

import contextlib
import re
import socket
from dataclasses import dataclass, field

from proxy.errors import ProtocolError
from proxy.handshake import read_login
from proxy.resp import CommandReader, reply_end
from proxy.scanner import CommandScanner
from tests.fuzz.streams import stream
from tests.proxy.dialogues import HOME, LOGIN, c

__all__ = ["check_scanner", "check_secret", "check_through"]

_PATIENCE = 20.0  # twice the silence that Valkeeper allows a database whose client has gone
_LARGEST = 512 * 1024 * 1024


def check_through(pair, seed: int, number: int) -> bool:
    """What comes back through Valkeeper is what comes back from Redis; False: nothing would, so nobody asked."""
    data = stream(seed, number)
    if number % 4 == 0:  # before a login
        if _waits(data + c("PING")):
            return False
        direct, through = pair.answers([data])
    else:
        if _waits(data + b"".join(HOME)):
            return False
        direct, through = pair.answers([LOGIN, data, *HOME])
    if b"-ERR Protocol error" in direct or b"-ERR valkeeper: more than 64 KiB" in through:
        # Said while it is still spoken to, so how much of it arrives is chance; and a login may be refused before.
        heard, _, rest = through.partition(b"-ERR valkeeper: ")
        assert direct.startswith(heard.removesuffix(b"<end>"))
        assert (rest or through).endswith(b"<end>")
    else:
        assert through == direct
    return True


def _waits(data: bytes) -> bool:
    """Whether Redis, at the end of this, would still wait for the rest of a command, and say nothing."""
    reader = CommandReader(max_args=2**31 - 1, max_bulk=_LARGEST)
    reader.append(data)
    try:
        while reader.next() is not None:
            pass
    except ProtocolError:
        return False
    return bool(reader.held)


def check_scanner(pair, seed: int, number: int) -> None:
    """Redis answers as many commands as the scanner counts, and says that a login failed where the scanner sees one."""
    data = stream(seed, number, modes=False)
    seen = _seen(data)
    answers, hung_up = pair.answered(data)
    replies = _replies(answers)
    count = len(seen.names)
    if seen.refused:
        assert len(replies) >= count
    elif seen.lost and hung_up:
        assert replies[count].startswith(b"-ERR Protocol error: ")
        assert len(replies) == count + 1
    else:
        assert len(replies) == count
        assert not hung_up
    for at, name in enumerate(seen.names):
        failed = replies[at].startswith(b"-WRONGPASS")
        if at in seen.logins:
            assert failed or replies[at] == b"+QUEUED\r\n"
        else:
            assert not failed or (name == b"AUTH" or at in seen.unread)


def check_secret(pair, seed: int, number: int) -> None:
    """Whatever a client says, the password that it is lent is nowhere that it could read it."""
    data = (
        stream(seed, number, switches=True).replace(b"$6\r\nnobody", b"$3\r\napp").replace(b"nobody", b"app")
    )
    pair.admin.flushall()
    pair.admin.config_set("slowlog-log-slower-than", 0)
    try:
        with pair.through() as sock:
            sock.settimeout(_PATIENCE)
            with contextlib.suppress(ConnectionResetError, BrokenPipeError):
                sock.sendall(c("AUTH", "app", "x") + data + b"".join(HOME))
                sock.shutdown(socket.SHUT_WR)
            said = b"".join(iter(lambda: sock.recv(65536), b""))
        recorded = [entry["command"] for entry in pair.admin.slowlog_get(-1)]
    finally:
        pair.admin.config_set("slowlog-log-slower-than", 10_000)
        pair.admin.slowlog_reset()
    stored = [pair.admin.dump(key) for key in pair.admin.scan_iter()]
    assert said.startswith(b"+OK\r\n")
    assert not [place for place in (said, *recorded, *stored) if b"app-current" in place]


@dataclass
class _Seen:
    """What a scanner has seen of a stream: its whole commands, and which of them are logins."""

    names: list[bytes] = field(default_factory=list)
    logins: set[int] = field(default_factory=set)
    unread: set[int] = field(default_factory=set)  # the HELLOs that pass as they are
    lost: bool = False
    refused: bool = False


def _seen(data: bytes) -> _Seen:
    scanner, seen = CommandScanner(), _Seen()
    for at in range(len(data)):
        scanner.feed(data[at : at + 1])
        if scanner.refusal is not None:
            break
        if scanner.found is not None:
            (seen.unread if read_login(scanner.found.args) is None else seen.logins).add(scanner.commands)
            scanner.take()
            scanner.go_on()
        if scanner.commands > len(seen.names):
            seen.names.append(scanner.last_name.upper())
    if scanner._skip or scanner._args:  # the last one is not whole
        seen.names.pop()
    # How large a string may be is a setting of Redis' (proto-max-bulk-len), which nobody has told the scanner.
    seen.lost = scanner.lost or any(int(size) > _LARGEST for size in re.findall(rb"\$(\d{1,19})\r", data))
    seen.refused = scanner.refusal is not None
    return seen


def _replies(answers: bytes) -> list[bytes]:
    replies, at = [], 0
    while at < len(answers):
        end = reply_end(answers, at)
        assert end is not None
        replies.append(answers[at:end])
        at = end
    return replies
