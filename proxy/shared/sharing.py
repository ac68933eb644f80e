"""When a session that needed a connection of its own goes back to sharing. Pure."""

__all__ = ["Sharing"]

_SHORTEST, _LONGEST = 1.0, 64.0  # seconds


class Sharing:
    """A session's comings and goings: whoever keeps needing a connection of its own keeps it for longer each time.

    Attributes:
        parted: True once the session's own connection has been let go of.
    """

    __slots__ = ("_last", "_pause", "_since", "parted")

    def __init__(self) -> None:
        self.parted = False
        self._pause = _SHORTEST / 2
        self._since = 0.0
        self._last = 0

    def moved(self, now: float) -> None:
        """It got a connection of its own."""
        self._pause = min(self._pause * 2, _LONGEST)
        self._since = now
        self._last = 0

    def is_time(self, own_at: int, now: float) -> bool:
        """Whether nothing has needed it for long enough.

        Args:
            own_at: the number of the latest command known to need it.
            now: by the same clock as `moved`, in seconds.
        """
        if own_at != self._last:
            self._last, self._since = own_at, now
        return now - self._since >= self._pause
