"""ContriMix as published: content maps from one network, a matrix from another.

Nguyen et al. 2023 (arXiv 2306.04527). OUR CHOICE, since the paper works on small
patches: statistics of normalisations are those of the whole image, taken by exact
passes over it and kept in the attribute, or frozen after fitting; the attribute is the
mean over sampled tiles, weighted by their foreground.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_disentangle.image.field import Modality
from napari_disentangle.model.base import Method, Regions, Sample, Values, Weights
from napari_disentangle.model.contrimix.settings import SMALLEST, Config
from napari_disentangle.model.lesson import Lesson

if TYPE_CHECKING:
    import torch

    from napari_disentangle.model.contrimix.published.net import Architecture, ContriMix

# The attribute encoder halves a tile six times: edges become a multiple of this, and no
# less than two of it.
_EDGE = 32


@dataclass(frozen=True)
class Published(Method):
    """The model with its settings, and with or without trained weights."""

    settings: Config
    weights: Weights | None = None
    description: str = (
        "ContriMix as published: content maps and a matrix per image, to be fitted."
    )
    config: type[Any] = Config
    modalities: tuple[Modality, ...] = ("brightfield",)
    invertible: bool = False
    learns: tuple[Modality, ...] = ("brightfield",)
    needs_fit: bool = True
    sampled: bool = False
    smallest_tile: int = SMALLEST

    @property
    def halo(self) -> int:
        """Reach of the content encoder and the generator."""
        return self._net.halo

    def learned(self, settings: Config, weights: Weights | None) -> Published:
        """The same with weights."""
        return Published(settings, weights)

    def names(self, channels: tuple[str, ...]) -> tuple[str, ...]:
        """The matrix row by row, then the statistics of the normalisations.

        Raises
        ------
        ValueError
            If the weights are for other settings or channels.
        """
        from napari_disentangle.model.contrimix.published.net import (
            architecture,
            for_others,
        )

        a = architecture(self.settings, len(channels))
        if self.weights is not None and self._net.architecture != a:
            raise ValueError(for_others(f"{len(channels)} channels"))
        rows = [f"{c} {i}" if a.down > 1 else c for c in channels for i in _cells(a)]
        matrix = (f"{row} of map {n + 1}" for row in rows for n in range(a.attributes))
        count = _n_statistics(a)
        return (*matrix, *(f"statistic {i + 1}" for i in range(count)))

    def estimate(self, sample: Sample, config: Any) -> Values:
        """The matrix; room is left for the statistics."""
        import torch

        total = sum(area for _, area in sample.tiles)
        net = self._net
        found = torch.zeros(net.architecture.n_values, net.architecture.attributes)
        for tile, area in sample.tiles:
            if area > 0:
                x = _whole_steps(torch.from_numpy(tile).float(), _EDGE)
                with torch.no_grad():
                    found += area / total * net.attribute(x[None])[0]
        room = np.zeros(self._n_statistics)
        return np.concatenate([found.double().numpy().ravel(), room])

    def complete(
        self, values: Values, regions: Regions
    ) -> Generator[None, None, Values]:
        """Exact statistics of the whole image, in as many passes as there are."""
        from napari_disentangle.model.contrimix.published.passes import (
            statistics_passes,
        )

        if not self._n_statistics:
            return values
        content = self._net.content
        found = yield from statistics_passes(content, lambda: self._tiles(regions))
        matrix = values[: -self._n_statistics]
        return np.concatenate([matrix, found.double().numpy()])

    def lesson(self, weights: Weights | None) -> Lesson:
        """ContriMix's own losses."""
        from napari_disentangle.model.contrimix.published.lesson import Mixing

        return Mixing(self.settings, weights)

    def encode(self, x: torch.Tensor, source: Values) -> torch.Tensor:
        """Content maps (n, h, w) of a signal (C, h, w); where k > 1, k x k alike."""
        k = self.settings.down
        maps = self.content(x, source).repeat_interleave(k, 1).repeat_interleave(k, 2)
        return maps[:, : x.shape[1], : x.shape[2]]

    def transfer(self, x: torch.Tensor, source: Values, target: Values) -> torch.Tensor:
        """The signal (C, h, w) under another attribute; unknown pixels stay unknown."""
        return self.paint(self.content(x, source), x, target)

    def content(self, x: torch.Tensor, source: Values) -> torch.Tensor:
        """Content (n, h / k, w / k) of a signal (C, h, w), to be painted."""
        import torch

        known = torch.from_numpy(source).float().to(x.device)
        statistics = known[-self._n_statistics :] if self._n_statistics else None
        filled = _whole_steps(x.float(), self.settings.down)
        net = self._on(str(x.device))
        content: torch.Tensor = net.content(filled[None], statistics)[0]
        return content

    def paint(
        self, content: torch.Tensor, x: torch.Tensor, target: Values
    ) -> torch.Tensor:
        """Signal (C, h, w) like ``x`` of its content under an attribute."""
        import torch

        net = self._on(str(x.device))
        shape = net.architecture.n_values, net.architecture.attributes
        matrix = torch.from_numpy(target[: shape[0] * shape[1]]).float().to(content)
        made = net.generator(content[None], matrix.reshape(1, *shape))[0]
        made = made[:, : x.shape[1], : x.shape[2]].to(x.dtype)
        return torch.where(x.isfinite().all(0), made, torch.nan)

    # --- networks -----------------------------------------------------------------
    @property
    def _net(self) -> ContriMix:
        return self._on("cpu")

    def _on(self, device: str) -> ContriMix:
        assert self.weights is not None
        return _net(self.settings, self.weights, device)

    @property
    def _n_statistics(self) -> int:
        if self.settings.statistics == "frozen":
            return 0
        return self._net.content.n_statistics

    def _tiles(
        self, regions: Regions
    ) -> Iterator[tuple[torch.Tensor, tuple[slice, slice]]]:
        """Regions whose sizes are whole steps; what is added belongs to the image."""
        step = self.settings.down
        for x, inner in regions():
            tile = _whole_steps(x.float(), step)
            pairs = zip(inner, x.shape[1:], tile.shape[1:], strict=True)
            y, x_ = (
                slice(s.start, full if s.stop == size else s.stop)
                for s, size, full in pairs
            )
            yield tile[None], (y, x_)


def _cells(a: Architecture) -> range:
    return range(1, a.down**2 + 1)


def _n_statistics(a: Architecture) -> int:
    import torch

    from napari_disentangle.model.contrimix.published.net import ContentEncoder

    with torch.device("meta"):  # no numbers are needed
        return 0 if a.norm == "frozen" else ContentEncoder(a).n_statistics


def _whole_steps(x: torch.Tensor, step: int) -> torch.Tensor:
    """A signal (C, h, w) whose sizes are multiples of a step, by mirroring."""
    from napari_disentangle.model.contrimix.published.passes import whole_steps

    return whole_steps(x.nan_to_num(0, 0, 0), step)


@lru_cache(maxsize=8)
def _net(settings: Config, weights: Weights, device: str) -> ContriMix:
    from napari_disentangle.model.contrimix.published.net import built

    net = built(settings, weights)
    return net.eval().requires_grad_(requires_grad=False).to(device)
