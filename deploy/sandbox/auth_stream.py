"""Finds the logins in what a client sends to a Redis server, and lets another decide on their passwords. No I/O.

Everything else passes as it comes, and at once: of a command no more is held than it takes to see that it
is no login. What breaks the protocol passes too, and the server refuses it.
"""

from collections.abc import Callable

__all__ = ["AuthStream", "Judge"]

Judge = Callable[[bytes, bytes], bytes]
"""From a user's name and the password that a client gives, to the password that the server is given."""

# As Redis: of a client that has not logged in it takes no more elements, and it takes no longer line.
_MOST_ELEMENTS = 10
_MOST_HELD = 64 * 1024
_ESCAPES = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"a": b"\a"}
_SPACES = b" \t\n\v\f\r\0"


class _ProtocolError(Exception):
    """This is not the protocol."""


class AuthStream:
    """One client's commands, as they come in."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._held = bytearray()
        self._elements = 0  # of the current command, that have not begun
        self._skip = 0  # bytes of the current element that have not come
        self._broken = False

    def feed(self, data: bytes) -> bytes:
        """Take what has come in, and return what is to go to the server now."""
        if self._broken:
            return data
        self._held += data
        passed = bytearray()
        try:
            while self._held and self._step(passed):
                pass
        except _ProtocolError:
            self._broken = True
            passed += self._take(len(self._held))
        return bytes(passed)

    def _step(self, passed: bytearray) -> bool:
        """Pass one piece; False: it takes more bytes to know what is next."""
        if self._skip:
            piece = self._take(self._skip)
            self._skip -= len(piece)
            passed += piece
            return True
        if self._elements:
            return self._begin_element(passed)
        if self._held[:1] != b"*":
            return self._inline(passed)
        return self._command(passed)

    def _begin_element(self, passed: bytearray) -> bool:
        header = self._header(0, b"$")
        if header is None:
            return False
        length, end = header
        passed += self._take(end)
        self._skip, self._elements = length + 2, self._elements - 1
        return True

    def _command(self, passed: bytearray) -> bool:
        header = self._header(0, b"*")
        if header is None:
            return False
        count, start = header
        if count > 0:
            login = self._login(count, start) if count <= _MOST_ELEMENTS else b""
            if login is None:
                return False
            if login:
                passed += login
                return True
        self._elements = max(count, 0)
        passed += self._take(start)
        return True

    def _login(self, count: int, start: int) -> bytes | None:
        """Take and return the command if it is a login; empty: it is not one; None: it is not known yet."""
        words: list[bytes] = []
        position = start
        while len(words) < count:
            header = self._header(position, b"$")
            if header is None:
                return None
            length, begin = header
            position = begin + length + 2
            # Both words are known by their length before they are there.
            if (not words and length not in (len("AUTH"), len("HELLO"))) or position > _MOST_HELD:
                return b""
            if len(self._held) < position:
                return None
            words.append(bytes(self._held[begin : begin + length]))
            if words[0].upper() not in (b"AUTH", b"HELLO"):
                return b""
        return self._decided(words, self._take(position))

    def _inline(self, passed: bytearray) -> bool:
        end = self._held.find(b"\n") + 1
        if (end or len(self._held)) > _MOST_HELD:
            raise _ProtocolError
        if not end:
            return False
        line = self._take(end)
        words = _split(line)
        passed += self._decided(words, line) if words else line
        return True

    def _decided(self, words: list[bytes], original: bytes) -> bytes:
        decided = list(words)
        for user, password in _places(words):
            decided[password] = self._judge(words[user], words[password])
        if decided == words:
            return original
        return b"".join(
            [b"*%d\r\n" % len(decided), *(b"$%d\r\n%b\r\n" % (len(word), word) for word in decided)]
        )

    def _header(self, start: int, kind: bytes) -> tuple[int, int] | None:
        """Read the number of a line `<kind><number>`, and where the line ends; None: it has not all come."""
        end = self._held.find(b"\r\n", start, start + 32)
        if self._held[start : start + 1] not in (b"", kind) or (end < 0 and len(self._held) >= start + 32):
            raise _ProtocolError
        if end < 0:
            return None
        try:
            number = int(self._held[start + 1 : end])
        except ValueError:
            raise _ProtocolError from None
        if number < 0 and kind == b"$":
            raise _ProtocolError
        return number, end + 2

    def _take(self, size: int) -> bytes:
        piece = bytes(self._held[:size])
        del self._held[:size]
        return piece


def _places(words: list[bytes]) -> list[tuple[int, int]]:
    """Where in a command a user's name and its password are, as Redis reads AUTH and HELLO."""
    command = words[0].upper()
    if command == b"AUTH":
        return [(1, 2)] if len(words) == 3 else []
    places = []
    index = 2
    while command == b"HELLO" and index < len(words):
        option, more = words[index].upper(), len(words) - index - 1
        if option == b"AUTH" and more >= 2:
            places.append((index + 1, index + 2))
            index += 3
        elif option == b"SETNAME" and more:
            index += 2
        else:
            break
    return places


def _split(line: bytes) -> list[bytes] | None:
    """Split an inline command into words as Redis does (sdssplitargs); None: its quotes are unbalanced."""
    words: list[bytes] = []
    index = 0
    while True:
        while index < len(line) and line[index] in _SPACES:
            index += 1
        if index >= len(line):
            return words
        word = bytearray()
        while index < len(line) and line[index] not in _SPACES:
            if line[index] in b"\"'":
                index = _quoted(line, index, word)
                # A quote has to close, and then the word is over.
                if index < 0 or (index < len(line) and line[index] not in _SPACES):
                    return None
            else:
                word.append(line[index])
                index += 1
        words.append(bytes(word))


def _quoted(line: bytes, start: int, word: bytearray) -> int:
    """Read a quoted text into `word` and return where it ends, or -1 where it does not."""
    quote, index = line[start : start + 1], start + 1
    while index < len(line):
        char, following = line[index : index + 1], line[index + 1 : index + 2]
        if char == quote:
            return index + 1
        if char == b"\\" and quote == b'"' and following == b"x" and _hex(line[index + 2 : index + 4]):
            word += bytes.fromhex(line[index + 2 : index + 4].decode())
            index += 4
        elif char == b"\\" and following and (quote == b'"' or following == b"'"):
            word += _ESCAPES.get(following, following) if quote == b'"' else following
            index += 2
        else:
            word += char
            index += 1
    return -1


def _hex(text: bytes) -> bool:
    return len(text) == 2 and all(char in b"0123456789abcdefABCDEF" for char in text)
