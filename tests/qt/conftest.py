"""A real viewer with our widget docked, and a way to wait that keeps it alive."""

from __future__ import annotations

import gc
import os
from dataclasses import dataclass
from functools import cache
from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

pytest.importorskip("napari")
pytest.importorskip("qtpy.QtWidgets")


@dataclass
class Desk:
    """A viewer, and our widget in it."""

    viewer: Any
    widget: Any
    qtbot: Any

    @property
    def panel(self) -> Any:
        return self.widget.panel

    @property
    def said(self) -> list[str]:
        """Lines in the place of messages."""
        return list(self.panel.message.lines)

    @property
    def names(self) -> list[str]:
        return [layer.name for layer in self.viewer.layers]

    @property
    def second(self) -> float:
        """A second; two where another process of tests has half of the machine."""
        return 2.0 if "PYTEST_XDIST_WORKER" in os.environ else 1.0

    def layer(self, part: str) -> Any:
        return next(layer for layer in self.viewer.layers if part in layer.name)

    def wait(self, condition: Callable[[], bool], seconds: float = 60) -> float:
        """Keep the window alive until the condition holds; how long it took."""
        start = monotonic()
        self.qtbot.waitUntil(condition, timeout=int(1000 * seconds))
        return monotonic() - start

    def settle(self) -> None:
        """Let everything be drawn that waits to be drawn."""
        from qtpy.QtWidgets import QApplication

        start = monotonic()
        while monotonic() - start < 0.2:
            QApplication.processEvents()

    def click(self, button: Any) -> None:
        from qtpy.QtCore import Qt

        self.qtbot.mouseClick(button, Qt.MouseButton.LeftButton)

    def click_box(self, box: Any) -> None:
        """Click on the mark of a check box: its text may end before the middle."""
        from qtpy.QtCore import QPoint, Qt

        mark = QPoint(8, box.height() // 2)
        self.qtbot.mouseClick(box, Qt.MouseButton.LeftButton, pos=mark)

    def check(self, *layers: Any, reference: Any = None) -> None:
        """Check these images; one more gives its look, if the job is a swap."""
        table = self.panel.images.table
        extra = [] if reference is None else [*_many(reference)]
        table.check([*layers, *extra])
        table.set_role(table.layers(), "image")
        table.set_role(extra, "reference")

    def reference(self, layer: Any) -> None:
        """Give the look of this image to all others that are checked."""
        self.panel.choose_task("swap")
        table = self.panel.images.table
        others = [one for one in table.checked() if one.name != layer.name]
        self.check(*others, reference=layer)

    def run(self, seconds: float = 60) -> float:
        """Press Run and wait for the end."""
        self.click(self.panel.run)
        assert self.widget.running
        return self.wait(lambda: not self.widget.running, seconds)


def _many(layers: Any) -> list[Any]:
    return list(layers) if isinstance(layers, (list, tuple)) else [layers]


@pytest.fixture(scope="session", autouse=True)
def _what_stays() -> None:
    """Tests look for what they left behind: what was imported is no part of it."""
    import torch  # noqa: F401
    from npe2 import PluginManifest

    import napari_disentangle._qt.batch.widget
    import napari_disentangle._qt.objects.widget
    import napari_disentangle._qt.window.widget  # noqa: F401

    # every viewer reads the manifests of all plugins anew
    PluginManifest.from_file = staticmethod(cache(PluginManifest.from_file))
    gc.collect()
    gc.freeze()


@pytest.fixture
def desk(make_napari_viewer: Any, qtbot: Any) -> Desk:
    viewer = make_napari_viewer(show=True)
    _, widget = viewer.window.add_plugin_dock_widget(
        "napari-disentangle", "Disentangle"
    )
    return Desk(viewer, widget, qtbot)


@pytest.fixture
def smears(desk: Desk) -> Desk:
    """The two blood smears, the first to get the look of the second."""
    desk.viewer.open_sample("napari-disentangle", "brightfield")
    desk.panel.model.setCurrentText("mk")
    desk.reference(desk.viewer.layers[1])
    return desk
