"""The admin API over HTTP, without a service behind it: what is asked of one, and what callers are told."""

import httpx
import pytest

from proxy.messages import SessionRecord
from rotator.admin import control_app, public_app
from rotator.views import SessionsView, session_view

CALLER = "uid 0 (pid 4711)"
NOW = 1_700_000_000.0


def record(name, *, database="orders", user="app", uid=1000, since=NOW - 60, **changes):
    record = SessionRecord(
        id=name, identity="local" if uid is None else f"uid {uid}", uid=uid, pid=None if uid is None else 99,
        database=database, user=user, state="open", since=since, commands=3, bytes_from_client=1, bytes_from_database=2,
    )  # fmt: skip
    return record.model_copy(update=changes)


class Backend:
    """A service of which only the sessions are asked."""

    def __init__(self, *records, proxies=1, silent=0):
        self.records = records
        self.proxies, self.silent = proxies, silent
        self.ended = []

    async def sessions(self):
        return self._view(self.records)

    async def end_sessions(self, ids, reason, asked_by):
        self.ended.append((ids, reason, asked_by))
        return self._view([one for one in self.records if one.id in ids])

    def _view(self, records):
        views = [session_view(one, {1000: "alice"}, NOW) for one in records]
        return SessionsView(sessions=views, proxies=self.proxies, silent=self.silent)


def api(app):
    """A caller on the control socket, whose server says where TCP has an address who it is."""
    transport = httpx.ASGITransport(app, client=(CALLER, 0))
    return httpx.AsyncClient(transport=transport, base_url="http://valkeeper")


async def test_sessions_tell_who_where_as_whom_since_when_and_how_much():
    async with api(control_app(Backend(record("7-1"), silent=1))) as http:
        answer = (await http.get("/v1/sessions")).raise_for_status().json()
    assert answer == {
        "sessions": [
            {
                "id": "7-1",
                "who": "alice",
                "uid": 1000,
                "pid": 99,
                "database": "orders",
                "user": "app",
                "state": "open",
                "since": "2023-11-14T22:12:20Z",
                "open_seconds": 60.0,
                "commands": 3,
                "bytes_from_client": 1,
                "bytes_from_database": 2,
            }
        ],
        "proxies": 1,
        "silent": 1,
    }


@pytest.mark.parametrize(
    ("uid", "who"), [(1000, "alice"), (1001, "uid 1001"), (None, "local")], ids=["named", "unnamed", "tcp"]
)
def test_a_caller_without_a_name_is_called_by_what_is_known(uid, who):
    assert session_view(record("7-1", uid=uid), {1000: "alice"}, NOW).who == who


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["7-1", "7-2", "8-1", "8-2"]),
        ("?database=orders", ["7-1", "7-2"]),
        ("?user=app", ["7-1", "8-1"]),
        ("?database=carts&user=batch", []),
        ("?user=", []),
    ],
)
async def test_sessions_are_chosen_by_database_and_user(query, found):
    backend = Backend(
        record("7-1"),
        record("7-2", user="batch"),
        record("8-1", database="carts"),
        record("8-2", database="", user=None, state="greeting"),
    )
    async with api(control_app(backend)) as http:
        answer = (await http.get(f"/v1/sessions{query}")).json()
    assert [one["id"] for one in answer["sessions"]] == found


async def test_a_session_is_ended_for_a_reason_by_a_caller():
    backend = Backend(record("7-1"), record("7-2"))
    async with api(control_app(backend)) as http:
        answer = await http.delete("/v1/sessions/7-1", params={"reason": "time for lunch"})
        bare = await http.delete("/v1/sessions/7-2")
    assert (answer.status_code, answer.json()) == (200, {"ended": ["7-1"]})
    assert bare.status_code == 200
    assert backend.ended == [(["7-1"], "time for lunch", CALLER), (["7-2"], "", CALLER)]


@pytest.mark.parametrize(
    ("proxies", "silent", "words"),
    [
        (1, 0, "there is no session 7-9; list them with: valkeeper sessions"),
        (1, 2, "2 did not in time, and will end it if it is theirs"),
        (0, 0, "no proxy is connected"),
    ],
)
async def test_a_session_that_is_not_there_is_not_found_and_the_caller_is_told_how_sure_that_is(
    proxies, silent, words
):
    async with api(control_app(Backend(record("7-1"), proxies=proxies, silent=silent))) as http:
        answer = await http.delete("/v1/sessions/7-9")
    assert answer.status_code == 404
    assert words in answer.json()["detail"]


async def test_a_reason_that_is_too_long_is_refused_and_nothing_ends():
    backend = Backend(record("7-1"))
    async with api(control_app(backend)) as http:
        answer = await http.delete("/v1/sessions/7-1", params={"reason": "x" * 201})
    assert (answer.status_code, backend.ended) == (422, [])


async def test_sessions_are_for_the_control_socket_alone():
    backend = Backend(record("7-1"))
    async with api(public_app(backend)) as http:
        assert (await http.get("/v1/sessions")).status_code == 404
        assert (await http.delete("/v1/sessions/7-1")).status_code == 404
    assert backend.ended == []
