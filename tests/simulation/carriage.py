"""What becomes of a call to AWS on its way there and back: time, and faults."""

from discovery.errors import AwsError, RetryableError
from tests.simulation.aws import refused
from tests.simulation.faults import CALL_FAULT_WEIGHTS, CALL_FAULTS

__all__ = ["Carriage"]

_PAUSES = (1.0, 10.0, 100.0, 400.0, 1200.0)  # seconds at most
_TIMEOUT = 20.0  # seconds: botocore's connect and read timeouts, as `discovery.aws` sets them


class Carriage:
    """Carries calls, each to its effect and its answer."""

    def __init__(self, schedule):
        self._schedule = schedule
        self._rng = schedule.rng
        self._temper = schedule.temper
        self._crashes = self._pauses = 0

    def send(self, task, call):
        """A task sends a call: its fate is drawn now."""
        if call.changes:
            self._schedule.audit.sends(task, call)
        chance = self._temper.change_faults if call.changes else self._temper.read_faults
        fate = None
        if chance and self._schedule.faulty and self._rng.random() < chance:
            fate = self._rng.choices(CALL_FAULTS, CALL_FAULT_WEIGHTS)[0]
            fate = self._allowed(fate)
        delay = self._rng.uniform(0.02, 0.2)
        if self._temper.slow and self._schedule.faulty and self._rng.random() < self._temper.slow:
            delay = self._rng.uniform(1.0, 12.0)
            task.owner.trouble(self._schedule.world.now + delay)
        self._schedule.after(delay, task.owner, self._arrive, task, call, fate)

    def _allowed(self, fate):
        if fate.startswith("crash"):
            self._crashes += 1
            return fate if self._crashes <= self._temper.crashes else None
        if fate.startswith("pause"):
            self._pauses += 1
            return fate if self._pauses <= self._temper.pauses else None
        return fate

    def _arrive(self, task, call, fate):  # noqa: C901, PLR0912  a case for each fate
        """The call reaches AWS, unless its fate says otherwise."""
        instance, schedule = task.owner, self._schedule
        now = schedule.world.now
        if instance.cut_off_until > now:
            fate = "unsent"
        if fate is not None:
            instance.trouble(now)
            if schedule.story.told:
                schedule.story.tell(instance.name, f"{self._words(call)}: {fate}")
        match fate:
            case None:
                self._effect(task, call, self._back(call))
            case "throttled":
                self._fail(task, call, refused(call, "ThrottlingException"))
            case "failed":
                self._fail(task, call, refused(call, "InternalFailure", status=500))
            case "denied":
                self._fail(task, call, refused(call, "AccessDeniedException", "no"))
            case "unsent":
                self._fail(task, call, _no_answer(call))
            case "lost":
                self._effect(task, call, None)
                self._fail(task, call, _no_answer(call))
            case "late":
                instance.trouble(now + _TIMEOUT)
                schedule.after(_TIMEOUT, instance, self._fail, task, call, _no_answer(call))
                schedule.after(_TIMEOUT * self._rng.uniform(0.5, 4), None, self._effect, task, call, None)
            case "crash before":
                self.crash(instance)
            case "crash after":
                self._effect(task, call, None)
                self.crash(instance)
            case "pause before":
                self.freeze(instance)
                schedule.after(0.0, instance, self._arrive, task, call, None)
            case "pause in the air":
                until = self.freeze(instance)
                schedule.at(self._rng.uniform(now, until), None, self._effect, task, call, self._back(call))
            case "pause after":
                self._effect(task, call, self._back(call))
                self.freeze(instance)

    def _back(self, call):
        return self._rng.uniform(0.01, 0.1) if call.changes else 0.0

    def _effect(self, task, call, back):
        """AWS does what is asked; the answer arrives after `back` seconds (None: never)."""
        schedule, instance = self._schedule, task.owner
        world, audit = schedule.world, schedule.audit
        found = audit.before(call, task) if call.changes else None
        answer = error = None
        try:
            answer = world.aws.perform(call)
        except AwsError as refusal:
            error = refusal
        if schedule.story.told and (call.changes or error is not None):
            subject = found[0] if found else None
            said = f" ✗ {error.code}" if error is not None else ""
            schedule.story.tell(instance.name, f"{self._words(call)}{said}", subject)
        if call.operation == "describe_secret" and error is None:
            audit.looks(task, call)
        if error is None and call.changes:
            audit.after(call, task, found)
            schedule.people.after_change(found[0], call)
        if back is None:
            return
        if back == 0.0 and not instance.frozen:
            self._answer(task, call, answer, error)
        else:
            schedule.after(back, instance, self._answer, task, call, answer, error)

    def _answer(self, task, call, answer, error):
        if task.question is not call:
            return
        if error is not None:
            task.owner.resume(task, error=error)
            return
        if call.operation == "modify_user":
            self._schedule.audit.answered(task)
        task.owner.resume(task, answer)

    def _fail(self, task, call, error):
        task.owner.trouble(self._schedule.world.now)
        self._answer(task, call, None, error)

    # Faults of whole instances.

    def crash(self, instance):
        """SIGKILL; it is started again after a while."""
        self._schedule.story.tell(instance.name, "is killed")
        instance.crash()
        pause = self._rng.choice((1.0, 5.0, 60.0, 600.0)) * self._rng.random()
        self._schedule.after(pause, None, self._schedule._start, instance)

    def freeze(self, instance):
        """It stands still for a while; until when."""
        now = self._schedule.world.now
        until = now + self._rng.choice(_PAUSES) * self._rng.uniform(0.5, 1)
        instance.frozen_until = until = min(until, self._schedule.faults_end)
        instance.trouble(until)
        self._schedule.story.tell(instance.name, f"stands still until {until:.1f}")
        return until

    def _words(self, call):
        return self._schedule.story.call(call)


def _no_answer(call):
    name = "".join(word.capitalize() for word in call.operation.split("_"))
    action = f"{call.service}:{name}"
    return RetryableError(f"{action} got no answer", operation=action, code="EndpointConnectionError")
