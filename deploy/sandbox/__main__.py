"""``python -m deploy.sandbox``: runs the sandbox until Ctrl-C, SIGTERM, or the end of its input."""

import argparse
import json
import os
import signal
import sys
import tempfile
import threading
from pathlib import Path


def main() -> int:
    """Run the sandbox."""
    options = _options()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    if options.until_eof:
        # The end of whoever started us, however it came, closes our input.
        threading.Thread(target=_await_eof, args=(stop,), daemon=True).start()
    # So that botocore, which the account is filled with, meets nothing of the user's own account.
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    with tempfile.TemporaryDirectory(prefix="valkeeper-sandbox-", dir=options.directory) as directory:
        # Here, because it takes most of the start, and --help should not.
        from deploy.sandbox.sandbox import Sandbox  # noqa: PLC0415

        try:
            sandbox = Sandbox(Path(directory), options.port, options.modify_delay)
        except FileNotFoundError as error:
            print(f"sandbox: {error}", file=sys.stderr)
            return 1
        try:
            if not options.empty:
                sandbox.fill()
            print(json.dumps(sandbox.about()) if options.json else _greeting(sandbox), flush=True)
            stop.wait()
        finally:
            sandbox.close()
    return 0


def _await_eof(stop: threading.Event) -> None:
    # Not through sys.stdin, whose lock a thread must not hold when the interpreter ends.
    while os.read(0, 1024):
        pass
    stop.set()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m deploy.sandbox", description="An AWS account on localhost."
    )
    parser.add_argument(
        "--port", type=int, default=4566, help="of 127.0.0.1; 0 for a free one (default: 4566)"
    )
    parser.add_argument("--empty", action="store_true", help="start with nothing in the account")
    parser.add_argument(
        "--modify-delay",
        type=float,
        default=0.3,
        metavar="SECONDS",
        help="how long a changed user is 'modifying' (default: 0.3)",
    )
    parser.add_argument("--json", action="store_true", help="print one line of JSON when ready")
    parser.add_argument("--until-eof", action="store_true", help="end when standard input does")
    parser.add_argument("--directory", type=Path, help="where its temporary directory goes")
    return parser.parse_args()


def _greeting(sandbox: "Sandbox") -> str:  # type: ignore[name-defined]  # noqa: F821 - imported late
    about = sandbox.about()
    lines = [f"An AWS account is at {about['endpoint_url']} until Ctrl-C. In another shell:", ""]
    lines += [f"  export {name}={value}" for name, value in about["environment"].items()]
    lines += [
        f"  export VALKEEPER_PROXY__UPSTREAM__CA_FILE={about['ca_file']}",
        "",
        "  aws elasticache describe-users",
        f"  curl -s {about['endpoint_url']}/_sandbox/                  # what there is",
    ]
    nodes = sandbox.nodes()
    if nodes:
        password = f"$(curl -s {about['endpoint_url']}/_sandbox/passwords/app | sed 's/.*\\[\"//; s/\".*//')"
        lines += [
            "",
            f"  REDISCLI_AUTH={password} \\",
            f"    redis-cli --tls --cacert {about['ca_file']} -p {nodes[0][2]} --user app ping",
            "",
            *(f"  {owner}: {role} on 127.0.0.1:{port}" for owner, role, port in nodes),
        ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
