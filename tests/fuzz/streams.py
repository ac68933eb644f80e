"""What a client might send to do harm, or by mistake: commands out of a grammar, mutations of them, and plain noise.

Every stream follows from a seed and a number, so that any can be had again.
"""

import random

from proxy.resp import encode

__all__ = ["replies", "stream"]

_EDGES = (
    b"0", b"1", b"2", b"3", b"-1", b"-0", b"00", b"01", b"+1", b" 1", b"1 ", b"1_0", b"0x1", b"", b"x", b"1\0", b"10", b"11",
    b"16384", b"16385", b"536870912", b"536870913", b"2147483647", b"2147483648", b"9223372036854775807",
    b"9223372036854775808", b"-9223372036854775808", b"-9223372036854775809", b"9" * 30, b"\xd9\xa1", b"1e1",
)  # fmt: skip
_BITS = (
    b"\0", b"\r", b"\n", b"\r\n", b"*", b"$", b'"', b"'", b"\\", b"\\x00", b" ", b"\t", b"\v", b"\f", b"\x85", b"\xa0", b"\xff",
    b"*1\r\n", b"$4\r\n", b"*0\r\n", b"*-1\r\n", b"$-1\r\n", b"AUTH", b"\r\n$4\r\nAUTH\r\n", b"*3\r\n$4\r\nAUTH\r\n$6\r\nnobody\r\n$1\r\nx\r\n",
    b"AUTH nobody x\r\n", b"\nauth nobody x\n",
)  # fmt: skip
_LOGINS = (
    (b"AUTH", b"nobody", b"x"),
    (b"auth", b"no\0body", b"x\r\n"),
    (b"AuTh", b"", b""),
    (b"HELLO", b"2", b"AUTH", b"nobody", b"x"),
    (b"hello", b"3", b"SETNAME", b"me", b"AUTH", b"nobody", b"x"),
    (b"HELLO", b"2", b"auth", b"nobody", b"x", b"SETNAME", b"a b"),
    (b"HELLO", b"2", b"SETNAME", b"a b", b"AUTH", b"nobody", b"x"),
    (b"HELLO", b"2", b"AUTH", b"nobody", b"x", b"WHAT"),
    (b"HELLO", b"2", b"AUTH", b"nobody", b"x", b"AUTH", b"nobody", b"x"),
)
_ALMOST = (
    (b"AUTH",), (b"AUTH", b"x"), (b"AUTH", b"a", b"b", b"c"), (b"AUTHX", b"a", b"b"), (b"AUTH ", b"a", b"b"), (b"HELLO",),
    (b"HELLO", b"2"), (b"HELLO", b"4", b"AUTH", b"a", b"b"), (b"HELLO", b"02"), (b"HELLO", b"2", b"AUTH", b"a"),
    (b"HELLO", b"2", b"WHAT", b"AUTH", b"a", b"b"), (b"ECHO", b"AUTH nobody x"), (b"SET", b"AUTH", b"nobody"),
    (b"ECHO", b"*3\r\n$4\r\nAUTH\r\n$6\r\nnobody\r\n$1\r\nx\r\n"), (b"ECHO", b"\r\nAUTH nobody x\r\n"), (b"MGET", b"AUTH", b"a", b"b"),
)  # fmt: skip
_OTHERS = (
    (b"PING",), (b"PING", b"x"), (b"ECHO", b""), (b"ECHO", b"x" * 40), (b"GET", b"k"), (b"GET",), (b"SET", b"k", b"\0\r\n\xff"),
    (b"NOSUCH", b"a"), (b"", b""), (b"A-LONG-NAME-THAT-NOBODY-HAS",), (b"CLIENT", b"GETNAME"), (b"CLIENT", b"SETNAME", b"a b"),
    (b"SCRIPT", b"EXISTS", b"x"), (b"MULTI",), (b"EXEC",), (b"DISCARD",), (b"SELECT", b"1"),
    (b"MGET", *(b"k",) * 20), (b"WATCH", b"k"), (b"UNWATCH",), (b"ASKING",), (b"EVAL", b"return 1", b"0"), (b"OBJECT", b"X"),
)  # fmt: skip
_MODES = (
    (b"SUBSCRIBE", b"a"), (b"PSUBSCRIBE", b"a"), (b"UNSUBSCRIBE",), (b"PUBLISH", b"a", b"x"), (b"CLIENT", b"REPLY", b"ON"),
    (b"HELLO", b"3"), (b"RESET",), (b"QUIT",), (b"quit", b"now"),
)  # fmt: skip
_SWITCHES = (
    (b"SCRIPT", b"DEBUG", b"YES"), (b"SCRIPT", b"DEBUG", b"NO"), (b"SCRIPT", b"DEBUG\0x", b"SYNC\0x"), (b"MONITOR",), (b"POST", b"/"),
    (b"AUTH\0x", b"nobody", b"x"), (b"CLIENT", b"REPLY", b"OFF"), (b"CLIENT", b"REPLY", b"SKIP"),
)  # fmt: skip


