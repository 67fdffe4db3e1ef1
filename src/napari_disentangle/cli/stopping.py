"""What ends the command line from outside: Ctrl-C, and what a scheduler sends."""

import signal
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
