"""The slider: what is seen of swaps follows it, and all of them when it rests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from qtpy.QtCore import QObject

from napari_disentangle._qt.images.picking import in_the_middle
from napari_disentangle._qt.runs.growing import Growing
from napari_disentangle._qt.runs.job import Filled, Result, recomputed
from napari_disentangle._qt.runs.worker import StepWorker
from napari_disentangle.image.arrays import Array
from napari_disentangle.layers.put import identity
from napari_disentangle.layers.values import exchanged, parts

# A swap by a network with more values than this follows only when the slider rests.
_LIVE = 2**19


class Live(QObject):  # type: ignore[misc]
    """Shows swaps of a viewer under another strength.

    Parameters
    ----------
    viewer
        Where their layers are.
    parent
        What it goes with.
    say
        Takes a message.
    """

    def __init__(
        self, viewer: Any, parent: QObject, say: Callable[[str], None]
    ) -> None:
        super().__init__(parent)
        self.viewer = viewer
        self._say = say
        # Arrays of ours, by layer, that are written to while the slider moves.
        self._own: dict[str, Array] = {}
        self._growing = Growing(viewer)
        self._worker: StepWorker | None = None
        # What is wanted after that: the last that was asked for.
        self._next: partial[Any] | None = None

    def follow(self, swaps: Sequence[Result], strength: float) -> None:
        """Where it is seen: in visible layers, and of stacks in one plane.

        What is not seen, and what takes long, is left to :meth:`settle`.
        """
        for swap in swaps:
            layers = [one for one in self._layers(swap) if one and one.visible]
            lazy = swap.output.lazy
            if not layers or (lazy.operation.halo and lazy.size > _LIVE):
                continue
            if all(isinstance(layer.data, np.ndarray) for layer in layers):
                self._show_planes(swap, strength)
            elif lazy.operation.halo:  # in a file
                self.settle([swap], strength)
            else:  # computed where it is seen
                self._show_levels(swap, strength)

    def settle(self, swaps: Sequence[Result], strength: float) -> None:
        """Everywhere, networks in a worker; the layers keep how they came about."""
        at_once = [one for one in swaps if not one.output.lazy.operation.halo]
        for step in recomputed(at_once, strength):
            self._take(step)
        self._own = {}
        if len(at_once) < len(swaps):
            later = [one for one in swaps if one.output.lazy.operation.halo]
            self._next = partial(recomputed, later, strength)
            self._go_on()

    # --- networks -----------------------------------------------------------------
    def _go_on(self) -> None:
        """Begin what was asked for last, in place of what is computed now."""
        if self._worker is not None:
            self._worker.quit()
        elif self._next is not None:
            self._worker, self._next = StepWorker(self._next), None
            self._worker.yielded.connect(self._take)
            self._worker.errored.connect(self._failed)
            self._worker.finished.connect(self._ended)
            self.destroyed.connect(self._worker.quit)
            self._worker.start()

    def _failed(self, error: Exception) -> None:
        self._say(f"A swap has another strength than the slider says: {error}")

    def _ended(self) -> None:
        self._worker = None
        self._growing.end()
        self._go_on()

    def _take(self, step: Any) -> None:
        """Show what was computed, unless something else is wanted now."""
        if isinstance(step, Filled):
            self._growing.end()
        elif not isinstance(step, Result):
            self._growing.follow()
        elif self._next is None:
            layers = self._layers(step)
            for layer, data in zip(layers, step.layers, strict=True):
                if layer is not None:
                    _renew(layer, *data)
            if step.focus is not None:
                self._growing.begin(step, [one for one in layers if one is not None])

    # --- pixel by pixel -----------------------------------------------------------
    def _layers(self, swap: Result) -> list[Any]:
        """Layers of a swap, in the order of its parts; ``None`` for a removed one."""
        shown = {identity(layer.metadata): layer for layer in self.viewer.layers}
        return [shown.get(identity(known["metadata"])) for _, known, _ in swap.layers]

    def _show_planes(self, swap: Result, strength: float) -> None:
        lazies = parts(swap.output.at_strength(strength), len(swap.picked.styles))
        for layer, (lazy, *_) in zip(self._layers(swap), lazies, strict=True):
            if layer is not None and layer.visible:
                key = _seen(self.viewer, layer)
                self._writable(layer)[key] = np.asarray(lazy[key])
                layer.refresh(thumbnail=False, highlight=False, extent=False)

    def _show_levels(self, swap: Result, strength: float) -> None:
        levels = parts(swap.output.at_strength(strength), len(swap.picked.styles))
        for layer, own in zip(self._layers(swap), levels, strict=True):
            if layer is not None and layer.visible and exchanged(layer.data, own):
                layer.refresh(thumbnail=False, highlight=False, extent=False)

    def _writable(self, layer: Any) -> Array:
        """An array that only this layer has; setting another one takes napari long."""
        own = self._own.get(layer.unique_id)
        if own is None or layer.data is not own:
            own = self._own[layer.unique_id] = layer.data.copy()
            layer.data = own
        return own


def _renew(layer: Any, data: Any, known: dict[str, Any], kind: str) -> None:
    """Show other values of the same result."""
    if exchanged(layer.data, data):
        layer.refresh()
    else:
        layer.data = data
    layer.metadata = {**layer.metadata, **known["metadata"]}


def _seen(viewer: Any, layer: Any) -> tuple[int | slice, ...]:
    """What of the array of a layer is seen: the plane that is shown."""
    beyond = viewer.dims.ndim - layer.ndim
    displayed = {axis - beyond for axis in viewer.dims.displayed}
    places = zip(in_the_middle(viewer, layer), layer.data.shape, strict=False)
    return tuple(
        slice(None) if axis in displayed else min(max(place, 0), size - 1)
        for axis, (place, size) in enumerate(places)
    )
