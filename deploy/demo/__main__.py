"""``python -m deploy.demo``: runs the demo until Ctrl-C, or for as long as is said."""

import argparse
import sys
import time

_STARTED_AT = time.time()  # before the imports that take long


def main() -> int:
    """Read the arguments, and run."""
    from discovery.duration import parse_duration  # noqa: PLC0415 - the clock is running by now

    def seconds(text: str) -> float:
        try:
            return parse_duration(text).total_seconds()
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    parser = argparse.ArgumentParser(
        prog="python -m deploy.demo", description="Valkeeper's main job against an AWS account on localhost."
    )
    parser.add_argument(
        "--duration",
        type=seconds,
        metavar="TIME",
        help="end by itself so long after readiness, such as 45 or 2m (default: at Ctrl-C)",
    )
    parser.add_argument(
        "--interval",
        type=seconds,
        metavar="TIME",
        default=15.0,
        help="how old a password gets (default: 15s)",
    )
    options = parser.parse_args()

    from rich.console import Console  # noqa: PLC0415

    from deploy.demo.runner import Demo  # noqa: PLC0415

    return Demo(
        Console(highlight=False),
        started_at=_STARTED_AT,
        interval=options.interval,
        duration=options.duration,
    ).run()


if __name__ == "__main__":
    sys.exit(main())