def stream(seed: int, number: int, *, modes: bool = True, switches: bool = False) -> bytes:
    """The bytes of one client.

    Args:
        seed: of all of them.
        number: which one.
        modes: with the commands that change how many replies there are.
        switches: with those behind which Redis frames otherwise, or whose answer depends on how the bytes arrive.
    """
    dice = random.Random(f"{seed}/{number}")
    if dice.random() < 0.05:
        return bytes(dice.choices(range(256), k=dice.randrange(60)))
    pools = [_LOGINS, _ALMOST, _OTHERS, *([_MODES] if modes else []), *([_SWITCHES] if switches else [])]
    parts = [_said(dice, dice.choice(dice.choice(pools))) for _ in range(dice.randint(1, 8))]
    if dice.random() < 0.7:
        for _ in range(dice.choice((1, 1, 1, 2, 5))):
            at = dice.randrange(len(parts))
            parts[at] = _mutated(dice, parts[at])
    return b"".join(parts)


def _said(dice: random.Random, args: tuple[bytes, ...]) -> bytes:
    """A command in one of the ways in which it can be said."""
    how = dice.random()
    if how < 0.6:
        return encode(args)
    if how < 0.7:
        return dice.choice((b"\r\n", b"\n", b"*0\r\n", b"*-1\r\n", b" \t\v\r\n")) + encode(args)
    return (
        dice.choice((b"", b" ", b"\t\v"))
        + b" ".join(_word(dice, arg) for arg in args)
        + dice.choice((b"\r\n", b"\n"))
    )


def _word(dice: random.Random, arg: bytes) -> bytes:
    if dice.random() < 0.5 and arg.isalnum():
        return arg
    if dice.random() < 0.3 and b"\n" not in arg and b"\0" not in arg:
        return b"'" + arg.replace(b"'", b"\\'") + b"'"
    return (
        b'"'
        + b"".join(b"\\x%02x" % byte if byte < 32 or byte in b'"\\' else bytes((byte,)) for byte in arg)
        + b'"'
    )


def _mutated(dice: random.Random, said: bytes) -> bytes:
    at = dice.randrange(len(said) + 1)
    return dice.choice(
        (_cut, _inserted, _dropped, _flipped, _renumbered, _renumbered, _renumbered, _repeated)
    )(dice, said, at)


def _cut(_dice: random.Random, said: bytes, at: int) -> bytes:
    return said[:at]


def _inserted(dice: random.Random, said: bytes, at: int) -> bytes:
    return said[:at] + dice.choice(_BITS) + said[at:]


def _dropped(dice: random.Random, said: bytes, at: int) -> bytes:
    return said[:at] + said[at + dice.randint(1, 3) :]


def _flipped(dice: random.Random, said: bytes, at: int) -> bytes:
    return said[:at] + bytes((dice.randrange(256),)) + said[at + 1 :]


def _repeated(_dice: random.Random, said: bytes, at: int) -> bytes:
    return said[:at] + said[: at // 2] + said[at:]


def _renumbered(dice: random.Random, said: bytes, _at: int) -> bytes:
    """Another number in the head of an array or a string."""
    heads = [at for at in range(len(said)) if said[at] in b"*$"]
    if not heads:
        return said
    at = dice.choice(heads) + 1
    end = max(said.find(b"\r", at), at)
    digits = said[at:end]
    if digits.isdigit() and dice.random() < 0.4:
        digits = b"%d" % (int(digits[:9]) + dice.choice((-1, 1, 2)))
    else:
        digits = dice.choice(_EDGES)
    return said[:at] + digits + said[end:]


def replies(seed: int, number: int) -> bytes:
    """What a database might say: RESP3 of any kind, mutated now and then."""
    dice = random.Random(f"replies {seed}/{number}")
    data = b"".join(_reply(dice, 3) for _ in range(dice.randint(1, 4)))
    return _mutated(dice, data) if dice.random() < 0.3 else data


def _reply(dice: random.Random, depth: int) -> bytes:
    kind = dice.choice("+-:_,#($!=*~>%|" if depth else "+-:_,#($!=")
    text = dice.choice((b"", b"x", b"a b", b"\xff\0", b"+OK", b"*3"))
    simple = {
        "+": text, "-": b"ERR " + text, ":": b"-12", "_": b"", ",": b"1.5", "#": dice.choice((b"t", b"f")), "(": b"12345678901234567890",
    }  # fmt: skip
    if kind in simple:
        return kind.encode() + simple[kind] + b"\r\n"
    if kind in "$!=":
        body = b"txt:" + text + b"\r\n" if kind == "=" else text + dice.choice((b"", b"\r\n$1\r\n"))
        return dice.choice(
            (b"$-1\r\n",)
            if kind == "$" and dice.random() < 0.1
            else (b"%b%d\r\n%b\r\n" % (kind.encode(), len(body), body),)
        )
    count = dice.randint(0, 3)
    elements = count * (2 if kind in "%|" else 1) + (kind == "|")
    return b"%b%d\r\n" % (kind.encode(), count) + b"".join(_reply(dice, depth - 1) for _ in range(elements))
