"""Sessions pass from one connection to the next, whichever way, and whatever became of the first."""

import contextlib
import importlib.machinery
import ssl
import threading

import pytest

from proxy import resumption
from proxy.resumption import ByOpenSsl, ByPython

WAYS = [ByOpenSsl, ByPython]


@pytest.fixture(scope="module")
def theirs(ca):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost").configure_cert(context)
    return context


@pytest.fixture
def ours(ca):
    context = ssl.create_default_context()
    ca.configure_trust(context)
    return context


class Line:
    """A connection of a context to a server, in memory; its handshake is still to be done."""

    def __init__(self, way, ours, theirs):
        self._to_us, self._to_them = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.ours = ours.wrap_bio(self._to_us, self._to_them, server_hostname="localhost")
        self.address = way.newest()
        self._from_us, self._from_them = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.theirs = theirs.wrap_bio(self._from_us, self._from_them, server_side=True)
        way.newest()  # this one was it

    def shake_hands(self):
        """Do it, and have the server say something, as its session comes before that."""
        for _ in range(3):
            for one in (self.ours, self.theirs):
                with contextlib.suppress(ssl.SSLWantReadError):
                    one.do_handshake()
                self._pass_on()
        self.theirs.write(b"+OK\r\n")
        self._pass_on()
        assert self.ours.read() == b"+OK\r\n"
        return self

    def _pass_on(self):
        self._from_us.write(self._to_them.read())
        self._to_us.write(self._from_them.read())


def resumed(way, ours, theirs, session):
    line = Line(way, ours, theirs)
    way.offer(line.ours, line.address, session)
    return line.shake_hands().ours.session_reused


@pytest.mark.parametrize("make", WAYS)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_outlives_the_connection_that_it_comes_from(make, version, ours, theirs):
    ours.maximum_version = version
    way = make()
    line = Line(way, ours, theirs).shake_hands()
    session = way.take(line.ours, line.address)
    del line  # cut, at which OpenSSL gives up the session of the connection itself
    assert [resumed(way, ours, theirs, session) for _ in range(3)] == [True, True, True]
    assert line_of_its_own(way, ours, theirs), "the context itself has learned nothing"


def line_of_its_own(way, ours, theirs):
    return not Line(way, ours, theirs).shake_hands().ours.session_reused


@pytest.mark.parametrize("make", WAYS)
def test_before_the_handshake_there_is_none(make, ours, theirs):
    way = make()
    line = Line(way, ours, theirs)
    assert way.take(line.ours, line.address) is None


def test_a_connection_that_openssl_did_not_tell_of_does_without(ours, theirs):
    way = ByOpenSsl()
    line = Line(way, ours, theirs).shake_hands()
    session = way.take(line.ours, line.address)
    line = Line(way, ours, theirs)
    way.offer(line.ours, 0, session)
    assert not line.shake_hands().ours.session_reused
    assert way.take(line.ours, 0) is None


def test_what_is_taken_from_one_who_resumed_can_be_offered_too(ours, theirs):
    way = ByOpenSsl()
    line = Line(way, ours, theirs).shake_hands()
    for _ in range(3):
        session = way.take(line.ours, line.address)
        line = Line(way, ours, theirs)
        way.offer(line.ours, line.address, session)
        assert line.shake_hands().ours.session_reused


def test_a_server_that_knows_it_no_more_shakes_hands_anew(ca, ours, theirs):
    way = ByOpenSsl()
    line = Line(way, ours, theirs).shake_hands()
    session = way.take(line.ours, line.address)
    other = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost").configure_cert(other)
    assert not resumed(way, ours, other, session)
    assert resumed(way, ours, theirs, session)


def test_a_thread_hears_of_its_own_connections_alone(ours):
    way = ByOpenSsl()

    def connect(found):
        ours.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="localhost")
        found.append(way.newest())

    mine, others = [], []
    ours.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="localhost")
    thread = threading.Thread(target=connect, args=(others,))
    thread.start()
    thread.join()
    mine.append(way.newest())
    assert all(mine + others)
    assert mine != others
    assert way.newest() == 0, "once"


@pytest.fixture
def searched(monkeypatch):
    """Python's `_ssl` said to be elsewhere."""

    def look(spec):
        monkeypatch.setattr("importlib.util.find_spec", lambda _name: spec)
        resumption._library.cache_clear()
        resumption.best.cache_clear()
        return resumption.best()

    yield look
    resumption._library.cache_clear()
    resumption.best.cache_clear()


def test_pythons_way_remains_where_openssl_cannot_be_called(searched, tmp_path):
    def spec(origin):
        found = importlib.machinery.ModuleSpec("_ssl", None, origin=origin)
        found.has_location = origin is not None
        return found

    assert isinstance(searched(spec(str(tmp_path / "_ssl.so"))), ByPython), "no library"
    assert isinstance(searched(spec(importlib.util.__file__)), ByPython), "not a library"
    assert isinstance(searched(spec(None)), ByPython), "within Python, and hidden"


def test_openssl_is_called_where_these_tests_run():
    assert isinstance(resumption.best(), ByOpenSsl)
