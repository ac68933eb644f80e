"""Opting in and out, while the service runs."""

from tests.system.harness import nobody_fails


def test_a_user_is_managed_when_it_is_tagged_and_released_when_it_is_not(valkeeper, account, sandbox):
    user, own = account.new_user(managed=False)
    valkeeper.wait_for_user(user, state="passed-through")
    assert valkeeper.lets_in(user, password=own)
    assert not valkeeper.lets_in(user)

    sandbox.tag(user)
    valkeeper.wait_for_user(user, state="fresh")
    assert valkeeper.lets_in(user)
    adopted = account.labels(user)

    with nobody_fails(valkeeper, user):
        sandbox.untag(user)
        valkeeper.wait_for_user(user, care="released", state="released")
    status, refusal = valkeeper.ask("POST", "/v1/rotations", {"users": [user]})
    assert status == 422
    assert f"user {user} is not managed" in refusal
    assert account.labels(user) == adopted

    sandbox.age_secret(account.secret_id(user), 48 * 3600)
    valkeeper.kill_rotator()
    valkeeper.start()
    valkeeper.wait_for_clients(user)
    valkeeper.wait_for_user(user, state="released", version=adopted["AWSCURRENT"])
    assert account.labels(user) == adopted
    assert account.passwords(user) == [account.password(user)]

    with (
        sandbox.fault(
            "secretsmanager", "ListSecrets", "fail", count=None, code="AccessDeniedException", status=400
        ),
        nobody_fails(valkeeper, user) as client,
    ):
        since = valkeeper.mark()
        valkeeper.kill_rotator()
        valkeeper.start()
        valkeeper.wait_for_event("released_users_unknown", since)
        valkeeper.wait_for_event("proxy_connected", since)
        client.wait_for(rounds=5)
