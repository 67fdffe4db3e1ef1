"""Where normal is learned, and where it is checked: blocks of normal images."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import lcm

import numpy as np
from numpy.typing import NDArray

from napari_disentangle.compute.device import memory_errors
from napari_disentangle.compute.iterators import finished
from napari_disentangle.compute.operation import near
from napari_disentangle.detector.depth import reach
from napari_disentangle.detector.score import known_pixels
from napari_disentangle.detector.view import Normal, View
from napari_disentangle.image.arrays import Floats, Mask
from napari_disentangle.image.axes import Lead
from napari_disentangle.image.field import Field
from napari_disentangle.image.tiling import ALIGNED, Block, Tile, blocks, strata
from napari_disentangle.model.render import Rendering

# Edge of a block at the resolution of the score, and how many are taken of an image,
# and of all together.
_BLOCK = 64
_BLOCKS = 64
_MOST_BLOCKS = 1024
# Blocks that are tried for each that is wanted, where only some are marked.
_TRIED = 32
_PIXELS_PER_BLOCK = 1024
# Of so many images, every other one calibrates; of fewer, every other block.
MANY = 4


@dataclass(frozen=True, eq=False)
class Place:
    """A block of an image, and how its content is rendered."""

    rendering: Rendering
    block: Block

    @property
    def image(self) -> Field:
        """Where it is."""
        return self.rendering.field

    def signal(self, view: View) -> tuple[Floats, Tile]:
        """Content (C, h, w) of the block and all around it that is seen.

        NaN where nothing is known, or something is not marked as normal.
        """
        size, (y, x) = self.image.plane_shape, (self.block.y, self.block.x)
        step = lcm(view.stride, ALIGNED)
        outer = tuple(
            span.grow(view.halo, n, step) for span, n in zip((y, x), size, strict=True)
        )
        tile = Tile((y, x), (outer[0], outer[1]))
        with memory_errors(f"learning from {self.image.name!r}"):
            _, rendered = self.rendering.read(self.block.lead, *tile.outer)
        signal = rendered.cpu().numpy().astype(np.float32)
        return signal, tile

    def use(self, tile: Tile, signal: Floats) -> Mask:
        """Pixels (h, w) of the block that are known and marked as normal."""
        y, x = tile.inner
        marked = self.image.mask(self.block.lead, y.slice, x.slice)
        return marked & self.known(tile, signal)

    def known(self, tile: Tile, signal: Floats) -> Mask:
        """Pixels (h, w) of the block whose values are numbers."""
        y, x = tile.inner
        plane = self.image.plane(self.block.lead, y.slice, x.slice)
        valid = self.image.valid(plane, self.block.lead, y.slice, x.slice)
        return valid & known_pixels(self.rendering, plane, signal[:, *tile.local])

    def tile(self, view: View) -> Floats:
        """Small normal signal (C, h, w) of the block alone, NaN where it is not."""
        y, x = self.block.y, self.block.x
        _, rendered = self.rendering.read(self.block.lead, y, x)
        signal = rendered.cpu().numpy().astype(np.float32)
        use = self.use(Tile((y, x), (y, x)), signal)
        return view.small(np.where(use, signal, np.float32(np.nan)))

    def vectors(self, view: View, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """Features (F, n) and signals (C, n) of some normal pixels."""
        signal, tile = self.signal(view)
        small = view.small(signal)
        features = finished(view.extracting(small)).maps
        use = np.zeros(signal.shape[1:], bool)
        use[tile.local] = self.use(tile, signal)
        whole = view.small(use[None].astype(np.float32))[0] == 1
        places = np.flatnonzero(whole)
        some = np.sort(rng.permutation(places)[:_PIXELS_PER_BLOCK])
        return _at(features, some), _at(small, some)

    def near(self, sigma: float) -> dict[int, Lead]:
        """Planes, by distance, that a Gaussian of ``sigma`` planes takes in."""
        return near(self.image, self.block.lead, reach(sigma))

    def scores(self, normal: Normal, lead: Lead) -> Floats:
        """Raw scores (h, w) at this place of a plane, NaN where nothing is known."""
        place = replace(self, block=replace(self.block, lead=lead))
        signal, tile = place.signal(normal.view)
        scores = finished(normal.scoring(signal, tile.local)).raw
        return np.where(place.known(tile, signal), scores, np.float32(np.nan))

    def checked(self, scores: Floats) -> Floats:
        """Scores (h, w) of the block, NaN where it is not marked as normal."""
        y, x = self.block.y.slice, self.block.x.slice
        marked = self.image.mask(self.block.lead, y, x)
        return np.where(marked, scores, np.float32(np.nan))


def _at(maps: Floats, places: NDArray[np.int64]) -> Floats:
    return maps.reshape(len(maps), -1)[:, places]


def split(
    renderings: Sequence[Rendering], shrink: int, seed: int
) -> tuple[list[Place], list[Place]]:
    """Where normal is learned, and where it is checked."""
    limit = min(_BLOCKS, max(2, _MOST_BLOCKS // len(renderings)))
    many = len(renderings) >= MANY
    halves: tuple[list[Place], list[Place]] = ([], [])
    for i, rendering in enumerate(renderings):
        for j, block in enumerate(_blocks(rendering.field, many, shrink, limit, seed)):
            halves[(i if many else j) % 2].append(Place(rendering, block))
    return halves


def _blocks(
    image: Field, many: bool, shrink: int, limit: int, seed: int
) -> list[Block]:
    """Blocks of which some are marked as normal; larger ones if there are many images.

    A block is learned from or checked on, so that one image is cut into several.
    """
    edge, parts = (2 * _BLOCK, 1) if many else (_BLOCK, 4)
    part = min(image.plane_shape) // (parts * shrink) * shrink
    size = max(4, min(edge * shrink, part))
    if image.where is None:
        return blocks(image, size, limit, seed)
    tried = blocks(image, size, _TRIED * limit, seed)
    marked = [b for b in tried if image.mask(b.lead, b.y.slice, b.x.slice).any()]
    return [marked[i] for i in strata(len(marked), limit, seed)]
