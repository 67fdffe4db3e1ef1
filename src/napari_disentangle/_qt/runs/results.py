"""What a run left in the viewer: seen one at a time, undone, kept, compared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from napari_disentangle._qt.runs.difference import MARK, limits_of, of_pair
from napari_disentangle.layers.data import KEY, LINK, LayerData
from napari_disentangle.layers.put import Before, put_layer, untouched
from napari_disentangle.layers.style import same
from napari_disentangle.pipeline.kinds import CONTENT, KINDS, Kind

ORIGINAL, RESULT, SIDE, DIFFERENCE = "original", "result", "side by side", "difference"
MODES = (ORIGINAL, RESULT, SIDE, DIFFERENCE)
KEPT = " (kept)"


@dataclass(frozen=True, eq=False)
class Pair:
    """Layers of an image, and those that show one result of it.

    Attributes
    ----------
    sources
        Layers of the image.
    before
        The result's layers, with what they were before.
    """

    sources: tuple[Any, ...]
    before: tuple[Before, ...]

    @property
    def layers(self) -> list[Any]:
        """Layers that show the result."""
        return [one.layer for one in self.before]

    @property
    def images(self) -> list[Any]:
        """Those that are no regions."""
        return [one for one in self.layers if hasattr(one, "rgb")]

    @property
    def fresh(self) -> bool:
        """Whether any of them was not there before."""
        return any(one.data is None for one in self.before)


class LastRun:
    """The results of the last run, and how they are seen.

    Parameters
    ----------
    viewer
        Where they are.
    """

    def __init__(self, viewer: Any) -> None:
        self.viewer = viewer
        self.mode = RESULT
        self._pairs: list[Pair] = []
        # What is hidden, and for the layer of which result.
        self._hidden: list[tuple[Any, Any]] = []
        self._beside: tuple[Any, ...] = ()
        self._grid: tuple[Any, ...] | None = None
        self._camera: tuple[Any, float] = ((), 1.0)
        self._seen: list[tuple[Any, bool]] = []

    # --- while it runs ------------------------------------------------------------
    def begin(self) -> None:
        """Forget the run before: its layers stay."""
        self.show(RESULT)
        self.forget()

    def add(
        self, data: LayerData, sources: tuple[Any, ...], known: Pair | None
    ) -> Pair:
        """Put a layer of a result into the viewer; the first of its place is seen.

        Parameters
        ----------
        data, sources
            The layer, and those of its image.
        known
            What was put of this result before; the new pair takes its place.
        """
        self._pairs = [pair for pair in self._pairs if pair is not known]
        before = (*(known.before if known else ()), put_layer(self.viewer, data))
        pair = Pair(sources, before)
        seen = not any(_overlap(pair, other) for other in self._pairs)
        self._pairs.append(pair)
        if pair.fresh:
            self._see(pair, seen)
        return pair

    def finish(self) -> None:
        """Show all content-only of a channel alike bright."""
        shown = [p.images for p in self.pairs() if _output(p) == CONTENT]
        for channel in zip(*shown, strict=False):
            _alike(channel)
        seen = [one for p in self.pairs() if p.fresh for one in p.layers if one.visible]
        if seen:
            self.viewer.layers.selection.active = seen[0]

    def _see(self, pair: Pair, seen: bool) -> None:
        """Show this result, and not what would add to it or hide it."""
        for layer in pair.layers:
            layer.visible = seen
        if not seen:
            return
        others = [one for one in self._results_of(pair) if one.visible]
        alike = KINDS[_output(pair)].shown == "image"
        added = [one for one in pair.sources if _adds(one) and alike]
        for layer in (*others, *added):
            if layer.visible:
                layer.visible = False
                self._hidden.append((pair.layers[0].unique_id, layer))

    def _results_of(self, pair: Pair) -> Iterator[Any]:
        """Earlier results of the same image."""
        names = {str(layer.unique_id) for layer in pair.sources}
        own = {layer.unique_id for layer in pair.layers}
        for layer in self.viewer.layers:
            link = layer.metadata.get(LINK)
            if link and link["source"] in names and layer.unique_id not in own:
                yield layer

    # --- afterwards ---------------------------------------------------------------
    def pairs(self) -> list[Pair]:
        """What is left of the results: a person may have removed layers."""
        there = self._there()
        left = [
            replace(
                pair,
                sources=tuple(s for s in pair.sources if s.unique_id in there),
                before=tuple(b for b in pair.before if b.layer.unique_id in there),
            )
            for pair in self._pairs
        ]
        return [pair for pair in left if pair.before]

    def _there(self) -> set[Any]:
        return {layer.unique_id for layer in self.viewer.layers}

    def undo(self) -> None:
        """Take the results away, and put back what they replaced."""
        self.show(RESULT)
        pairs, hidden = self.pairs(), self._hidden
        self.forget()
        for pair in reversed(pairs):
            for one in reversed(pair.before):
                one.restore(self.viewer.layers)
        self._see_again(hidden)

    def _see_again(self, hidden: Iterable[tuple[Any, Any]]) -> None:
        there = self._there()
        for _, layer in hidden:
            if layer.unique_id in there:
                layer.visible = True

    def take_back(self, layers: Sequence[Any]) -> None:
        """Take these layers away, and put back what they replaced."""
        gone = {layer.unique_id for layer in layers}
        for pair in self.pairs():
            for one in reversed(pair.before):
                if one.layer.unique_id in gone:
                    one.restore(self.viewer.layers)
        self._pairs = [
            pair
            for pair in self._pairs
            if not any(layer.unique_id in gone for layer in pair.layers)
        ]
        self._see_again(pair for pair in self._hidden if pair[0] in gone)
        self._hidden = [pair for pair in self._hidden if pair[0] not in gone]

    def keep(self) -> None:
        """Protect the results: no later run changes them."""
        self.show(RESULT)
        for pair in self.pairs():
            for layer in pair.layers:
                layer.metadata[LINK]["kept"] = True
                layer.name = f"{layer.name}{KEPT}"
        self._pairs = []

    @property
    def gone(self) -> bool:
        """Whether a person removed all that the run left."""
        return bool(self._pairs) and not self.pairs()

    @property
    def differs(self) -> bool:
        """Whether any result is an image that can be compared with its source."""
        return any(KINDS[_output(pair)].shown == "image" for pair in self.pairs())

    def forget(self) -> None:
        """Nothing is left of the run."""
        self._pairs, self._hidden = [], []

    # --- how they are seen --------------------------------------------------------
    def follow_selection(self, event: Any = None) -> None:
        """Side by side: show the image whose layer is selected now."""
        pairs = self.pairs() if self.mode == SIDE else []
        if pairs and self._first(pairs).sources != self._beside:
            self._leave(SIDE)
            self._enter(SIDE)

    def show(self, mode: str) -> None:
        """See the originals, the results, both side by side, or the difference."""
        before, self.mode = self.mode, mode
        if before != mode:
            self._leave(before)
            self._enter(mode)

    def _leave(self, mode: str) -> None:
        """Go back to the results, as they were seen."""
        if mode == DIFFERENCE:
            for layer in [one for one in self.viewer.layers if MARK in one.metadata]:
                self.viewer.layers.remove(layer)
        if self._grid is not None:
            grid = self.viewer.canvas.grid
            grid.shape, grid.stride, grid.enabled = self._grid
            camera = self.viewer.scene.camera
            camera.center, camera.zoom = self._camera
            self._grid = None
        there = self._there()
        for layer, visible in self._seen:
            if layer.unique_id in there:
                layer.visible = visible
        self._seen = []

    def _enter(self, mode: str) -> None:
        pairs = self.pairs()
        if mode == RESULT or not pairs:
            return
        self._seen = [(layer, layer.visible) for layer in self.viewer.layers]
        if mode == ORIGINAL:
            self._only(layer for pair in pairs for layer in pair.sources)
        elif mode == SIDE:
            self._side_by_side(self._first(pairs))
        else:
            self._differences(pairs)

    def _first(self, pairs: Sequence[Pair]) -> Pair:
        """The result of the selected layer, or else the first that is seen."""
        active = self.viewer.layers.selection.active
        near = [
            pair
            for pair in pairs
            if active
            and any(same(active, one) for one in [*pair.layers, *pair.sources])
        ]
        seen = [p for p in pairs if any(one.visible for one in p.layers)]
        return (near or seen or list(pairs))[0]

    def _only(self, layers: Iterable[Any]) -> None:
        """Hide all images, and show these."""
        shown = {layer.unique_id for layer in layers}
        for layer in self.viewer.layers:
            layer.visible = layer.unique_id in shown

    def _side_by_side(self, pair: Pair) -> None:
        self._beside = pair.sources
        self._only([*pair.sources, *pair.images])
        grid = self.viewer.canvas.grid
        camera = self.viewer.scene.camera
        self._grid = (grid.shape, grid.stride, grid.enabled)
        self._camera = (camera.center, camera.zoom)
        even = len(pair.sources) == len(pair.images)
        columns = max(len(pair.sources), 1)
        wide = len(pair.sources) + len(pair.images)
        grid.stride = 1
        grid.shape = (2, columns) if even and columns > 1 else (1, wide)
        grid.enabled = True
        self.viewer.fit_to_view(layers=[*pair.sources, *pair.images])

    def _differences(self, pairs: Sequence[Pair]) -> None:
        made = [one for pair in pairs if (one := of_pair(pair.sources, pair.images))]
        limits = limits_of([data for data, _ in made])
        self._only([])
        for number, (data, attributes) in enumerate(made):
            layer = self.viewer.add_image(data, **attributes, contrast_limits=limits)
            layer.colorbar.visible = number == 0  # one scale for all


def _output(pair: Pair) -> Kind:
    output: Kind = pair.layers[0].metadata[KEY]["output"]
    return output


def _adds(layer: Any) -> bool:
    return str(layer.blending) == "additive"


def _overlap(one: Pair, other: Pair) -> bool:
    """Whether results lie in the same place, so that one would hide the other."""
    a, b = (pair.layers[0].extent.world for pair in (one, other))
    if a.shape != b.shape:
        return True
    return bool((np.minimum(a[1], b[1]) > np.maximum(a[0], b[0])).all())


def _alike(layers: Sequence[Any]) -> None:
    """Give layers the same contrast limits, but for those that a person changed."""
    ours = [
        layer
        for layer in layers
        if untouched(layer, layer.metadata[LINK].get("limits")) and not layer.rgb
    ]
    if not ours:
        return
    ends = np.array([layer.contrast_limits for layer in ours])
    limits = (float(ends[:, 0].min()), float(ends[:, 1].max()))
    for layer in ours:
        layer.contrast_limits = limits
        layer.metadata[LINK]["limits"] = limits
