"""The proxy as it is run, for tests that reload it."""

import json
import signal
import sys

from tests.proxy.proxykit import Proxy, eventually


class Reloadable(Proxy):
    """The real command line, with a configuration that a test may change.

    Args:
        folder: for everything.
        publisher: whose directory it serves.
        before: what the command line begins with.
        process: options of `Popen`.
        settings: of the section `proxy:`.
    """

    def __init__(self, folder, publisher, before=(), process=None, **settings):
        self._file = folder / "valkeeper.yaml"
        self._defaults = {"runtime_dir": str(folder), "drain_timeout": "200ms"}
        self.configure(**settings)
        command = [*before, sys.executable, "-m", "rotator.cli", "proxy", "--config", str(self._file)]
        super().__init__(
            {"runtime_dir": str(folder)}, folder / "proxy.log", publisher, command, **(process or {})
        )

    def configure(self, **settings):
        self._file.write_text(json.dumps({"proxy": self._defaults | settings, "log": {"level": "info"}}))

    def hang_up(self, news="old workers relieved"):
        """Send SIGHUP, and give the log's line that says what came of it."""
        before = len(self.events(news))
        self.process.send_signal(signal.SIGHUP)
        return eventually(lambda: self.events(news)[before:], what=news, patience=30)[0]
