"""Errors in AWS's form: JSON or XML, as the service speaks."""

import json
from xml.sax.saxutils import escape

from werkzeug.wrappers import Response

__all__ = ["RefusedError", "answer"]


class RefusedError(Exception):
    """A call that AWS would refuse: its error code, words and HTTP status."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


def answer(code: str, message: str, status: int, *, as_json: bool) -> Response:
    """Return an error as a response."""
    if as_json:
        body = json.dumps({"__type": code, "message": message})
        return Response(body, status, {"x-amzn-errortype": code}, mimetype="application/x-amz-json-1.1")
    kind = "Sender" if status < 500 else "Receiver"
    body = (
        f"<ErrorResponse><Error><Type>{kind}</Type><Code>{escape(code)}</Code><Message>{escape(message)}</Message>"
        "</Error><RequestId>00000000-0000-0000-0000-000000000000</RequestId></ErrorResponse>"
    )
    return Response(body, status, mimetype="text/xml")
