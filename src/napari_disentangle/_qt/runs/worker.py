"""Running an iterator of steps off the main thread.

napari's ``thread_worker`` on a generator never finishes when it raises a RuntimeError
(running out of GPU memory is one), and closes a cancelled generator at an arbitrary
time in the main thread; this worker does neither.
"""

import gc
from collections import deque
from collections.abc import Callable, Generator
from contextlib import closing
from functools import partial
from importlib import import_module
from typing import Any

from napari.qt.threading import GeneratorWorkerSignals, WorkerBase
from qtpy.QtCore import QObject, QTimer

Steps = Generator[Any, None, None]
_IDLE_MS = 1500


class StepWorker(WorkerBase):  # type: ignore[misc]
    """Iterates in its thread; ``quit`` closes the iterator at the next step.

    Emits ``yielded`` for every step; then ``aborted`` if it was told to quit,
    ``errored`` if a step raised, and always ``finished``.

    Parameters
    ----------
    start
        Called in the thread, gives the iterator of steps.
    """

    def __init__(self, start: Callable[[], Steps]) -> None:
        super().__init__(SignalsClass=GeneratorWorkerSignals)
        self._start = start

    def work(self) -> None:
        """Iterate until the end or until told to quit."""
        with closing(self._start()) as steps:
            for step in steps:
                if self.abort_requested:
                    self.aborted.emit()
                    return
                self.yielded.emit(step)


class Idle(QTimer):  # type: ignore[misc]
    """Imports what a run needs a while after it was started, when nobody waits."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.setSingleShot(True)
        self.setInterval(_IDLE_MS)
        self.timeout.connect(self._import)

    def _import(self) -> None:
        worker = StepWorker(_imported)
        worker.finished.connect(self._collect)
        worker.start()

    def _collect(self) -> None:
        """Look through all that was imported now: python does it sooner or later.

        In the thread of the window, as what goes may be a part of one.
        """
        gc.collect()


def _imported() -> Steps:
    for name in ("torch", "pandas"):  # pandas: for napari's layers of labels
        yield import_module(name)


class Turns(QTimer):  # type: ignore[misc]
    """Calls one after the other, and lets the window draw and listen in between.

    What a worker sends while the window is busy would else be done in one go.
    """

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.setSingleShot(True)
        self.setInterval(0)
        self._calls: deque[Callable[[], None]] = deque()
        self.timeout.connect(self._next)

    def add(self, call: Callable[..., None], *given: Any) -> None:
        """Call this when all that was added before was called."""
        self._calls.append(partial(call, *given))
        self.start()

    def then(self, call: Callable[..., None], *given: Any) -> None:
        """Call this next, before all that was added."""
        self._calls.appendleft(partial(call, *given))
        self.start()

    def _next(self) -> None:
        call = self._calls.popleft()
        if self._calls:
            self.start()
        call()
