"""Images of a study in the viewer: before and after, side by side, in one contrast."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_disentangle.files.registry import read
from napari_disentangle.layers.opened import as_layers
from napari_disentangle.study.scan import Item

_KEY = "napari-disentangle batch"
_MADE = " [normalised]"


class Opened:
    """The layers of a study; those that are kept under another name stay.

    Parameters
    ----------
    viewer
        Where they are.
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._channels = 1

    @property
    def layers(self) -> list[Any]:
        """All that were opened here and not renamed since."""
        return [
            layer
            for layer in self._viewer.layers
            if layer.metadata.get(_KEY, {}).get("name") == layer.name
        ]

    def clear(self) -> None:
        """Take them away."""
        self.remove(self.layers)

    def remove(self, layers: list[Any]) -> None:
        """Take some of them away, and show the others side by side."""
        for layer in layers:
            self._viewer.layers.remove(layer)
        self._arrange(self._channels)

    def add(self, item: Item, source: Path, made: Path | None) -> None:
        """Add an image, or what was made of it.

        Raises
        ------
        DisentangleError
            If it cannot be read.
        """
        title = item.short + _MADE * (made is not None)
        field = read(made or source, **({} if made else item.reading))
        parts = as_layers(field, title)
        for array, attributes, _ in parts:
            layer = self._viewer.add_image(array, **attributes)
            layer.metadata = {_KEY: {"name": layer.name}}
            layer.name_overlay.visible = True
        self._channels = len(parts)
        self._arrange(self._channels)
        if not field.rgb:
            self._share_contrast()

    def _arrange(self, channels: int) -> None:
        """Before left and after right, if nothing else is open."""
        own = self.layers
        if len(own) < len(self._viewer.layers):
            return
        grid = self._viewer.canvas.grid
        grid.stride, grid.shape = channels, (-1, 2)
        grid.enabled = len(own) > channels
        self._viewer.reset_view()

    def _share_contrast(self) -> None:
        """The same limits for the same channel, wide enough for all that is open."""
        channels: dict[str, list[Any]] = {}
        for layer in self.layers:
            channels.setdefault(layer.name.rpartition("[")[2], []).append(layer)
        for layers in channels.values():
            ends = [layer.contrast_limits for layer in layers]
            both = min(low for low, _ in ends), max(high for _, high in ends)
            for layer in layers:
                layer.contrast_limits = both
