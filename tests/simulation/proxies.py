"""The proxy beside an instance, and clients that connect through it.

The directory, its updates and the catalogue they come from are the product's. What a client does is `proxy.login.log_in`
told again without sockets: current, else previous, else what the rotator says, within the connect timeout.
"""

from proxy.directory import Directory
from tests.simulation.calls import Login, News, ask

__all__ = ["CONNECT_WITHIN", "Client", "Proxy"]

CONNECT_WITHIN = 5.0  # seconds; the default of `proxy.upstream.connect_timeout`
_REPORT_SECONDS = 1.0  # as `proxy.floor`


class Proxy:
    """One proxy process: it outlives its rotator."""

    def __init__(self, number):
        self.number = number
        self.directory = Directory()
        self.acknowledged = -1  # directory version, of the rotator that runs now
        self.waiting = []  # (task, News) of clients
        self._reported = {}

    def credential(self, key):
        return self.directory.credentials.get(key)

    def take(self, message):
        """A directory, or an update of it; gives the clients who waited for this news."""
        if isinstance(message, Directory):
            self.directory = message.heir_of(self.directory)
            keys = set(message.credentials)
        else:
            self.directory = self.directory.updated(message)
            keys = {credential.key for credential in message.credentials}
        told = [task for task, news in self.waiting if news.key in keys]
        self.waiting = [(task, news) for task, news in self.waiting if news.key not in keys]
        return told

    def may_report(self, key, now):
        """At most once a second, however many clients are refused."""
        if now - self._reported.get(key, -_REPORT_SECONDS) < _REPORT_SECONDS:
            return False
        self._reported[key] = now
        return True


class Client:
    """One connection: `outcome` is True in, False refused, None where nothing says anything about rotation."""

    def __init__(self, subject, proxy, endpoint, began):
        self.subject = subject
        self.proxy = proxy
        self.endpoint = endpoint
        self.began = began
        self.deadline = began + CONNECT_WITHIN

    async def connect(self):
        key = str(self.subject.key)
        credential = self.proxy.credential(key)
        if credential is None:  # passed through, with a password of its own
            return None
        confirmed = None
        while True:
            for secret in (credential.current, credential.previous):
                if secret is None:
                    continue
                let_in = await ask(Login(self.endpoint, self.subject.id, secret.get_secret_value()))
                if let_in is not False:
                    return let_in
            latest = self.proxy.credential(key)
            if latest == credential == confirmed:
                return False
            if latest == credential:
                if not await ask(News(self.proxy, key, credential.version, self.deadline)):
                    return False
                latest = confirmed = self.proxy.credential(key)
            if latest is None:
                return False
            credential = latest
