"""What can go wrong with the demo itself."""

__all__ = ["DemoError"]


class DemoError(Exception):
    """The demo cannot start or go on.

    Args:
        message: what failed, and what to do where that is known.
        log: the last lines of the log of what failed.
    """

    def __init__(self, message: str, log: str = "") -> None:
        super().__init__(message)
        self.log = log
