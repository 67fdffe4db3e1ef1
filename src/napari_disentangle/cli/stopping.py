"""What ends the command line from outside: Ctrl-C, and what a scheduler sends."""

import os
import signal
import sys
import threading
from typing import Any

# The signals, where the system has them.
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
_SIGNALS = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]


class Stopped(BaseException):
    """The program was told to end; nothing but the end of it catches this."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def heed() -> None:
    """Let signals raise :class:`Stopped`, unless they are ignored already."""
    sys.unraisablehook = _again
    for one in _SIGNALS:
        if signal.getsignal(one) is not signal.SIG_IGN:
            signal.signal(one, _stop)


def ignore() -> None:
    """Let nothing end what is ending."""
    for one in _SIGNALS:
        signal.signal(one, signal.SIG_IGN)


def _stop(number: int, frame: Any) -> None:
    ignore()
    raise Stopped(number)


def _again(lost: Any) -> None:
    """Stop a moment later where no error passes: in a destructor or a callback."""
    if not isinstance(lost.exc_value, Stopped):
        sys.__unraisablehook__(lost)
        return
    number = lost.exc_value.number
    signal.signal(number, _stop)
    threading.Timer(0.01, _send, [number]).start()


def _send(number: int) -> None:
    """Send a signal, which wakes whatever sleeps where the system has a way to."""
    if os.name == "posix":
        os.kill(os.getpid(), number)
    else:
        signal.raise_signal(number)
