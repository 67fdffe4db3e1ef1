"""The command line: what begins it, and what ends it from outside."""

import signal
import sys
from collections.abc import Sequence
from typing import Any

# What a person or a scheduler sends to end a program, where the system has it.
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
_SIGNALS = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]


class Stopped(BaseException):
    """The program was told to end; nothing but the end of it catches this."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def begin(args: Sequence[str] | None = None) -> None:
    """Run the command line, and leave with its exit code.

    What a person must act on is one sentence on stderr and exit code 2; a run in which
    some images failed ends with 1, Ctrl-C with 130, SIGTERM with 143.
    """
    try:
        for one in _SIGNALS:
            if signal.getsignal(one) is not signal.SIG_IGN:
                signal.signal(one, _stop)
        # Only now, so that Ctrl-C is heeded while it is imported.
        from napari_disentangle.cli.main import main

        try:
            main(args)
        finally:
            _ignore()
    except Stopped as stopped:
        print(
            "\nnapari-disentangle: stopped; the same command goes on where it ended",
            file=sys.stderr,
        )
        sys.exit(128 + stopped.number)


def _stop(number: int, frame: Any) -> None:
    _ignore()
    raise Stopped(number)


def _ignore() -> None:
    """Let nothing end what is ending."""
    for one in _SIGNALS:
        signal.signal(one, signal.SIG_IGN)
