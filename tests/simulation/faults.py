"""What may go wrong in a schedule, and how often; drawn once for each seed."""

from dataclasses import dataclass

__all__ = ["CALL_FAULTS", "CALL_FAULT_WEIGHTS", "HAND_EDITS", "PAUSED_RIVALS", "Temper", "draw"]

CALL_FAULTS = (
    "throttled",  # refused before it has an effect
    "lost",  # it has its effect, and no answer comes
    "unsent",  # no connection: no effect, and no answer
    "failed",  # AWS answers with a server error before the effect
    "late",  # no answer within botocore's time, and the effect comes even later
    "crash before",
    "crash after",
    "pause before",  # the effect comes when the instance runs again
    "pause in the air",  # the effect comes while it stands still
    "pause after",
    "denied",
)
CALL_FAULT_WEIGHTS = (10, 10, 4, 4, 8, 12, 12, 12, 12, 8, 2)

HAND_EDITS = (
    "puts AWSCURRENT",
    "moves AWSCURRENT back",
    "sets a password",
    "leaves a foreign AWSPENDING",
    "takes AWSPENDING away",
    "deletes the secret",
    "takes the tag off",
)


@dataclass(frozen=True, slots=True)
class Temper:
    """How rough a schedule is."""

    read_faults: float  # the chance that a read meets a fault
    change_faults: float
    slow: float  # the chance that a call takes seconds
    crashes: int  # at most
    pauses: int
    hand_edits: int
    wishes: int
    outages: int
    downs: int  # endpoints that go away for a while
    propagation: float  # seconds that a list of passwords takes to an endpoint, at most
    spread: float
    clients_every: float  # seconds


PAUSED_RIVALS = Temper(
    read_faults=0.02,
    change_faults=0.5,
    slow=0.0,
    crashes=0,
    pauses=8,
    hand_edits=0,
    wishes=8,
    outages=0,
    downs=0,
    propagation=0.5,
    spread=0.0,
    clients_every=60.0,
)
"""Instances stand still in the middle of things while others are asked for more rotations."""


def draw(rng):
    """The temper of one schedule: most are gentle with a few faults, since each of many hides the others."""
    kind = rng.choices(
        ("calm", "slow rivals", "one fault", "some faults", "rough", "operators"), (1, 2, 3, 4, 3, 3)
    )[0]
    some = kind in {"some faults", "rough"}
    rough = kind == "rough"
    return Temper(
        read_faults={"one fault": 0.004, "some faults": 0.01, "rough": 0.04}.get(kind, 0.0),
        change_faults={"one fault": 0.1, "some faults": 0.15, "rough": 0.3}.get(kind, 0.0),
        slow=0.0 if kind == "calm" else rng.choice((0.0, 0.02, 0.1, 0.3)),
        crashes={"one fault": 1, "some faults": 2, "rough": 5}.get(kind, 0),
        pauses={"one fault": 1, "some faults": 2, "rough": 5}.get(kind, 0),
        hand_edits=rng.randint(1, 4) if kind == "operators" else int(rough and rng.random() < 0.3),
        wishes=rng.choice((0, 0, 1, 2, 3)),
        outages=rng.randint(0, 1) if some else 0,
        downs=rng.randint(0, 1) if some else 0,
        propagation=rng.choice((0.5, 3.0, 15.0)),
        spread=rng.choice((0.0, 2.0, 30.0)),
        clients_every=rng.choice((20.0, 60.0)),
    )
