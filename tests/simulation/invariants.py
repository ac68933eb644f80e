"""DESIGN's invariants, each as a function of its own; and the audit that knows what each of them needs of the past.

Every check is made after every event. A check returns nothing, or says what is wrong. Words:

- A ModifyUser is *stale* where the labels were moved between its writer's last look at them and its effect.
- An *upset* is the only excuse for a rejected AWSCURRENT: a stale ModifyUser took it (or the live pending version) away,
  or an operator did (passwords set, AWSCURRENT put or moved). It lasts until every endpoint accepts AWSCURRENT again.
- An instance is *sound* as long as no fault touches it: no crash, no pause, and AWS answers each of its calls.
"""

from dataclasses import dataclass, field

from tests.simulation.world import INTERVAL

__all__ = ["Audit", "History", "Violation"]

SETTLING = 45.0  # seconds that a list of passwords may take to every endpoint, and its noticing
SLACK = 75.0  # seconds: a backoff at its longest, and the calls of a turn
HEAL_WITHIN = INTERVAL.total_seconds() / 3
HEALS_PER_INTERVAL = 3  # as `rotator.machine`: after as many, an instance leaves the user alone


class Violation(Exception):  # noqa: N818  it is what the checks look for
    """An invariant does not hold."""


@dataclass(slots=True)
class Upset:
    """AWSCURRENT may be rejected now, and why."""

    why: str
    since: float
    writer: object = None  # the task whose stale write it is
    told: bool = False  # the writer has its answer


@dataclass(slots=True)
class History:
    """What the checks have to remember of one user."""

    upset: Upset | None = None
    upsets: list[float] = field(default_factory=list)
    upset_ended: float = -1e9
    disturbed: float = -1e9  # when a list that a stale writer or an operator set last reached an endpoint
    disturbing: tuple = ()  # that list
    by_hand: float = -1e9  # when an operator last touched the secret or the passwords
    unreadable: float = -1e9  # when the secret was last seen deleted
    endpoints_touched: float = -1e9  # when one last went or came back
    blocked: str | None = None  # why nothing can be done for it, as far as the schedule knows
    retired: set[str] = field(default_factory=set)  # passwords that may never be valid again
    successors: dict[str, set[str]] = field(
        default_factory=dict
    )  # AWSCURRENT → versions staged to succeed it
    lists: dict[str, set[tuple[str, ...]]] = field(default_factory=dict)  # pending version → lists set for it
    labels: tuple = (None, None, None)


