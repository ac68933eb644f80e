"""The loops that keep a token for every IAM user: what they renew, when, and what failures cost."""

import asyncio
import contextlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from discovery.aws import AwsCredentials
from discovery.errors import CredentialsError
from discovery.model import Authentication, Place
from rotator.issuer import TokenIssuer
from tests.rotator.records import PLACE, database, inventory, user, user_key

KEY = "elasticache/us-east-1/123456789012/user/reporting/cache/orders"
FAR = Place("210987654321", "eu-west-1")


def iam_user(user_id="reporting", *, place=PLACE, databases=("orders",)):
    return user(user_id, managed=False, place=place, databases=databases, authentication=Authentication.IAM)


def cache(name="orders", **changes):
    return database(name, **({"resource_id": "orders", "engine_version": "7.1"} | changes))


def credentials(number=1, *, ends_in=None):
    ends = None if ends_in is None else datetime.now(UTC) + timedelta(seconds=ends_in)
    return AwsCredentials(f"AKIA{number}", SecretStr(f"secret{number}"), None, ends)


class Published:
    """A session whose credentials a test sets, and the tokens that came of them."""

    def __init__(self):
        self.credentials = {PLACE: credentials(), FAR: credentials()}
        self.tokens = asyncio.Queue()
        self.counted = []

    async def credentials_of(self, place):
        answer = self.credentials[place]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, asyncio.Event):
            await answer.wait()
        return answer

    async def next(self):
        async with asyncio.timeout(5):
            return await self.tokens.get()

    def issuer(self):
        return TokenIssuer(
            self.credentials_of,
            on_credentials=lambda fresh: [self.tokens.put_nowait(one) for one in fresh],
            on_signed=lambda *counted: self.counted.append(counted),
            chance=lambda: 0.0,
        )


@pytest.fixture
def published():
    return Published()


@contextlib.asynccontextmanager
async def running(issuer):
    async with asyncio.TaskGroup() as group:
        task = group.create_task(issuer.run())
        yield issuer
        task.cancel()


@pytest.fixture
async def issuer(published):
    async with running(published.issuer()) as issuer:
        await asyncio.sleep(0)
        yield issuer


async def test_an_iam_user_gets_a_token_with_its_end(issuer, published):
    issuer.take_inventory(inventory(iam_user(), databases=[cache()]))
    token = await published.next()
    assert (token.key, token.kind, token.username, token.previous) == (KEY, "iam", "reporting", None)
    assert token.current.get_secret_value().startswith("orders/?Action=connect&User=reporting&")
    assert timedelta(minutes=14) < token.expires_at - datetime.now(UTC) <= timedelta(minutes=15)
    standing = issuer.standing(user_key("reporting"))
    assert (standing.databases, standing.expires_at, standing.error) == (("orders",), token.expires_at, None)
    assert published.counted == [(PLACE, 1, True)]


async def test_users_known_before_it_runs_get_theirs_when_it_does(published):
    issuer = published.issuer()
    issuer.take_inventory(inventory(iam_user(), databases=[cache()]))
    async with running(issuer):
        assert (await published.next()).key == KEY


async def test_an_inventory_that_says_the_same_signs_nothing_anew(issuer, published):
    same = inventory(iam_user(), databases=[cache()])
    issuer.take_inventory(same)
    first = await published.next()
    issuer.take_inventory(same)
    issuer.take_inventory(inventory(iam_user(), iam_user("other"), databases=[cache()]))
    assert "/user/other/" in (await published.next()).key
    assert published.tokens.empty()
    assert issuer.standing(user_key("reporting")).expires_at == first.expires_at


async def test_a_refused_token_is_signed_anew_at_once_and_told(issuer, published):
    issuer.take_inventory(inventory(iam_user(), databases=[cache()]))
    first = await published.next()
    answered = asyncio.Event()
    assert issuer.renew_now(KEY, first.version, answered.set)
    second = await published.next()
    assert second.version != first.version
    await asyncio.wait_for(answered.wait(), 5)


