"""Clients' sessions, as far as the proxies told of them, and the names of those who hold them."""

import pwd
from collections.abc import Iterable
from dataclasses import dataclass

from proxy.messages import SessionRecord

__all__ = ["SessionsHeard", "login_names"]


@dataclass(frozen=True, slots=True)
class SessionsHeard:
    """What all connected proxies answered to one question.

    Attributes:
        sessions: those that there are, or those that are being ended.
        proxies: how many were asked.
        silent: how many workers and proxies did not answer in time: there may be more sessions than these.
    """

    sessions: tuple[SessionRecord, ...]
    proxies: int
    silent: int


def login_names(uids: Iterable[int]) -> dict[int, str]:
    """The names of this machine's users, those who have one. May ask a network's directory, so not for an event loop."""
    names = {}
    for uid in set(uids):
        try:
            names[uid] = pwd.getpwuid(uid).pw_name
        except KeyError:
            continue
    return names
