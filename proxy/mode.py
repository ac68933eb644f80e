"""What a client's commands have made of its connection. No I/O."""

__all__ = ["BLOCKING", "LOOKED_AT", "Mode"]

_QUIT, _RESET = b"QUIT", b"RESET"
_ENDING = frozenset((_QUIT, b"SHUTDOWN", b"POST", b"HOST:"))  # to which Redis answers by hanging up
_SUBSCRIBING = frozenset((b"SUBSCRIBE", b"PSUBSCRIBE", b"SSUBSCRIBE"))
_UNSUBSCRIBING = frozenset((b"UNSUBSCRIBE", b"PUNSUBSCRIBE", b"SUNSUBSCRIBE"))
_REPLICATING = frozenset((b"SYNC", b"PSYNC"))
_ANSWERED_OFTEN = _SUBSCRIBING | _UNSUBSCRIBING | _REPLICATING | {b"MONITOR"}
_TRANSACTIONS = frozenset((b"MULTI", b"EXEC", b"DISCARD"))

_CLEARING = frozenset((b"DISCARD", _RESET))
_WATCHING = frozenset((b"WATCH", b"UNWATCH"))
_BARE = _TRANSACTIONS | _CLEARING | {b"UNWATCH"}  # that are refused where they have an argument
_LASTING = frozenset((b"SELECT", b"READONLY", b"READWRITE", b"REPLCONF"))
_HARMLESS = frozenset(
    b"ID INFO LIST GETNAME SETINFO GETREDIR TRACKINGINFO KILL UNBLOCK PAUSE UNPAUSE HELP".split()
)

LOOKED_AT = _ENDING | _ANSWERED_OFTEN | _TRANSACTIONS | _WATCHING | _LASTING | {_RESET, b"ASKING"}
"""The commands that `Mode.note` has to be told of; `note_client` is for CLIENT."""

BLOCKING = frozenset(
    b"BLPOP BRPOP BLMOVE BLMPOP BRPOPLPUSH BZPOPMIN BZPOPMAX BZMPOP XREAD XREADGROUP WAIT WAITAOF MONITOR".split()
)
"""The commands that may wait for ever."""


class Mode:
    """Follows the few commands that change what the next one means.

    Whether the database accepted them is not known, so wherever a command may fail the more careful case is assumed.

    Attributes:
        has_quit: True once the client has said QUIT.
        may_end: True once it has said anything for which the database may hang up.
        subscribed: True once it has said SUBSCRIBE of any kind, until a RESET.
        monitors: the same for MONITOR.
        replicates: True once it has said SYNC or PSYNC, after which Redis hangs up on a command that has a reply.
        silenced: True where the database was told to answer nothing (CLIENT REPLY OFF).
        answered_often: True once it has said anything that may have more than one reply.
        was_reset: True once it has said RESET, after which nobody is logged in until the next AUTH.
        own_at: number of the latest command that only a connection of its own can serve.
    """

    __slots__ = (
        "_bound_to",
        "_in_transaction",
        "_lasting",
        "_watches",
        "answered_often",
        "has_quit",
        "may_end",
        "monitors",
        "own_at",
        "replicates",
        "silenced",
        "subscribed",
        "was_reset",
    )

    def __init__(self) -> None:
        self.has_quit = False
        self.may_end = False
        self.subscribed = False
        self.monitors = False
        self.replicates = False
        self.answered_often = False
        self.was_reset = False
        self._in_transaction = False
        self.silenced = False
        self._bound_to = 0  # number of the latest command that is about the one behind it
        self._watches = False
        self._lasting = (
            False  # it is told from a fresh connection by something that only RESET takes back, if that
        )
        self.own_at = 0

    @property
    def listens(self) -> bool:
        """True where messages come that no command asked for."""
        return self.subscribed or self.monitors or self.replicates

    @property
    def is_plain(self) -> bool:
        """True where nothing tells the connection from one that has just been logged in."""
        told_apart = (
            self._in_transaction, self._watches, self._lasting, self.listens, self.silenced, self.was_reset, self.may_end,
        )  # fmt: skip
        return not any(told_apart)

    def note(self, name: bytes, count: int, number: int) -> None:  # noqa: C901  one line a kind of command
        """Take a command that passes.

        Args:
            name: one of `LOOKED_AT`.
            count: of its arguments, the name included.
            number: how many commands have passed with this one.
        """
        self.own_at = number
        self.answered_often = self.answered_often or name in _ANSWERED_OFTEN
        if name in _LASTING or (name in _BARE and count > 1):
            self._lasting = True
        if name in _WATCHING:
            self._watches = name == b"WATCH"
        elif name in _ENDING:
            self.may_end = True
            self.has_quit = self.has_quit or name == _QUIT
        elif name in _SUBSCRIBING:
            self.subscribed = True
        elif name == b"MONITOR":
            self.monitors = True
        elif name in _REPLICATING:
            self.replicates = True
        elif name == b"ASKING":
            self._bound_to = number
        elif name == b"MULTI":
            self._in_transaction = True
        elif name == b"EXEC":  # even one that is refused ends the transaction (`rejectCommand` in server.c)
            self._watches = self._watches and not self._in_transaction
            self._in_transaction = False
        elif name in _CLEARING and count == 1:  # they take no argument
            self._watches = self._watches and not self._in_transaction
            self._in_transaction = False
            if name == _RESET:
                self.subscribed = self.monitors = self.silenced = False
                self.was_reset = True

    def note_client(self, args: tuple[bytes, ...], number: int) -> None:
        """Take a CLIENT that passes, with all its arguments; see `note`."""
        about = args[1].upper() if len(args) > 1 else b""
        self.own_at = number
        self._lasting = self._lasting or about not in _HARMLESS
        if about == b"CACHING":
            self._bound_to = number
        elif about == b"REPLY":
            how = args[2].upper() if len(args) > 2 else b""  # noqa: PLR2004 -- CLIENT REPLY <how>
            if how == b"SKIP":
                self._bound_to = number
            elif how in (b"ON", b"OFF"):
                self.silenced = how == b"OFF"

    def note_unread(self, name: bytes, count: int, number: int) -> None:
        """Take one of which the arguments are not read, such as HELLO without AUTH, or a long CLIENT; see `note`."""
        self.own_at = number
        # CLIENT and one word asks something, and sets nothing.
        self._lasting = self._lasting or count > (2 if name == b"CLIENT" else 1)

    def note_login(self, args: tuple[bytes, ...]) -> None:
        """Take an AUTH, HELLO or QUIT, with all its arguments, before it passes."""
        self._lasting = self._lasting or len(args) > 1

    def obstacle(self, number: int, *, pushes: bool) -> str | None:
        """Why no command of somebody else's may go between this one and the next; None: it may.

        Args:
            number: how many commands have passed.
            pushes: True where messages are known to come as RESP3's pushes, which no reply can be mistaken for.
        """
        obstacles = (
            (self._in_transaction, "it is inside MULTI"),
            (self.silenced, "it has switched replies off (CLIENT REPLY OFF)"),
            (self.monitors, "it runs MONITOR"),
            (self.replicates, "it is a replica (SYNC)"),
            (self.subscribed and not pushes, "it is subscribed in RESP2, in which no AUTH can be sent"),
            (self.has_quit, "it has said QUIT"),
            (self._bound_to == number > 0, "its latest command is about the next one"),
        )
        return next((words for stands, words in obstacles if stands), None)
