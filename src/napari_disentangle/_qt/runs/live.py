"""The slider: what is seen of swaps follows it, and all of them when it rests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from napari_disentangle._qt.images.picking import in_the_middle
from napari_disentangle._qt.runs.job import Result, recomputed
from napari_disentangle.compute.lazy import LazyImage
from napari_disentangle.image.arrays import Array
from napari_disentangle.layers.data import KEY
from napari_disentangle.layers.put import Before, identity
from napari_disentangle.layers.values import exchanged, parts


class Live:
    """Shows swaps of a viewer under another strength.

    What goes pixel by pixel at once; networks take a run, whose results are shown here.

    Parameters
    ----------
    viewer
        Where their layers are.
    """

    def __init__(self, viewer: Any) -> None:
        self.viewer = viewer
        # Arrays of ours, by layer, that are written to while the slider moves.
        self._own: dict[str, Array] = {}
        self._followed = False
        # What layers were before the result that is being computed for them.
        self._before: list[Before] = []

    # --- pixel by pixel -----------------------------------------------------------
    def follow(self, swaps: Sequence[Result], strength: float) -> None:
        """Where it is seen: in visible layers, and of stacks in one plane.

        What is not seen is left to :meth:`settle`.
        """
        self._followed = True
        for swap in _pixelwise(swaps):
            levels = parts(swap.output.at_strength(strength), len(swap.picked.styles))
            for layer, own in zip(self._layers(swap), levels, strict=True):
                if layer is not None and layer.visible:
                    if isinstance(layer.data, np.ndarray):
                        key = _seen(self.viewer, layer)
                        self._writable(layer)[key] = np.asarray(own[0][key])
                    else:
                        exchanged(layer.data, _drawn(layer, own))
                    layer.refresh(thumbnail=False, highlight=False, extent=False)

    def settle(self, swaps: Sequence[Result], strength: float) -> None:
        """Everywhere; the layers keep how they came about."""
        own = _pixelwise(swaps)
        behind = own if self._followed else self._behind(own, strength)
        for made in recomputed(behind, strength):
            if isinstance(made, Result):
                self._renew(made)
        self._own, self._followed = {}, False

    def _behind(self, swaps: Sequence[Result], strength: float) -> list[Result]:
        """Those that are shown with another strength."""
        return [
            swap
            for swap in swaps
            if any(_strength(one) != strength for one in self._layers(swap) if one)
        ]

    def _layers(self, swap: Result) -> list[Any]:
        """Layers of a swap, in the order of its parts; ``None`` for a removed one."""
        shown = {identity(layer.metadata): layer for layer in self.viewer.layers}
        return [shown.get(identity(known["metadata"])) for _, known, _ in swap.layers]

    def _renew(self, made: Result) -> list[Any]:
        """Show other values of a result in its layers."""
        pairs = zip(self._layers(made), made.layers, strict=True)
        there = [(layer, data) for layer, data in pairs if layer is not None]
        for layer, (data, known, _) in there:
            if exchanged(layer.data, data):
                layer.refresh()
            else:
                layer.data = data
            layer.metadata = {**layer.metadata, **known["metadata"]}
        return [layer for layer, _ in there]

    def _writable(self, layer: Any) -> Array:
        """An array that only this layer has; setting another one takes napari long."""
        own = self._own.get(layer.unique_id)
        if own is None or layer.data is not own:
            own = self._own[layer.unique_id] = layer.data.copy()
            layer.data = own
        return own

    # --- networks -----------------------------------------------------------------
    def late(self, swaps: Sequence[Result], strength: float) -> list[Result]:
        """Swaps by networks that are shown with another strength."""
        networks = [swap for swap in swaps if swap.output.lazy.operation.halo]
        return self._behind(networks, strength)

    def begin(self, made: Result) -> list[Any]:
        """Show a result that may have to be filled yet; its layers."""
        layers = [layer for layer in self._layers(made) if layer is not None]
        self._before = [Before.of(layer) for layer in layers] if made.focus else []
        return self._renew(made)

    def end(self) -> None:
        """What was shown last is whole."""
        self._before = []

    def put_back(self) -> None:
        """Show what was there before a result that is not whole."""
        there = {layer.unique_id for layer in self.viewer.layers}
        for before in self._before:
            if before.layer.unique_id in there:
                before.restore(self.viewer.layers)
        self._before = []


def _drawn(layer: Any, levels: list[LazyImage]) -> list[LazyImage]:
    """Levels without the coarsest, which is in memory, where others are seen."""
    return levels if layer.data_level == len(levels) - 1 else levels[:-1]


def _pixelwise(swaps: Sequence[Result]) -> list[Result]:
    return [swap for swap in swaps if not swap.output.lazy.operation.halo]


def _strength(layer: Any) -> float:
    return float(layer.metadata[KEY]["recipe"]["strength"])


def _seen(viewer: Any, layer: Any) -> tuple[int | slice, ...]:
    """What of the array of a layer is seen: the plane that is shown."""
    beyond = viewer.dims.ndim - layer.ndim
    displayed = {axis - beyond for axis in viewer.dims.displayed}
    places = zip(in_the_middle(viewer, layer), layer.data.shape, strict=False)
    return tuple(
        slice(None) if axis in displayed else min(max(place, 0), size - 1)
        for axis, (place, size) in enumerate(places)
    )
