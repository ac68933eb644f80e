"""How long a database may be silent over what is left to be done for a client."""

from proxy.mode import BLOCKING
from proxy.scanner import CommandScanner

__all__ = ["PATIENCE", "patience_over"]

PATIENCE = 10.0  # seconds without a byte
_BLOCKED_PATIENCE = 0.25  # the same for a command that may wait for ever, or that will never be whole


def patience_over(scanner: CommandScanner) -> float:
    """How many seconds without a byte, by what the client has said last."""
    silent = not scanner.at_boundary or scanner.last_name.upper() in BLOCKING or scanner.mode.silenced
    return _BLOCKED_PATIENCE if silent else PATIENCE
