"""I4 and I6: what has to be true of the end, and of a user whose neighbour is in trouble."""

from tests.simulation.invariants import SETTLING, SLACK, Violation
from tests.simulation.world import INTERVAL

__all__ = ["check_converged", "check_others_on_time"]


def check_converged(schedule):
    """I4: faults have stopped an interval ago, and everything is as it should be, by itself."""
    for subject in schedule.world.subjects.values():
        history = schedule.audit.histories[subject.id]
        if history.blocked:
            continue
        _check_subject(schedule, subject)
    for instance, epoch, request in schedule.people.asked:
        if instance.up and instance.epoch == epoch and not request.done.done():
            raise Violation(f"I4: {instance.name} never answered a request")
    for instance in schedule.instances:
        if not instance.up:
            raise Violation(f"the schedule itself is wrong: {instance.name} was never started again")
        for standing in instance.rotations.standings:
            if standing.error is not None and standing.error.startswith("unexpected"):
                raise Violation(f"{instance.name} met a defect: {standing.error}")


def _check_subject(schedule, subject):
    if subject.current is None:
        raise Violation(f"I4: {subject.id} was not adopted")
    if not subject.works:
        raise Violation(f"I4: AWSCURRENT of {subject.id} is rejected for good")
    latest = INTERVAL.total_seconds() + schedule.temper.spread + SETTLING + SLACK
    if subject.age > latest:
        raise Violation(f"I4: {subject.id} was not rotated: AWSCURRENT is {subject.age:.0f} seconds old")
    live = subject.live(subject.labels)
    if live is not None and schedule.world.now - subject.secret.versions[live[0]].created > SETTLING + SLACK:
        raise Violation(f"I4: a pending version of {subject.id} was left behind")
    if (
        subject.current.retire
        and len(subject.record.passwords) > 1
        and subject.age > SETTLING + SLACK
        and live is None
    ):
        raise Violation(f"I4: the old password of {subject.id} was not retired")
    for instance in schedule.instances:
        known = instance.proxy.credential(str(subject.key))
        if known is None or known.version not in subject.labels[:2]:
            raise Violation(f"I4: {instance.name}'s proxy does not know {subject.id}'s password")


def check_others_on_time(schedule):
    """I6: a user is on time, whatever befalls another. Only asked in schedules whose trouble is one user's."""
    subject = schedule.undisturbed
    if subject is None or subject.current is None:
        return
    latest = INTERVAL.total_seconds() + schedule.temper.spread + SETTLING
    if subject.age > latest and schedule.world.now > latest:
        raise Violation(f"I6: {subject.id} is late because of another: {subject.age:.0f} seconds old")