class Audit:
    """Watches the world. `instances` is filled in by whoever makes them."""

    def __init__(self, world):
        self.world = world
        self.instances = []
        self.histories = {user_id: History() for user_id in world.subjects}
        for subject in world.subjects.values():
            self.histories[subject.id].labels = subject.labels
        self.changed = True  # something that I1 depends on

    # What happens, as the schedule tells it.

    def before(self, call, task):
        """A change is about to take effect: what it finds."""
        subject = self._subject(call)
        return subject, subject.labels, subject.live(subject.labels)

    def after(self, call, task, found):
        """It has."""
        subject, labels, live = found
        history = self.histories[subject.id]
        self.changed = True
        check_released(self, subject, call, task)
        if call.operation == "modify_user":
            self._modified(subject, history, call.parameters["Passwords"], task, labels, live)
        elif call.operation == "put_secret_value":
            check_put(self, subject, history, call, labels, live)
        elif call.operation == "update_secret_version_stage" and subject.labels != labels:
            check_order(subject, labels)
            check_promotion(self, subject, history, task)
            if (
                subject.labels[0] != labels[2]
                and history.by_hand >= self.world.now - INTERVAL.total_seconds()
            ):
                # It was proven before an operator took the label off it, and compare-and-set is of AWSCURRENT alone.
                self._upset(subject, history, "a promotion of what was no longer pending")
        self._take_labels(subject, history)

    def by_hand(self, subject, why):
        """An operator changed the secret or the passwords."""
        history = self.histories[subject.id]
        history.by_hand = history.disturbed = self.world.now
        history.disturbing = subject.record.passwords
        history.successors.clear()
        history.lists.clear()
        history.retired.clear()  # a rollback makes a version that was given up the live one again
        self._take_labels(subject, history)
        self._upset(subject, history, why)
        self.changed = True

    def _modified(self, subject, history, passwords, task, labels, live):
        stale = task.looked.get(subject.id) != labels
        current = subject.current
        kept = current is None or current.password in passwords
        if not stale:
            if not kept:
                raise Violation("I1: a ModifyUser that is not stale took AWSCURRENT's password away")
            check_retired(subject, history, passwords)
        else:
            history.disturbed, history.disturbing = self.world.now, subject.record.passwords
        if stale and (not kept or (live is not None and live[1].password not in passwords)):
            self._upset(subject, history, "a stale ModifyUser", task)
        check_lists(subject, history, passwords, live, stale)

    def _upset(self, subject, history, why, writer=None):
        history.upset = Upset(why, self.world.now, writer)
        history.upsets.append(self.world.now)

    def _take_labels(self, subject, history):
        if subject.labels[0] == history.labels[0]:
            history.labels = subject.labels
            return
        history.labels = subject.labels
        current = subject.value(subject.labels[0])
        if current is None:
            return
        if current.retire:
            secret = subject.secret
            known = {subject.value(one).password for one in secret.versions if one != subject.labels[0]}
            pending = subject.live(subject.labels)
            history.retired |= known - {None, pending[1].password if pending else None}
        history.retired.discard(current.password)

    def taken(self, subject):
        """An endpoint has heard of the passwords that were set last."""
        history = self.histories[subject.id]
        if subject.record.passwords == history.disturbing:
            history.disturbed = self.world.now
        self.changed = True

    def looks(self, task, call):
        """A task reads the labels."""
        subject = self._subject(call)
        task.looked[subject.id] = subject.labels
        task.modified_since_look = False

    def sends(self, task, call):
        """A task sends a change."""
        if call.operation == "modify_user":
            check_looked_first(task)
            task.modified_since_look = True

    def answered(self, task):
        """A task's own ModifyUser has been answered well."""
        for history in self.histories.values():
            if history.upset is not None and history.upset.writer is task:
                history.upset.told = True

    def ended(self, task):
        """A run is over."""
        for subject in self.world.subjects.values():
            check_writer_healed(self, subject, self.histories[subject.id], task)

    def _subject(self, call):
        given = call.parameters.get("UserId") or call.parameters.get("SecretId") or call.parameters["Name"]
        return next(
            one for one in self.world.subjects.values() if given == one.id or given.endswith(one.name)
        )

    # After every event.

    def check(self):
        """Every invariant that can be told from the present."""
        for subject in self.world.subjects.values():
            history = self.histories[subject.id]
            if self.changed:
                check_current_works(subject, history)
                self._settle(subject, history)
            if history.upset is not None:
                check_healed_in_time(self, subject, history)
        self.changed = False

    def _settle(self, subject, history):
        """An upset ends when AWSCURRENT works everywhere, as far as can be told, and nothing is on its way."""
        if history.upset is None or subject.record.status != "active" or subject.secret is None:
            return
        if subject.works and (subject.reachable == subject.endpoints or subject.current is None):
            history.upset = None
            history.upset_ended = self.world.now

    def sound_since(self, instance, since):
        """Since when an instance has been sound; infinity: it is not."""
        if not instance.up or instance.frozen or instance.cut_off_until > self.world.now:
            return float("inf")
        return max(instance.troubled_at, since)


def check_looked_first(task):
    """ModifyUser has no compare-and-set, so the labels are read right before each: none is ever sent again as it was."""
    if task.modified_since_look:
        raise Violation("a ModifyUser was sent again without a look at the labels")


def check_current_works(subject, history):
    """I1: AWSCURRENT logs in on every endpoint that answers. Excuse: an upset."""
    if history.upset is None and subject.secret is not None and not subject.works:
        raise Violation("I1: an endpoint rejects AWSCURRENT, and nobody but us can be blamed")


def check_order(subject, labels):
    """I3: AWSCURRENT goes from a version to its own successor, and so never back."""
    before, after = labels[0], subject.labels[0]
    if after != before and subject.value(after).succeeds != before:
        raise Violation("I3: AWSCURRENT was moved to a version that succeeds another")


def check_promotion(audit, subject, history, task):
    """I1, where AWSCURRENT moves: the new one has to work at once.

    Excuse: since the writer's last login, a stale ModifyUser or an operator took it away again: that is an upset.
    """
    if (
        history.upset is None
        and not subject.works
        and history.disturbed >= task.logged_in.get(subject.id, -1e9)
    ):
        audit._upset(subject, history, "undone between its proof and its promotion")