async def test_a_refusal_of_an_older_token_is_answered_with_the_one_there_is(issuer, published):
    issuer.take_inventory(inventory(iam_user(), databases=[cache()]))
    await published.next()
    answered = asyncio.Event()
    assert issuer.renew_now(KEY, "an older version", answered.set)
    await asyncio.wait_for(answered.wait(), 5)
    assert published.tokens.empty()


async def test_a_refusal_of_what_is_no_token_is_not_its_business(issuer):
    assert not issuer.renew_now("elasticache/us-east-1/123456789012/user/app", "v1", lambda: None)


async def test_a_session_that_ends_soon_is_followed_by_tokens_of_the_next(issuer, published):
    published.credentials[PLACE] = credentials(1, ends_in=0.6)
    issuer.take_inventory(inventory(iam_user(), databases=[cache()]))
    first = await published.next()
    published.credentials[PLACE] = credentials(2)
    second = await published.next()
    assert "AKIA1" in first.current.get_secret_value()
    assert "AKIA2" in second.current.get_secret_value()
    assert second.expires_at > first.expires_at


async def test_without_credentials_the_last_token_serves_and_the_reason_is_told(issuer, published):
    issuer.take_inventory(inventory(iam_user(), databases=[cache()]))
    token = await published.next()
    published.credentials[PLACE] = CredentialsError("no credentials", operation="sts:AssumeRole", code="X")
    answered = asyncio.Event()
    issuer.renew_now(KEY, token.version, answered.set)
    await asyncio.wait_for(answered.wait(), 5)
    standing = issuer.standing(user_key("reporting"))
    assert (standing.databases, standing.error) == (("orders",), "no credentials")
    published.credentials[PLACE] = credentials()
    assert (await published.next()).version != token.version
    assert issuer.standing(user_key("reporting")).error is None


async def test_credentials_that_have_expired_sign_nothing(issuer, published):
    published.credentials[PLACE] = credentials(1, ends_in=-1)
    answered = asyncio.Event()
    issuer.take_inventory(inventory(iam_user(), databases=[cache()]))
    issuer.renew_now(KEY, "any", answered.set)
    await asyncio.wait_for(answered.wait(), 5)
    assert "own credentials expired" in (issuer.standing(user_key("reporting")).error or "")
    assert published.tokens.empty()


async def test_a_place_that_hangs_holds_up_no_other(issuer, published):
    published.credentials[PLACE] = asyncio.Event()
    near, far = cache(), cache("far", resource_id="far", place=FAR)
    issuer.take_inventory(
        inventory(iam_user(), iam_user("remote", place=FAR, databases=("far",)), databases=[near, far])
    )
    assert "/210987654321/user/remote/" in (await published.next()).key


async def test_who_can_have_no_token_is_reported_with_the_reason(issuer):
    old = cache(engine_version="6.2")
    issuer.take_inventory(inventory(iam_user(), databases=[old]))
    standing = issuer.standing(user_key("reporting"))
    assert standing.databases == ()
    assert "too old" in standing.refusals["orders"]


async def test_a_user_that_is_gone_is_forgotten_and_whoever_waits_is_answered(issuer, published):
    issuer.take_inventory(inventory(iam_user(), databases=[cache()]))
    await published.next()
    published.credentials[PLACE] = asyncio.Event()
    answered = asyncio.Event()
    issuer.renew_now(KEY, "any", answered.set)
    issuer.take_inventory(inventory(databases=[cache()]))
    assert answered.is_set()
    assert issuer.standing(user_key("reporting")).databases == ()


async def test_password_users_get_no_tokens(issuer, published):
    issuer.take_inventory(inventory(user("app"), replace(iam_user(), databases=()), databases=[cache()]))
    await asyncio.sleep(0)
    assert published.tokens.empty()
