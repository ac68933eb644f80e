"""The command line's way to a running service: HTTP on the control socket."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from rotator.errors import NotFoundError, NotRunningError, RefusedError

__all__ = ["ServiceClient"]


class ServiceClient:
    """Asks the service whose runtime folder this is."""

    def __init__(self, runtime_dir: Path) -> None:
        self._socket = runtime_dir / "control" / "admin.sock"
        self._http = httpx.Client(
            transport=httpx.HTTPTransport(uds=str(self._socket)), base_url="http://valkeeper", timeout=10
        )

    def get(self, path: str, **query: str | None) -> Any:
        """The JSON at a path, asked with those parts of a query that are not None.

        Raises:
            NotRunningError: no service there, or not ours to ask.
        """
        with self._reaching():
            return self._answer(self._http.get(path, params=_given(query)))

    def post(self, path: str, body: Any = None, *, timeout: float = 10) -> Any:
        """The JSON that answers a request.

        Raises:
            NotRunningError: no service there, or not ours to ask.
            RefusedError: the service refuses, and says why.
        """
        with self._reaching():
            return self._answer(self._http.post(path, json=body, timeout=timeout))

    def delete(self, path: str, **query: str | None) -> Any:
        """The JSON that answers when what is at a path has been ended.

        Raises:
            NotRunningError: no service there, or not ours to ask.
            NotFoundError: there is no such thing.
            RefusedError: the service refuses, and says why.
        """
        with self._reaching():
            return self._answer(self._http.delete(path, params=_given(query)))

    def events(self) -> Iterator[dict[str, Any]]:
        """What happens from now on, until the service ends.

        Raises:
            NotRunningError: no service there, or not ours to ask.
        """
        with self._reaching(), self._http.stream("GET", "/v1/events", timeout=None) as answer:
            for line in answer.iter_lines():
                if line.startswith("data: "):
                    yield json.loads(line.removeprefix("data: "))

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except (httpx.ConnectError, PermissionError) as error:
            raise NotRunningError(
                f"no Valkeeper answers at {self._socket} ({error}): is `valkeeper serve` running,"
                " are you root or its user, and is proxy.runtime_dir the same?"
            ) from None
        except httpx.HTTPError as error:
            raise NotRunningError(
                f"Valkeeper at {self._socket} broke off: {error or type(error).__name__}"
            ) from None

    @staticmethod
    def _answer(response: httpx.Response) -> Any:
        if response.is_success:
            return response.json()
        try:
            detail = response.json().get("detail", response.text)
        except ValueError:
            detail = response.text
        if not isinstance(detail, str):  # pydantic's list of what does not fit
            detail = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in detail)
        if response.status_code == httpx.codes.NOT_FOUND:
            raise NotFoundError(detail)
        raise RefusedError(detail)


def _given(query: dict[str, str | None]) -> dict[str, str] | None:
    # httpx takes an empty query for the order to drop the one that is in the path.
    return {name: value for name, value in query.items() if value is not None} or None
