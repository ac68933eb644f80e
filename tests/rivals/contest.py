"""Real instances of one account, each with a proxy of its own and clients that come all the time."""

import contextlib
import itertools
import statistics
from collections import Counter

import redis

from deploy.sandbox.client import SandboxProcess
from tests.system.harness import Account, Hammer, Valkeeper, eventually, redis_client

__all__ = ["Contest"]

_USERS = ("app", "batch")
_MODIFY_SECONDS = 1.0  # that a user stays `modifying`: time enough for rivals to meet


class Contest:
    """Instances side by side.

    Args:
        instances: how many.
        interval: of rotations, in seconds.

    Attributes:
        problems: the promises that were broken; filled by `figures`.
    """

    def __init__(self, instances: int, interval: int) -> None:
        self._number = instances
        self._interval = interval
        self._stack = contextlib.ExitStack()
        self.problems = []

    def __enter__(self):
        self._sandbox = self._stack.enter_context(SandboxProcess(modify_delay=_MODIFY_SECONDS))
        self._account = Account(self._sandbox)
        settings = self._account.settings() | {
            "VALKEEPER_ROTATION__INTERVAL": f"{self._interval}s",
            "VALKEEPER_ROTATION__JITTER": "30s",  # the default: a tenth of the interval at most
        }
        self._instances = [self._stack.enter_context(Valkeeper(settings)) for _ in range(self._number)]
        for one in self._instances:
            one.wait_for_clients(*_USERS)
        self._adopted = {user: self._versions(user) for user in _USERS}
        self._marks = [one.mark() for one in self._instances]
        self._sandbox.reset_requests()
        self._hammers = [self._stack.enter_context(Hammer(one, _USERS)) for one in self._instances]
        self._open = [
            self._stack.enter_context(redis_client(one.socket("orders"), user, single_connection_client=True))
            for one in self._instances
            for user in _USERS
        ]
        self._pings = 0
        self._seen = {user: {self._account.labels(user)["AWSCURRENT"]} for user in _USERS}
        return self

    def __exit__(self, *failure):
        self._stack.close()

    def _versions(self, user):
        return len(self._account.versions(user))

    def rotate(self, rotations):
        """Wait until each user was rotated so often, and say how often the slowest one was."""
        done = 0
        while done < rotations:
            done = eventually(
                lambda least=done: self._rotated(least), patience=4 * self._interval, what="the next rotation"
            )
            yield done
        eventually(self._at_rest, what="the end of the last rotation")

    def _rotated(self, least):
        for client in self._open:
            try:
                client.ping()
                self._pings += 1
            except (redis.RedisError, OSError) as error:
                self.problems.append(f"an open connection broke: {type(error).__name__}: {error}")
        # Asked of a service, so that the sandbox's log of calls stays that of the instances.
        for user in _USERS:
            self._seen[user].add(self._instances[0].user(user)["version"])
        fewest = min(len(seen) for seen in self._seen.values()) - 1
        return fewest if fewest > least else None

    def _at_rest(self):
        """No version is on its way: the latest one is AWSCURRENT."""
        self._requests = self._sandbox.requests()
        return all(
            self._account.labels(user)["AWSCURRENT"] == self._account.versions(user)[-1] for user in _USERS
        )

    def figures(self):
        """What happened, and whether it was as promised."""
        events = [
            event
            for one, mark in zip(self._instances, self._marks, strict=True)
            for event in one.events(since=mark)
        ]
        by_instance = [
            sum(event["result"] == "rotated" for event in one.events("rotation", mark))
            for one, mark in zip(self._instances, self._marks, strict=True)
        ]
        promotions = [event for event in events if event.get("step") == "promote"]
        made = {user: self._versions(user) - self._adopted[user] for user in _USERS}
        promoted = sum(made.values())
        requests = self._requests
        calls = Counter(entry["operation"] for entry in requests)
        refused = Counter(f"{entry['operation']} {entry['code']}" for entry in requests if entry["code"])
        sets = {user: self._sandbox.password_changes(user) for user in _USERS}
        distinct = {user: [key for key, _ in itertools.groupby(map(tuple, sets[user]))] for user in _USERS}
        repeats = sum(len(sets[user]) - len(distinct[user]) for user in _USERS)
        late = [event["late_seconds"] for event in promotions if "late_seconds" in event]
        failures = [failure for hammer in self._hammers for failure in hammer.failures]
        for user in _USERS:
            self._check_versions(user, distinct[user])
        if sum(by_instance) != promoted:
            self.problems.append(f"{sum(by_instance)} promotions for {promoted} versions")
        self.problems += failures
        dearest = (f"{operation} {number / promoted:.1f}" for operation, number in calls.most_common())
        return {
            "due rotations": promoted,
            "versions made": sum(made.values()),
            "promotions, by instance": " + ".join(map(str, by_instance)),
            "identical ModifyUser repeated by rivals": repeats,
            "calls that rivals lost": ", ".join(f"{name} x {n}" for name, n in refused.items()) or "none",
            "AWS calls for each rotation, of all": ", ".join(dearest),
            "late by, median / most": f"{statistics.median(late):.1f} s / {max(late):.1f} s",
            "new connections": sum(hammer.successes for hammer in self._hammers),
            "of these failed": len(failures),
            "pings on open connections": self._pings,
            "open connections broken": sum("open connection" in problem for problem in self.problems),
        }

    def _check_versions(self, user, sets):
        """One version and one set of passwords for each due rotation, and none before it was due."""
        created = self._account.created(user)
        # The first version is the seed, and the second the adoption's.
        early = [
            after - before
            for before, after in itertools.pairwise(created[1:])
            if after - before < self._interval
        ]
        if early:
            self.problems.append(f"{user} got {len(early)} versions before they were due")
        if len(sets) != len(created) - 1:
            self.problems.append(f"{len(sets)} sets of passwords for {len(created) - 1} versions of {user}")
        if len(set(sets)) != len(sets):
            self.problems.append(f"passwords of {user} were set back to what they had been")
