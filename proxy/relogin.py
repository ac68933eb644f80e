"""The logins inside an open session get the password that the client does not have."""

from collections.abc import Callable

from proxy.directory import Database
from proxy.errors import ClientError
from proxy.floor import Floor
from proxy.guest import Guest
from proxy.handshake import read_login, users_named
from proxy.login import working_password
from proxy.relay import Relay
from proxy.resp import Command, encode

__all__ = ["Relogin"]


class Relogin:
    """Checks the logins at which a relay's scanner stops, and rewrites them.

    Args:
        floor: what the worker's sessions share.
        guest: whose they are.
        database: where the relay leads.
        on_wait: called when one takes a while: `finish` is to be run then.
        on_passed: called when one was passed on.
        on_refused: called when the client may not become the user that it names.

    Attributes:
        waits: True where `finish` is to be run.
    """

    def __init__(
        self,
        floor: Floor,
        guest: Guest,
        database: Database,
        *,
        on_wait: Callable[[], None],
        on_passed: Callable[[], None],
        on_refused: Callable[[ClientError], None],
    ) -> None:
        self._floor = floor
        self._guest = guest
        self._database = database
        self._on_wait = on_wait
        self._on_passed = on_passed
        self._on_refused = on_refused
        self.waits = False

    def found(self, relay: Relay) -> None:
        """Deal with the logins in what the client has just sent, as far as that needs no waiting."""
        while relay.scanner.found is not None and not relay.finishing:
            try:
                if relay.scanner.refusal is not None:
                    raise relay.scanner.refusal
                command = self._rewritten(relay.scanner.found)
            except ClientError as error:
                self._on_refused(error)
                relay.end(error.reply)
                return
            if command is None:
                relay.pause()
                self.waits = True
                self._on_wait()
                return
            relay.pass_found(command)

    def _rewritten(self, command: Command) -> bytes | None:
        """What the database is to be sent in this login's place; None: a password has to be tried first.

        Raises:
            ClientError: the client may not become that user.
        """
        login = read_login(command.args)
        guest = self._guest
        if login is None:
            for named in users_named(command.args):
                guest.authorize(named)
            # AUTH without a name, or a HELLO that may name two.
            guest.is_uncertain = guest.is_uncertain or command.name in (b"AUTH", b"HELLO")
            return encode(command.args)
        user = guest.named_by(login)
        guest.authorize(user)
        credential = guest.becomes(user)
        if credential is None:
            return login.command(user)
        if self._floor.is_vouched(guest.database, credential):
            guest.used[credential.key] = credential.made
            return login.command(credential.username, credential.current.get_secret_value())
        return None

    async def finish(self, relay: Relay) -> None:
        """Rewrite the login that waits, once it is known which password works."""
        self.waits = False
        guest = self._guest
        command = relay.scanner.found
        login = read_login(command.args) if command is not None else None
        if command is None or login is None:
            return
        user = guest.named_by(login)
        credential = self._floor.directory.credential(guest.database, user)
        if credential is None:
            rewritten = login.command(user)
        else:
            # None leaves the client its own: the database says no to it, and the session goes on as who it was.
            working = await working_password(self._floor, self._database, credential)
            if working is not None:
                guest.used[credential.key] = working[1]
                self._on_passed()
            rewritten = login.command(credential.username, working[0] if working is not None else None)
        relay.pass_found(rewritten)
        relay.resume()
        self.found(relay)