def check_client(audit, client, let_in):
    """I2: no client fails. Excuses: an upset while it tried; its rotator was not sound, nor could it read the secret.

    A rotator that is not sound is bridged by AWSPREVIOUS for one rotation; the audit asks for soundness only, which
    is less than the design promises.
    """
    if let_in is not False:
        return
    subject, history = client.subject, audit.histories[client.subject.id]
    instance = next(one for one in audit.instances if one.proxy is client.proxy)
    excused = (
        history.upset is not None
        or history.upset_ended >= client.began
        or history.by_hand >= client.began - HEAL_WITHIN
        or not subject.readable
        or history.unreadable >= client.began - SLACK
        or audit.sound_since(instance, 0.0) >= client.began - SETTLING
    )
    if not excused:
        raise Violation(f"I2: a client of {instance.name}'s proxy was refused by {client.endpoint.name}")


def check_put(audit, subject, history, call, labels, live):
    """I3: one AWSCURRENT has one successor. And a live pending version is never replaced.

    Excuse of both: an operator moved the labels (the audit forgets what was counted whenever one does), so that writers
    of before and after do not share a token.
    """
    if subject.labels == labels:
        return
    pending = subject.labels[2]
    value = subject.value(pending)
    if value is None or value.password is None:
        return
    lately = history.by_hand >= audit.world.now - INTERVAL.total_seconds()
    if live is not None and live[0] != pending and not lately:
        raise Violation("I3: a live pending version was replaced")
    known = history.successors.setdefault(value.succeeds, set())
    known.add(pending)
    if len(known) > 1 and not lately:
        raise Violation("I3: two versions were staged to succeed the same AWSCURRENT")


def check_lists(subject, history, passwords, live, stale):
    """I3: for one pending version one list of passwords is set, as often as rivals like. Excuse: a stale ModifyUser."""
    if stale or live is None or live[1].password not in passwords:
        return
    known = history.lists.setdefault(live[0], set())
    known.add(tuple(passwords))
    if len(known) > 1:
        raise Violation("I3: two different lists were set for one pending version")


def check_healed_in_time(audit, subject, history):
    """I5: an upset ends within interval/3, the time in which a list reaches the endpoints, and one probe.

    Excuses: no instance has been sound for so long; the user is blocked (its secret deleted, its tag gone, AWSCURRENT
    made unreadable); every endpoint that can be reached accepts AWSCURRENT, and what the others would say nobody can
    know; the fourth within an interval, which is `contended` by design.
    """
    if (
        history.blocked
        or not subject.managed
        or subject.secret is None
        or subject.secret.deletion is not None
        or (subject.works and subject.reachable != subject.endpoints)
    ):
        history.upset.since = audit.world.now
        return
    within = HEAL_WITHIN + SETTLING + SLACK
    since = min(
        (audit.sound_since(one, history.upset.since) for one in audit.instances), default=float("inf")
    )
    lately = [one for one in history.upsets if one > audit.world.now - INTERVAL.total_seconds() - within]
    if audit.world.now - since > within and len(lately) < HEALS_PER_INTERVAL:
        raise Violation(f"I5: not healed within interval/3: {history.upset.why} at {history.upset.since:.1f}")


def check_writer_healed(audit, subject, history, task):
    """I5: a writer that has its answer heals its own stale write before its run ends. Excuses: as above."""
    upset = history.upset
    if upset is None or upset.writer is not task or not upset.told or task.owner.troubled_at >= upset.since:
        return
    if history.blocked or len(history.upsets) > HEALS_PER_INTERVAL or subject.reachable != subject.endpoints:
        return
    if history.by_hand >= upset.since or subject.record.status != "active":
        return
    standing = task.owner.rotations.standing(subject.key)
    if standing.outcome is not None and standing.outcome.result == "left":
        return
    if not subject.works:
        raise Violation("I5: a stale writer ended its run without healing")


def check_released(audit, subject, call, task):
    """I7: an instance that knows the tag to be gone changes nothing. A run that began before may end."""
    known = task.owner.released_at.get(subject.id)
    if known is not None and task.started_at > known:
        raise Violation(f"I7: {call.operation} of a released user")


def check_retired(subject, history, passwords):
    """What was retired never comes back, by a heal or otherwise. Excuses: a stale ModifyUser; an operator's rollback."""
    if history.retired & set(passwords):
        raise Violation("a retired password was made valid again")
