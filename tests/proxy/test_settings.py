"""A wrong setting is named, with what is allowed."""

import pytest
from pydantic import ValidationError

from proxy.settings import ProxySettings, WorkerSettings


def test_nothing_needs_to_be_configured():
    settings = ProxySettings()
    assert settings.workers == 1
    assert str(settings.directory_socket) == "/run/valkeeper/control/directory.sock"
    assert [listener.unix for listener in settings.listeners] == ["{runtime_dir}/{database}.sock"]
    assert WorkerSettings.of(settings).connect_timeout == 5.0


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [("127.0.0.1:6380", "127.0.0.1", 6380), ("[::1]:1", "::1", 1), ("localhost:80", "localhost", 80)],
)
def test_loopback_addresses(address, host, port):
    [listener] = ProxySettings(listeners=[{"tcp": address, "database": "orders"}]).listeners
    assert listener.tcp_address == (host, port)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"listeners": [{"tcp": "0.0.0.0:6380"}]}, "only 127.0.0.1, [::1] and localhost are allowed"),
        ({"listeners": [{"tcp": "redis.internal:6380"}]}, "not a loopback address"),
        ({"listeners": [{"tcp": "127.0.0.1"}]}, "not <address>:<port>"),
        ({"listeners": [{"tcp": "127.0.0.1:99999"}]}, "not <address>:<port>"),
        ({"listeners": [{"tls": "0.0.0.0:6381"}]}, "tls"),
        ({"listeners": [{}]}, "either 'unix: <path>' or 'tcp: <address>:<port>'"),
        ({"listeners": [{"unix": "/a", "tcp": "127.0.0.1:1"}]}, "either 'unix: <path>' or 'tcp:"),
        ({"listeners": [{"unix": "{runtime_dir}/a.sock", "database": "a"}]}, "belongs to a tcp listener"),
        ({"listeners": [{"unix": "a.sock"}]}, "not an absolute path"),
        ({"listeners": [{"unix": "{runtime_dir}/control/{database}.sock"}]}, "Valkeeper's own"),
        ({"listeners": []}, "at least 1"),
        ({"workers": 0}, "greater than or equal to 1"),
        ({"runtime_dir": "/" + "x" * 110}, "107 bytes"),
        ({"upstream": {"connect_timeout": "soon"}}, "15m, 5s, 1h30m"),
        ({"upstream": {"connect_timeout": 0}}, "longer than nothing"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_what_is_wrong_is_said(settings, words):
    with pytest.raises(ValidationError) as raised:
        ProxySettings.model_validate(settings)
    assert words in str(raised.value)
