"""Images of a study in the viewer: before and after, side by side, in one contrast."""

from __future__ import annotations

from typing import Any

from napari_disentangle.image.field import Field
from napari_disentangle.layers.opened import as_layers
from napari_disentangle.study.scan import Item

_KEY = "napari-disentangle batch"
_BEFORE, _MADE = "before", "after"


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
        for layer in self.layers:
            self._viewer.layers.remove(layer)

    def add(self, item: Item, field: Field, made: bool) -> None:
        """Add an image, or what was made of it."""
        parts = as_layers(field, f"{_MADE if made else _BEFORE}: {item.short}")
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
