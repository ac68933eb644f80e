"""The 12 hours that AWS gives a connection which was opened with a token, and when it gets a fresh one. Pure.

AWS ends such a connection 12 hours after its latest AUTH, and every AUTH with a fresh token gives it another 12
("Authenticating with IAM", limitations, in the guides of ElastiCache and MemoryDB).
"""

import zlib
from typing import Literal

__all__ = ["advice"]

_HOUR = 3600.0
_FIRST = 9 * _HOUR  # there is plenty of time to find a quiet moment
_SPREAD = 1 * _HOUR  # connections that were opened together need not all be renewed together
_LATE = 11 * _HOUR  # somebody should hear of it
_LAST = 12 * _HOUR - 300  # the connection is ended with an error before AWS ends it without one


def advice(session: str, since: float, now: float) -> Literal["wait", "renew", "complain", "end"]:
    """What to do about a connection; `complain` is: renew, and say so if that is impossible.

    Args:
        session: its id, which decides on its share of the spread.
        since: when its latest token was accepted.
        now: the time by the same clock, in seconds.
    """
    age = now - since
    share = zlib.crc32(session.encode()) / 2**32
    if age < _FIRST + _SPREAD * share:
        return "wait"
    if age < _LATE:
        return "renew"
    return "complain" if age < _LAST else "end"
