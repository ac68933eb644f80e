"""A real Redis over TLS, a rotator that only publishes, and the real proxy as processes of its own."""

import asyncio
import contextlib
import itertools
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import redis

from proxy.channel import MAX_LINE, Channel
from proxy.directory import Credential, Database, Directory, Tls, Update
from proxy.messages import (
    Acknowledged,
    AskSessions,
    Changed,
    EndSessions,
    FromProxy,
    Rejected,
    Report,
    SessionsPart,
    Whole,
)
from proxy.settings import ProxySettings

PATIENCE = 10.0
_numbers = itertools.count(1)


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def eventually(question, *, patience=PATIENCE, what="it"):
    """Ask until the answer is true, and give it."""
    end = time.monotonic() + patience
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > end:
            pytest.fail(f"{what} did not happen within {patience} s")
        time.sleep(0.01)


class Server:
    """A redis-server that speaks TLS only, with users `app`, `other`, `legacy` and no `default`.

    Tests themselves talk to it by a Unix socket: a connection by TLS costs more than what most of them do with it.

    Attributes:
        path: of this socket.
    """

    def __init__(self, folder, ca, **certificate):
        self.folder = folder
        self.port = free_port()
        self.ca_file = folder / "ca.pem"
        self.path = folder / "redis"  # in a proxy's own folder a name in .sock would be taken for a stale one
        ca.cert_pem.write_to_path(self.ca_file)
        certificate = ca.issue_cert("localhost", "127.0.0.1", **certificate)
        certificate.private_key_pem.write_to_path(folder / "key.pem")
        for blob in certificate.cert_chain_pems:
            blob.write_to_path(folder / "cert.pem", append=True)
        (folder / "users.acl").write_text(
            "user default off\n"
            "user admin on >admin-password ~* &* +@all\n"
            "user app on >app-current >app-previous ~* &* +@all\n"
            "user other on >other-current ~* &* +@all\n"
            "user legacy on >legacy-password ~* &* +@all\n"
        )
        self.process = None

    def start(self):
        self.process = subprocess.Popen(
            [
                "redis-server", "--port", "0", "--tls-port", str(self.port), "--bind", "127.0.0.1",
                "--tls-cert-file", str(self.folder / "cert.pem"), "--tls-key-file", str(self.folder / "key.pem"),
                "--tls-ca-cert-file", str(self.ca_file), "--tls-auth-clients", "no",
                "--aclfile", str(self.folder / "users.acl"), "--save", "", "--dir", str(self.folder),
                "--unixsocket", str(self.path), "--enable-debug-command", "yes",
                "--hz", "100",  # BLPOP's time-outs are looked at so often in a second
            ],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        eventually(self.is_up, what="redis-server")

    def is_up(self):
        try:
            with self.client() as client:
                return client.ping()
        except redis.ConnectionError:
            return False

    def client(self, username="admin", password="admin-password", **options):
        return redis.Redis(unix_socket_path=str(self.path), username=username, password=password, **options)

    def acl(self, *rules):
        with self.client() as client:
            client.execute_command("ACL", "SETUSER", *rules)

    def stop(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


class Nobody:
    """A transport that goes nowhere."""

    def __init__(self):
        self.written = b""

    def __getattr__(self, _name):
        return lambda *_args, **_options: None

    def write(self, data):
        self.written += data


def credential(name="app", *, version="v1", current="app-current", previous="app-previous", kind="managed"):
    return Credential(
        key=f"elasticache/us-east-1/1/user/{name}", kind=kind, username=name, version=version,
        current=current, previous=previous,
    )  # fmt: skip


def iam_credential(current, *, lives=timedelta(minutes=15), version=None, database="orders"):
    """A token of the user `app` for one database."""
    return Credential(
        key=f"elasticache/us-east-1/1/user/app/cache/{database}", kind="iam", username="app",
        version=version or token(), current=current, expires_at=datetime.now(UTC) + lives,
    )  # fmt: skip


def database(server, name="orders", users=("app",), **changes):
    record = {
        "name": name,
        "host": "localhost",
        "port": server.port,
        "tls": Tls(ca_file=str(server.ca_file)),
        "users": users if isinstance(users, dict) else {user: credential(user).key for user in users},
    }
    return Database(**(record | changes))


def directory(*databases, credentials=(), version=1):
    return Directory(
        version=version,
        databases={record.name: record for record in databases},
        credentials={record.key: record for record in credentials},
    )


class Publisher:
    """The rotator's end of the directory socket, in a thread with a loop of its own."""

    def __init__(self, path):
        self.path = path
        self.messages = []
        self.directory = None
        self._channels = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = None

    def start(self):
        async def begin():
            self._server = await asyncio.start_unix_server(self._serve, self.path, limit=MAX_LINE)

        asyncio.run_coroutine_threadsafe(begin(), self._loop).result(PATIENCE)
        return self

    async def _serve(self, reader, writer):
        channel = Channel(reader, writer)
        self._channels.add(channel)
        try:
            if self.directory is not None:
                await channel.send(Whole(directory=self.directory))
            while (message := await channel.receive(FromProxy)) is not None:
                self.messages.append(message)
        finally:
            self._channels.discard(channel)
            channel.close()

    def publish(self, new):
        self.directory = new
        self._send(Whole(directory=new))

    def update(self, **changes):
        update = Update(version=self.directory.version + 1, **changes)
        self.directory = self.directory.updated(update)
        self._send(Changed(update=update))

    def _send(self, message):
        async def send():
            for channel in self._channels:
                await channel.send(message)

        asyncio.run_coroutine_threadsafe(send(), self._loop).result(PATIENCE)

    def of(self, kind):
        return [message for message in self.messages if isinstance(message, kind)]

    def acknowledged(self, version):
        return eventually(
            lambda: [m for m in self.of(Acknowledged) if m.version == version],
            what=f"acknowledgement of {version}",
        )[0]

    def rejected(self):
        return eventually(lambda: self.of(Rejected), what="a report of a rejected credential")[0]

    def counters(self, name, question):
        """The latest counts of a database, once the question about them is true."""

        def ask():
            reports = self.of(Report)
            counts = reports[-1].counters.databases.get(name) if reports else None
            return counts if counts is not None and question(counts) else None

        return eventually(ask, what="the expected count")

    def shared(self, name):
        """How many connections to a database are kept for sessions to share."""
        reports = self.of(Report)
        counts = reports[-1].counters.databases.get(name) if reports else None
        return counts.shared_connections if counts is not None else 0

    def sessions(self):
        """Which sessions there are, by id, and how many workers did not say."""
        return self._ask(AskSessions(number=next(_numbers)))

    def end_sessions(self, *ids, reason="it is time"):
        """End sessions; those that there were, by id, and how many workers did not say."""
        return self._ask(EndSessions(number=next(_numbers), ids=ids, reason=reason))

    def _ask(self, question):
        self._send(question)

        def answered():
            parts = [part for part in self.of(SessionsPart) if part.number == question.number]
            return parts if parts and parts[-1].last else None

        parts = eventually(answered, what="an answer about sessions")
        return {record.id: record for part in parts for record in part.sessions}, parts[-1].silent

    def hang_up(self):
        """As if the rotator had been killed."""

        async def end():
            self._server.close()
            for channel in list(self._channels):
                channel.close()

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(PATIENCE)
        Path(self.path).unlink(missing_ok=True)

    def stop(self):
        async def end():
            if self._server is not None:
                self._server.close()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(PATIENCE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Proxy:
    """The real parent and its workers."""

    def __init__(
        self, settings, log_file, publisher, command=None, *, roles=(), log_level="debug", **process
    ):
        self.publisher = publisher
        self.settings = ProxySettings.model_validate(settings)
        self._log_file = log_file
        if command is None:
            # What the command line does, with settings that hold no secret.
            code = (
                "import json, sys, proxy.lean; from proxy.parent import run; from proxy.roles import Role; "
                "from proxy.settings import ProxySettings; "
                "settings, roles = ProxySettings.model_validate_json(sys.argv[1]), json.loads(sys.argv[2]); "
                "sys.exit(run(settings, sys.argv[3], roles=tuple(map(Role.model_validate, roles))))"
            )
            command = [
                sys.executable,
                "-c",
                code,
                json.dumps(settings, default=str),
                json.dumps(roles),
                log_level,
            ]
        with log_file.open("ab") as log:
            self.process = subprocess.Popen(command, stderr=log, stdin=subprocess.DEVNULL, **process)

    def serve(self, *databases, credentials=None):
        """Publish these databases with the managed user `app`, in a version never used before, until all serve them."""
        version = self.publisher.directory.version + 1 if self.publisher.directory else 1
        if credentials is None:
            credentials = [credential(version=token())]
        self.publisher.messages.clear()
        self.publisher.publish(directory(*databases, credentials=credentials, version=version))
        self.publisher.acknowledged(version)
        return self

    def path(self, name="orders"):
        return self.settings.runtime_dir / f"{name}.sock"

    def wait_for(self, name="orders"):
        eventually(lambda: self.path(name).exists(), what=f"socket of {name}")
        return self

    def client(self, name="orders", **options):
        return redis.Redis(
            unix_socket_path=str(self.path(name)), **({"username": "app", "password": "x"} | options)
        )

    def socket(self, name="orders"):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(PATIENCE)
        sock.connect(str(self.path(name)))
        return sock

    def say(self, data, name="orders", *, eof=True):
        """Send this, and give everything that comes back until the end."""
        with self.socket(name) as sock:
            sock.sendall(data)
            if eof:
                sock.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: sock.recv(65536), b""))

    def events(self, name=None):
        found = []
        for line in self._log_file.read_text().splitlines():
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
        return [event for event in found if name is None or event.get("event") == name]

    def check_log(self):
        """What no log may ever hold."""
        text = self._log_file.read_text()
        assert "Traceback" not in text, text
        for secret in ("app-current", "app-previous", "other-current", "default-current", "legacy-password"):
            assert secret not in text

    def workers(self):
        ends = self.events("worker died") + self.events("old worker ended")
        dead = {event["worker"] for event in ends}
        return [event["worker"] for event in self.events("worker started") if event["worker"] not in dead]

    def stop(self, patience=PATIENCE):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(patience)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode


def token():
    """A name that no other test uses."""
    return f"t{os.getpid()}-{secrets.token_hex(4)}"
