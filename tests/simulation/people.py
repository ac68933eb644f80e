"""What people do in a schedule: wishes for rotations, hand edits, outages, endpoints that go away."""

import json
import uuid

from deploy.sandbox.secretsmanager.secret import Version
from tests.simulation.faults import HAND_EDITS

__all__ = ["People"]


class People:
    """Operators, and whoever pulls the plugs."""

    def __init__(self, schedule):
        self._schedule = schedule
        self._rng = schedule.rng
        self._world = schedule.world
        self.asked = []  # (instance, its epoch, request)
        self._edits_left = schedule.temper.hand_edits

    def begin(self):
        """Plan what happens at moments of its own."""
        temper, until = self._schedule.temper, self._schedule.faults_end * 0.95
        plans = [
            (temper.wishes, self._wish),
            (temper.hand_edits // 2, self._edit),
            (temper.outages, self._cut_off),
            (temper.downs, self._pull_endpoint),
        ]
        for times, act in plans:
            for _ in range(times):
                self._schedule.at(self._rng.uniform(1.0, until), None, act)

    def after_change(self, subject, call):
        """A rotator changed something: the best moment to get in its way, and to connect."""
        if not self._schedule.faulty:
            return
        if self._edits_left and self._rng.random() < 0.15:
            self._schedule.after(self._rng.uniform(0.0, 3.0), None, self._edit, subject)
        if call.operation != "put_secret_value" and self._rng.random() < 0.5:
            instance = self._rng.choice(self._schedule.instances)
            self._schedule.after(self._rng.uniform(0.0, 5.0), None, self._schedule.connect, subject, instance)

    # Wishes.

    def _wish(self):
        subject = self._rng.choice(list(self._world.subjects.values()))
        instance = self._rng.choice(self._schedule.instances)
        if not instance.up or instance.frozen or not subject.managed or subject.id in instance.released_at:
            return
        retire = self._rng.random() < 0.4
        self._schedule.story.tell(
            instance.name, f"is asked to rotate {subject.id}{' and retire' if retire else ''}"
        )
        (request,) = instance.rotations.ask([subject.id], asked_by="somebody", retire=retire)
        self.asked.append((instance, instance.epoch, request))

    # Plugs.

    def _cut_off(self):
        instance = self._rng.choice(self._schedule.instances)
        until = min(self._world.now + self._rng.uniform(5, 900), self._schedule.faults_end)
        instance.cut_off_until = until
        instance.trouble(until)
        self._schedule.story.tell(instance.name, f"cannot reach AWS until {until:.1f}")

    def _pull_endpoint(self):
        subject = self._rng.choice(list(self._world.subjects.values()))
        endpoint = self._rng.choice(subject.endpoints)
        endpoint.up = False
        until = min(self._world.now + self._rng.choice((10, 100, 900)), self._schedule.faults_end)
        self._touched(subject, f"{endpoint.name} is unreachable until {until:.1f}")
        self._schedule.at(until, None, self._plug_in, subject, endpoint)

    def _plug_in(self, subject, endpoint):
        endpoint.up = True
        self._touched(subject, f"{endpoint.name} is back")

    def _touched(self, subject, what):
        history = self._schedule.audit.histories[subject.id]
        history.endpoints_touched = self._world.now
        if history.upset is not None:
            history.upset.since = self._world.now
        self._schedule.audit.changed = True
        self._schedule.story.tell("network", what, subject)

    # Hand edits.

    def _edit(self, subject=None):
        if not self._edits_left or not self._schedule.faulty:
            return
        self._edits_left -= 1
        subject = subject or self._rng.choice(list(self._world.subjects.values()))
        what = self._rng.choice(HAND_EDITS)
        secret = subject.secret
        if secret is None and what not in {"sets a password", "takes the tag off"}:
            return
        if secret is not None and secret.deletion is not None:
            return
        if self._do(what, subject, secret) is False:
            return
        self._schedule.story.tell("operator", what, subject)
        self._schedule.audit.by_hand(subject, f"an operator {what}")

    def _do(self, what, subject, secret):  # noqa: C901  a case for each edit
        """Whether it could be done; nothing said: it could."""
        now, held = self._world.now, subject.labels
        match what:
            case "puts AWSCURRENT":
                secret.put(self._version(subject, mark=self._rng.random() < 0.3), ["AWSCURRENT"])
            case "moves AWSCURRENT back":
                if held[1] is None:
                    return False
                secret.move("AWSCURRENT", held[0], held[1], now)
            case "leaves a foreign AWSPENDING":
                if not held[0]:
                    return False
                secret.put(self._version(subject, mark=False), ["AWSPENDING"])
                self._later(subject, self._take_pending, subject)
            case "takes AWSPENDING away":
                if held[2] is None:
                    return False
                secret.move("AWSPENDING", held[2], None, now)
            case "sets a password":
                if subject.record.status != "active":
                    return False
                self._world.aws.modify_user(subject.id, [f"hand-{now}"])
            case "deletes the secret":
                secret.deletion = now
                self._later(subject, self._restore, subject)
            case "takes the tag off":
                self._tag(subject, False)
                self._later(subject, self._tag, subject, True)
        return None

    def _later(self, subject, act, *arguments):
        moment = min(self._world.now + self._rng.choice((5, 60, 600)), self._schedule.faults_end)
        self._schedule.at(moment, None, act, *arguments)

    def _version(self, subject, *, mark):
        value = {"username": subject.id, "password": f"operator-{self._world.now}"}
        if mark:
            value["valkeeper"] = {"succeeds": None, "retire": False}
        return Version(
            str(uuid.UUID(int=self._rng.getrandbits(128))), self._world.now, json.dumps(value), None
        )

    def _take_pending(self, subject):
        pending = subject.value(subject.labels[2])
        if pending is not None and not pending.ours and subject.labels[2] != subject.labels[0]:
            subject.secret.move("AWSPENDING", subject.labels[2], None, self._world.now)
            self._undone(subject, "takes the foreign AWSPENDING away")

    def _restore(self, subject):
        subject.secret.deletion = None
        self._undone(subject, "restores the secret")

    def _tag(self, subject, managed):
        subject.tag(managed)
        for instance in self._schedule.instances:
            self._schedule.after(self._rng.uniform(0.1, 60.0), instance, instance.discover)
        if managed:
            self._undone(subject, "puts the tag back")

    def _undone(self, subject, what):
        self._schedule.story.tell("operator", what, subject)
        self._schedule.audit.by_hand(subject, f"an operator {what}")
