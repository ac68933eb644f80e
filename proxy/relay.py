"""Bytes both ways between a client and its database, and how that ends.

A side that cannot be written to stops the other from being read. By then `HIGH_WATER` and what the loop reads at once (256
KiB) wait to be written, as much as it reads at once waits to be decrypted, and its TLS keeps a buffer of the same size: less
than 1 MiB in each direction, whatever the peers do.

Endings. A database whose client sends no more must not be cut off at once, or replies under way would be lost. So the
relay says QUIT behind the client's last whole command: the database delivers everything before it, says +OK, and hangs up.
That +OK is kept from the client, and an error that ends a session from outside takes its place, which is by construction
between two replies. Where no QUIT fits (the client stopped inside a command) or it goes unanswered (a blocked client),
silence ends the wait: then the database is told that no more will come, and does what it does with a client of its own
that ends so. Where the client cannot even read any more, it is told so at once.

Where the database hangs up unasked, who waits for an answer reads an error, unless that might end up inside a reply; who
waits for none is hung up on as by Redis, since an error that nobody asked for confuses clients.
"""

import asyncio
from collections.abc import Callable

from proxy.client_side import ClientSide
from proxy.database_side import DatabaseSide, LastReplies, Unheard, read_no_further, say_no_more
from proxy.errors import ClientError
from proxy.farewell import Farewell
from proxy.interlude import Interlude
from proxy.keepalive import has_hung_up
from proxy.patience import PATIENCE, patience_over
from proxy.scanner import CommandScanner

__all__ = ["HIGH_WATER", "Relay"]

HIGH_WATER = 32 * 1024
"""Bytes that may wait to be written before the other side is no longer read."""

_QUIT = b"*1\r\n$4\r\nQUIT\r\n"
_PING = b"*1\r\n$4\r\nPING\r\n"


