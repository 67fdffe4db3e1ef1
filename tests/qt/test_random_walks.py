"""Whatever is pressed in whatever order: nothing breaks, changes a source, or stays."""

from __future__ import annotations

import gc
import random
import sys
import time
import weakref
from collections import Counter
from typing import Any

import numpy as np
import pytest

from napari_disentangle.layers.put import identity
from napari_disentangle.samples.data import load

pytest.importorskip("napari")

EDGE = 96
WALKS = 30 if "--full" in sys.argv else 1


def _events(condition: Any = lambda: False, seconds: float = 0.02) -> None:
    from qtpy.QtWidgets import QApplication

    start = time.monotonic()
    QApplication.processEvents()
    while not condition() and time.monotonic() - start < seconds:
        QApplication.processEvents()


class Walker:
    """A person who presses anything."""

    def __init__(self) -> None:
        import napari

        self.viewer = napari.Viewer(show=True)
        _, self.widget = self.viewer.window.add_plugin_dock_widget(
            "napari-disentangle", "Disentangle"
        )
        self.panel = self.widget.panel
        self.panel.model.setCurrentText("mk")
        parts = [load("blood_1")[:EDGE, :EDGE], load("blood_2")[:EDGE, :EDGE]]
        self.sources = [
            self.viewer.add_image(part, rgb=True, name=f"image {i}")
            for i, part in enumerate((*parts, parts[0][::-1] // 2))
        ]
        self.before = [layer.data.copy() for layer in self.sources]
        self.names = iter(range(1000))
        self.seen: list[Any] = []

    # --- what can be pressed ------------------------------------------------------
    def run(self) -> None:
        self.panel.run.click()
        _events(lambda: not self.widget.running, 60)
        assert not self.widget.running

    def run_and_cancel(self) -> None:
        self.panel.run.click()
        _events(seconds=0.05)
        self.panel.cancel.click()
        _events(lambda: not self.widget.running, 60)
        assert not self.widget.running

    def rename(self) -> None:
        layer = self.viewer.layers[next(self.names) % len(self.viewer.layers)]
        layer.name = f"renamed {next(self.names)}"

    def remove_a_result(self) -> None:
        found = [one for one in self.viewer.layers if identity(one.metadata)]
        if found:
            self.viewer.layers.remove(found[0])

    def undo(self) -> None:
        if self.panel.after.isVisible():
            self.panel.undo.click()

    def keep(self) -> None:
        if self.panel.after.isVisible():
            self.panel.keep.click()

    def see(self) -> None:
        modes = list(self.panel.modes.values())
        if self.panel.after.isVisible():
            modes[next(self.names) % len(modes)].click()

    def another_task(self) -> None:
        buttons = list(self.panel.task_buttons.values())
        buttons[next(self.names) % len(buttons)].click()

    def another_model(self) -> None:
        box = self.panel.model
        box.setCurrentText(("mk", "percentile", "affine")[next(self.names) % 3])

    def slide(self) -> None:
        self.panel.strength.setValue(next(self.names) * 37 % 101)
        _events(seconds=0.1)

    def check_some(self) -> None:
        count = 1 + next(self.names) % 3
        self.panel.images.table.check(self.sources[:count])

    # --- what always holds --------------------------------------------------------
    def look(self) -> None:
        _events()
        for layer, values in zip(self.sources, self.before, strict=True):
            np.testing.assert_array_equal(layer.data, values)
        assert "stopped" not in self.panel.message.text()
        tags = [identity(layer.metadata) for layer in self.viewer.layers]
        counted = Counter(tag for tag in tags if tag)
        assert not [tag for tag, n in counted.items() if n > 1]
        known = {str(layer.unique_id) for layer in self.sources}
        assert {tag[0] for tag in counted} <= known
        self.seen += [
            weakref.ref(layer.data)
            for layer in self.viewer.layers
            if layer.metadata and isinstance(layer.data, np.ndarray)
        ]

    def close(self) -> list[Any]:
        from napari.qt.threading import WorkerBase

        seen = [*self.seen, weakref.ref(self.panel), weakref.ref(self.widget)]
        self.viewer.close()
        WorkerBase.await_workers(60_000)
        return seen


ACTIONS = [name for name in vars(Walker) if name[0] != "_"]
ACTIONS = [name for name in ACTIONS if name not in ("look", "close")]


@pytest.mark.parametrize("seed", range(WALKS))
def test_anything_may_be_pressed_in_any_order(qapp: Any, seed: int) -> None:
    # no hypothesis: to shrink a walk takes minutes, and its trace keeps what we drop
    rng = random.Random(seed)
    actions = [rng.choice(ACTIONS) for _ in range(rng.randint(6, 14))]
    seen = _walked(actions)
    _events(lambda: not _alive(seen), 5)
    assert _alive(seen) == 0


def _walked(actions: list[str]) -> list[Any]:
    """Weak references of what there was; napari looks into frames: this one ends."""
    walker = Walker()
    try:
        for action in ["run", *actions, "run"]:
            getattr(walker, action)()
            walker.look()
    finally:
        seen = walker.close()
    return seen


def _alive(seen: list[Any]) -> int:
    gc.collect()
    return sum(ref() is not None for ref in seen)
