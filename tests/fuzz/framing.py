"""What holds of whatever is read from a client or a database, whatever it says and however it arrives. No sockets."""

import random
from collections.abc import Iterator

from proxy.errors import ProtocolError
from proxy.handshake import HANDSHAKE_BYTES, Begin, Close, Handshake, Reply, read_login
from proxy.interlude import Interlude
from proxy.resp import MAX_LINE, CommandReader, FrameSkipper, parse, reply_end
from proxy.scanner import CommandScanner
from tests.fuzz.streams import replies, stream

__all__ = ["check_framing", "cuts", "handshake", "scanned"]


def check_framing(seed: int, number: int) -> None:
    """Everything that reads is given stream number `number`, whole and in pieces, and comes to the same end."""
    data = stream(seed, number, switches=True)
    said = replies(seed, number)
    dice = random.Random(f"cuts {seed}/{number}")
    whole = [scanned([data]), _read([data]), handshake([data], "orders"), handshake([data], None)]
    frame = _skipped([said])
    assert frame == _ended(said)
    _check_logins(data)
    for _ in range(3):
        pieces = list(cuts(dice, data))
        assert [scanned(pieces), _read(pieces), handshake(pieces, "orders"), handshake(pieces, None)] == whole
        assert _skipped(list(cuts(dice, said))) == frame
        _check_interlude(dice, said)


def cuts(dice: random.Random, data: bytes) -> Iterator[bytes]:
    """The same bytes, in pieces."""
    most = dice.choice((1, 2, 7, 50, 4000))
    at = 0
    while at < len(data):
        size = dice.randint(1, most)
        yield data[at : at + size]
        at += size


def scanned(pieces: list[bytes]) -> tuple[object, ...]:
    """What a scanner lets pass and where it stops, and what it knows in the end."""
    scanner = CommandScanner()
    passed, logins = b"", []
    for piece in pieces:
        passed += scanner.feed(piece)
        while scanner.found is not None and scanner.refusal is None:
            found = scanner.found
            assert found == parse(scanner._held[scanner._from :])
            logins.append((len(passed), scanner.commands, found.args))
            scanner.take()
            passed += scanner.go_on()
        assert scanner.held <= MAX_LINE + len(piece) or scanner.refusal
        if scanner.refusal is not None:
            assert scanner.at_boundary
            break
    mode = [getattr(scanner.mode, name) for name in scanner.mode.__slots__]
    why = scanner.refusal and scanner.refusal.reason
    return passed, logins, scanner.commands, scanner.lost, why, scanner.at_boundary, mode, scanner.last_name


def _read(pieces: list[bytes]) -> tuple[object, ...]:
    """The commands that a reader finds, and what it has left, or its error."""
    reader = CommandReader(max_args=10, max_bulk=16384)
    found = []
    try:
        for piece in pieces:
            reader.append(piece)
            while (command := reader.next()) is not None:
                found.append(command.args)
    except ProtocolError as error:
        return found, str(error)
    return found, reader.rest


def handshake(pieces: list[bytes], database: str | None) -> tuple[object, ...]:
    """What a new client is answered, and how that ends."""
    shake = Handshake(database, None)
    answers: list[bytes] = []
    for number, piece in enumerate(pieces, 1):
        shake.receive(piece)
        assert shake._reader.held <= HANDSHAKE_BYTES + len(piece)
        while (step := shake.next()) is not None:
            if isinstance(step, Reply):
                answers.append(step.data)
            elif isinstance(step, Close):
                return answers, step.reason, step.data
            elif isinstance(step, Begin):
                return answers, step.database, step.user, step.login, step.raw + b"".join(pieces[number:])
    return answers, None


def _check_logins(data: bytes) -> None:
    """A login with another password is the same command in everything else."""
    for _, _, args in scanned([data])[1]:
        login = read_login(args)
        if login is not None:
            again = parse(login.command("app", "the password"))
            assert again is not None
            assert again.args[login.user_at : login.user_at + 2] == (b"app", b"the password")
            assert parse(login.command(login.user)).args == args


def _ended(data: bytes) -> tuple[object, ...]:
    """Where the first reply in `data` ends, or what is wrong with it."""
    try:
        return (reply_end(data),)
    except ProtocolError as error:
        return (str(error),)


def _skipped(pieces: list[bytes]) -> tuple[object, ...]:
    """The same, found without holding it."""
    skipper, at = FrameSkipper(), 0
    try:
        for piece in pieces:
            at += skipper.skip(piece, 0)
            assert len(skipper._line) < 200
            if not skipper.inside:
                return (at,)
    except ProtocolError as error:
        return (str(error),)
    return (None,)


class _Ends:
    """Both sides of an interlude."""

    def __init__(self):
        self.client = b""
        self.database = self
        self.is_over = False

    def set_protocol(self, _protocol):
        pass

    def write(self, _data):
        pass

    def interlude_over(self):
        self.is_over = True

    def data_received(self, data):
        self.client += data


def _check_interlude(dice: random.Random, said: bytes) -> None:
    """Whatever the database says before the fence is the client's, and so are pushes before the answer."""
    ends, answers = _Ends(), []
    interlude = Interlude(ends, ends, b"question", answers.append)
    pushes = b">2\r\n+message\r\n$5\r\n+OK\r\n\r\n" * dice.randint(0, 2)
    for piece in cuts(dice, said + interlude._fence.reply + pushes + b"+OK\r\n" + said):
        (ends if ends.is_over else interlude).data_received(piece)
    assert answers == [b"+OK"]
    assert ends.client == said + pushes + said