class Relay:
    """One client's connection joined to one database's.

    Args:
        client: the client's transport, reading paused.
        database: the logged-in transport to the database.
        lost: the error for a client whose database hung up before it answered.
        on_found: called with the relay when the scanner has stopped at a command; nothing behind it passes until `pass_found`.
        on_closed: called when both connections are gone.
        strict: True: no login may pass unseen.

    Attributes:
        scanner: follows what the client sends.
        from_client: bytes that came from the client.
        from_database: bytes that came from the database.
        finishing: True once no more commands are taken.
        cut: True once the database has hung up unasked.
        closed: True once both connections are gone.
    """

    __slots__ = (
        "_activity",
        "_client_gone",
        "_database_gone",
        "_database_side",
        "_deaf",
        "_eof",
        "_error",
        "_held_up",
        "_interlude",
        "_last_chance",
        "_lost",
        "_on_closed",
        "_on_parted",
        "_parted",
        "_patience",
        "_pauses",
        "_slow",
        "_timer",
        "client",
        "closed",
        "cut",
        "database",
        "finishing",
        "from_client",
        "from_database",
        "on_found",
        "scanner",
    )

    def __init__(
        self,
        client: asyncio.Transport,
        database: asyncio.Transport,
        lost: ClientError,
        on_found: Callable[["Relay"], None],
        on_closed: Callable[[], None],
        *,
        strict: bool = False,
    ) -> None:
        self.client = client
        self.database = database
        self.scanner = CommandScanner(strict=strict)
        self.from_client = 0
        self.from_database = 0
        self.on_found = on_found
        self._on_closed = on_closed
        self._eof = False
        self.finishing = False
        self.cut = False
        self.closed = False
        self._lost = lost
        self._error = b""
        self._patience = PATIENCE
        self._pauses = 1  # reasons for not reading the client; the handshake left it paused
        self._activity = (0, 0)  # `_progress` at the timer's last look
        self._timer: asyncio.TimerHandle | None = None
        self._client_gone = False
        self._database_gone = False
        self._database_side = DatabaseSide(self)
        self._interlude: Interlude | None = None
        self._held_up = False  # the client has said something during an interlude
        self._last_chance = False  # the database knows that no more will come
        self._on_parted: Callable[[bytes], None] | None = None
        self._parted = False  # the client is somebody else's now
        self._slow = False  # the client does not read as fast as the database answers
        self._deaf = False  # the database has hung up, and there may be more to read from it

    @property
    def commands(self) -> int:
        """Commands of the client that the database got."""
        return self.scanner.commands

    @property
    def waits(self) -> bool:
        """True where the client listens for messages, or for the answer to whole commands: it may wait for ever."""
        unanswered = not self.closed and self.scanner.at_boundary and self._database_side.unanswered
        return self.scanner.mode.listens or unanswered

    def start(self, replies: bytes, commands: bytes, *, eof: bool) -> None:
        """Take both connections over.

        Args:
            replies: what the client is to be told first.
            commands: what the client has already sent and nobody has answered.
            eof: True: the client will send nothing more.
        """
        # uvloop caches a protocol's methods: only set_protocol makes it look again.
        client_side = ClientSide(self)
        self.client.set_protocol(client_side)
        self.database.set_protocol(self._database_side)
        self.client.set_write_buffer_limits(high=HIGH_WATER)
        self.database.set_write_buffer_limits(high=HIGH_WATER)
        read_no_further(self.database)
        if replies:
            self.client.write(replies)
        if commands:
            client_side.data_received(commands)
        if eof:
            self.client_eof()
        self.resume()

    def carry_out(self, commands: bytes) -> None:
        """Send the database what a client asked for that has gone since."""
        self.database.set_protocol(self._database_side)
        ClientSide(self).data_received(commands)
        self.client_lost()

    def pause(self) -> None:
        """One more reason not to read the client."""
        self._pauses += 1
        if self._pauses == 1 and not self.client.is_closing():
            self.client.pause_reading()

    def resume(self) -> None:
        """One reason less."""
        self._pauses -= 1
        if self._pauses == 0 and not self.client.is_closing():
            self.client.resume_reading()

    def slow(self, is_slow: bool) -> None:
        """Whether the database is not to be read, because the client is slow."""
        self._slow = is_slow
        if self.database.is_closing():
            return
        if is_slow:
            self.database.pause_reading()
        else:
            self.database.resume_reading()

    def send(self, commands: bytes) -> None:
        """Pass commands on to the database.

        Not to one that has hung up: a write that fails ends the connection, with all that was not read from it yet, which
        is much where the client is slow.
        """
        if self._slow and not self._deaf:
            self._deaf = has_hung_up(self.database)
        if not self._deaf:
            self.database.write(commands)

    def pass_found(self, command: bytes) -> None:
        """Send this in place of the command that the scanner stopped at, and then what came behind it."""
        self.scanner.take()
        if self.finishing:
            return
        self.send(command)
        if self.scanner.mode.has_quit:
            # Redis reads nothing behind it, and what is written to a closed connection could cost the client its +OK.
            self._finish_after_client()
        else:
            self._pass_held()

    def _pass_held(self) -> None:
        passed = self.scanner.go_on()
        if passed:
            self.send(passed)
        if self._eof and self.scanner.found is None:
            self._finish_after_client()

    def interlude(self, question: bytes, on_answer: Callable[[bytes], None]) -> str | None:
        """Ask the database something of Valkeeper's own, as soon as it has answered all that the client asked.

        Args:
            question: the command, of which the reply is one line.
            on_answer: gets that line, without its end; not called where the session ends before.

        Returns:
            Why not now; None: it is under way.
        """
        if self._interlude:
            return "the database has not answered all that it was asked"
        if self.finishing or self.scanner.stopped or not self.scanner.at_boundary:
            return "it was inside a command"
        obstacle = self.scanner.mode.obstacle(self.scanner.commands, pushes=self._database_side.pushes)
        if obstacle is None:
            self.scanner.stop()
            self._interlude = Interlude(self, self._database_side, question, on_answer)
        return obstacle

    def part(self, on_parted: Callable[[bytes], None]) -> str | None:
        """Let go of the client, its reading paused, as soon as all that it asked for is answered; why not now, if so.

        `on_parted` gets what it has sent that no database has seen; it is not called where the session ends before.
        """
        obstacle = self.interlude(_PING, lambda _: None)
        if obstacle is None:
            self._on_parted = on_parted
        return obstacle

    def interlude_over(self) -> None:
        """Go on as before the interlude, or part."""
        self._interlude = None
        if self.finishing:
            self._say_goodbye()
            return
        if self._on_parted is not None:
            self._parted = self.finishing = True
            self.database.set_protocol(Unheard(self))
            self.client.pause_reading()
            self._on_parted(self.scanner.give_up())
            return
        self.database.set_protocol(self._database_side)
        self._pass_held()
        if self.scanner.stopped:
            self.on_found(self)
        if self._held_up:
            self._held_up = False
            self.resume()

    def stopped(self) -> None:
        """The scanner lets nothing more pass for now."""
        if self.scanner.found is not None:
            self.on_found(self)
        elif not self._held_up:
            self._held_up = True
            self.pause()

    def abort(self) -> None:
        """Cut both connections, where they are still there."""
        if self._timer is not None:
            self._timer.cancel()
        if not (self._client_gone or self._parted):
            self.client.abort()
        if not self._database_gone:
            self.database.abort()

    def end(self, error: bytes) -> None:
        """End the session from outside: outstanding replies, then this error, then the end."""
        self._finish(error, 1.0)

    def client_eof(self) -> None:
        """The client sends nothing more; it may still read."""
        self._eof = True
        if self._interlude and self.scanner.held:
            self._watch(patience_over(self.scanner))  # what is held goes first
        elif self.scanner.found is None:
            self._finish_after_client()

    def _finish_after_client(self) -> None:
        if self._eof and not (self.finishing or self._interlude) and self._database_side.has_answered:
            self.finishing = True
            self.database.set_protocol(Unheard(self))
            self.database.abort()  # as most end who come for a command or two: a QUIT would cost the database a turn
        elif self._eof and has_hung_up(self.client):
            self.client.abort()  # nobody reads what is still to be answered
        else:
            self._finish(b"", patience_over(self.scanner))

    def _finish(self, error: bytes, patience: float) -> None:
        if self.finishing:
            if error and not (self._error or self._client_gone or self._database_gone):
                self._error = error  # a client that only reads on is not to stay for ever
                self._watch(patience)
            return
        self.finishing = True
        self._error = error
        if not self._eof:
            self.pause()
        if not self._interlude:
            self._say_goodbye()
        self._watch(patience)

    def _say_goodbye(self) -> None:
        # A client that has said QUIT itself gets the +OK and nothing after it.
        can_quit = self.scanner.at_boundary and not self.scanner.mode.has_quit
        last = LastReplies(self, strip=can_quit)
        self._database_side = last
        self.database.set_protocol(last)
        if can_quit:
            self.send(_QUIT)

    def _watch(self, patience: float) -> None:
        """Give up on a database that says nothing for `patience` seconds."""
        if self._timer is not None:
            self._timer.cancel()
        self._patience = patience
        self._activity = self._progress()
        self._timer = asyncio.get_running_loop().call_later(patience, self._look)

    def _look(self) -> None:
        if self._progress() != self._activity:
            self._watch(self._patience)
        elif self.client.get_write_buffer_size() == 0:
            self.finishing = True
            self._hang_up()
        elif self._error:
            self.abort()  # the client reads nothing, so it could not read the error either
        else:
            self._watch(self._patience)

    def _hang_up(self) -> None:
        if self._error or self._last_chance:
            self.database.abort()
            return
        # It may only be busy: what it was asked for is still to be done, and answered, so it gets an end of file and no reset.
        self._last_chance = True
        say_no_more(self.database)
        self._watch(PATIENCE)

    def _progress(self) -> tuple[int, int]:
        """Differs as long as the database answers, or takes what it was sent."""
        return self.from_database, self.database.get_write_buffer_size()

    def database_lost(self) -> None:
        """The database's connection is gone: deliver what is left, and go."""
        self._database_gone = True
        if self._parted:
            return
        if not self.finishing:
            self.cut = not (self.scanner.mode.may_end or self._database_side.told_why)
            if self.cut and self._database_side.owes_reply:
                self._error = self._lost.reply
        self.finishing = True
        if self._timer is not None:
            self._timer.cancel()
        if self._client_gone:
            self._close()
        else:
            error = self._error if self._database_side.ends_reply and not self.scanner.mode.has_quit else b""
            Farewell(self.client, error, self.client_lost, eof=self._eof)

    def _close(self) -> None:
        self.closed = True
        self._database_side.release()
        del self._database_side
        self._on_closed()

    def client_lost(self) -> None:
        """The client's connection is gone: what it had sent still reaches the database."""
        self._client_gone = True
        self.finishing = True
        if self._timer is not None:
            self._timer.cancel()
        if self._database_gone:
            self._close()
            return
        self.database.set_protocol(Unheard(self))
        self.database.close()
        self._timer = asyncio.get_running_loop().call_later(PATIENCE, self.database.abort)
