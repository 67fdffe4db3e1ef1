"""Results that are seen while they are computed, where they are looked at first."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from typing import Any

from napari_disentangle._qt.images.picking import in_the_middle
from napari_disentangle._qt.runs.job import Result

# Seconds between two times that layers are drawn anew, and how many times as long as
# drawing takes: a tile may take far less.
_PAUSE, _TIMES = 0.2, 5


class Growing:
    """Draws what comes of the result that is being computed.

    Parameters
    ----------
    viewer
        Where its layers are.
    """

    def __init__(self, viewer: Any) -> None:
        self.viewer = viewer
        self._result: Result | None = None
        self._layers: Sequence[Any] = ()
        self._drawn, self._pause = 0.0, _PAUSE

    @property
    def unfinished(self) -> bool:
        """Whether there is a result that is not whole."""
        return self._result is not None and self._result.unfinished

    @property
    def layers(self) -> list[Any]:
        """Those layers of the unfinished result that are still there."""
        there = {layer.unique_id for layer in self.viewer.layers}
        return [one for one in self._layers if one.unique_id in there]

    def begin(self, result: Result, layers: Sequence[Any]) -> None:
        """Follow this result."""
        self._result, self._layers, self._drawn = result, layers, 0.0
        self.follow()

    def follow(self) -> None:
        """Say where it is looked at, and draw what has come."""
        if self._result is None or (focus := self._result.focus) is None:
            return
        layers = self.layers
        if not layers:  # a person removed them
            focus.wanted = False
            return
        axes = self._result.output.lazy.axes
        place = in_the_middle(self.viewer, layers[0])
        own = axes if len(place) == len(axes) else axes.replace("C", "")
        focus.place = dict(zip(own, place, strict=True))
        if (start := monotonic()) - self._drawn > self._pause:
            for layer in [one for one in layers if one.visible]:
                layer.refresh(thumbnail=False, highlight=False, extent=False)
            self._drawn = monotonic()
            self._pause = max(_PAUSE, _TIMES * (self._drawn - start))

    def end(self) -> Result | None:
        """Draw all of it: nothing more comes of this result."""
        for layer in self.layers:
            layer.refresh()
        result, self._result, self._layers = self._result, None, ()
        return result
