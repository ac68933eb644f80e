"""What can go wrong with the demo itself."""

__all__ = ["DemoError"]


class DemoError(Exception):
    """The demo cannot start or go on; the message says what failed, and what to do where that is known."""
