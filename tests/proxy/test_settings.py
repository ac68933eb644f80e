"""A wrong setting is named, with what is allowed."""

import pytest
from pydantic import ValidationError

from proxy.settings import ProxySettings, WorkerSettings

TLS = {"cert_file": "/etc/valkeeper/tls.pem", "key_file": "/etc/valkeeper/tls.key", "role": "backend"}


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
    assert listener.address == (host, port)


def test_a_tls_port_may_be_on_every_address():
    [listener] = ProxySettings(listeners=[{"tls": "0.0.0.0:6381"} | TLS]).listeners
    assert (listener.address, listener.role, listener.is_per_database) == (
        ("0.0.0.0", 6381),
        "backend",
        False,
    )


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"listeners": [{"tcp": "0.0.0.0:6380"}]}, "only 127.0.0.1, [::1] and localhost are allowed"),
        ({"listeners": [{"tcp": "redis.internal:6380"}]}, "not a loopback address"),
        ({"listeners": [{"tcp": "127.0.0.1"}]}, "not <address>:<port>"),
        ({"listeners": [{"tcp": "127.0.0.1:99999"}]}, "not <address>:<port>"),
        ({"listeners": [{"tls": "0.0.0.0:6381"}]}, "needs 'cert_file' and 'key_file' and 'role'"),
        ({"listeners": [{"tls": "0.0.0.0:1", "cert_file": "/c", "key_file": "/k"}]}, "needs 'role': "),
        ({"listeners": [{"tls": "0.0.0.0:1", "role": "r"}]}, "needs 'cert_file' and 'key_file': "),
        ({"listeners": [{"tls": "6381"} | TLS]}, "not <address>:<port>"),
        ({"listeners": [{"tls": ":6381"} | TLS]}, "not <address>:<port>"),
        (
            {"listeners": [{"unix": "/a"} | TLS]},
            "'cert_file' and 'key_file' and 'role' only a tls listener has",
        ),
        ({"listeners": [{"tcp": "127.0.0.1:1", "role": "r"}]}, "'role' only a tls listener has"),
        ({"listeners": [{}]}, "one of 'unix: <path>', 'tcp: <address>:<port>' and 'tls: <address>:<port>'"),
        ({"listeners": [{"unix": "/a", "tcp": "127.0.0.1:1"}]}, "one of 'unix: <path>', 'tcp:"),
        ({"listeners": [{"tls": "0.0.0.0:1", "tcp": "127.0.0.1:1"} | TLS]}, "one of 'unix: <path>', 'tcp:"),
        (
            {"listeners": [{"unix": "{runtime_dir}/a.sock", "database": "a"}]},
            "belongs to a tcp or tls listener",
        ),
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
