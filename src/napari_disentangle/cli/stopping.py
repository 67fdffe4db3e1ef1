"""What ends the command line from outside: Ctrl-C, and what a scheduler sends."""

import os
import signal
import sys
import threading
from time import sleep
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
    if _within(frame):
        return  # what is raised there is lost as well: it is sent again
    ignore()
    raise Stopped(number)


def _within(frame: Any) -> bool:
    """Whether something runs that was called by the hook."""
    while frame is not None and frame.f_code is not _again.__code__:
        frame = frame.f_back
    return frame is not None


def _again(lost: Any) -> None:
    """Stop a moment later where no error passes: in a destructor or a callback."""
    if not isinstance(lost.exc_value, Stopped):
        sys.__unraisablehook__(lost)
        return
    number = lost.exc_value.number
    signal.signal(number, _stop)
    threading.Thread(target=_send, args=[number], daemon=True).start()


def _send(number: int) -> None:
    """Send a signal until it is heeded; it wakes what sleeps, if there is a way to."""
    while signal.getsignal(number) is _stop:
        sleep(0.01)
        if os.name == "posix":
            os.kill(os.getpid(), number)
        else:
            signal.raise_signal(number)
