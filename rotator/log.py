"""The log: one event for each thing that happened, as JSON or for people, and as a stream for whoever watches."""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, MutableMapping
from typing import Any

import structlog

__all__ = ["EventStream", "configure"]

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
# These log whole requests at DEBUG, passwords included; nothing of them is worth that risk.
_CAPPED = (
    "botocore",
    "boto3",
    "urllib3",
    "s3transfer",
    "asyncio",
    "uvicorn",
    "apscheduler",
    "httpx",
    "httpcore",
)


class EventStream:
    """Hands the events of the log, from info upwards, to whoever follows. Slow followers lose the oldest."""

    _HELD = 1000

    def __init__(self) -> None:
        self._followers: set[asyncio.Queue[dict[str, Any] | None]] = set()

    def __call__(
        self, _logger: Any, method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """A structlog processor: passes every event on, and copies it to the followers."""
        if self._followers and method != "debug":
            for follower in self._followers:
                if follower.full():
                    follower.get_nowait()
                follower.put_nowait(dict(event))
        return event

    def end(self) -> None:
        """Let all followers go, after what they have not read yet."""
        for follower in self._followers:
            if follower.full():
                follower.get_nowait()
            follower.put_nowait(None)

    async def follow(self) -> AsyncIterator[dict[str, Any]]:
        """The events from now on, until `end`."""
        queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue(self._HELD)
        self._followers.add(queue)
        try:
            while (event := await queue.get()) is not None:
                yield event
        finally:
            self._followers.discard(queue)


def configure(level: str, form: str, *, events: EventStream | None = None) -> None:
    """Send structlog's and the libraries' events to standard error, as JSON lines (`json`) or for people (`console`)."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        # No locals in tracebacks: they would show what variables hold.
        structlog.processors.ExceptionRenderer(
            structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        )
        if form == "json"
        else structlog.processors.format_exc_info,
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(default=str)
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[*shared, *([events] if events is not None else []), renderer],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(_LEVELS[level])
    for name in _CAPPED:
        logging.getLogger(name).setLevel(max(_LEVELS[level], logging.WARNING))
    # It warns whenever a discovery takes longer than its interval; the next one simply follows.
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
