"""The images of a run, and which of them were taken alike."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import compress

from napari_disentangle.image.field import Field


@dataclass(frozen=True, eq=False)
class Inputs:
    """The images of a recipe, ready to be read.

    ``batches`` are those of the images; if none is given, all are one batch.
    """

    images: Sequence[Field]
    donors: Sequence[Field] = ()
    normals: Sequence[Field] = ()
    references: Sequence[Field] = ()
    batches: Sequence[str | None] = ()

    def batched(self) -> list[list[Field]]:
        """Images of the same batch together."""
        if not any(self.batches):
            return [[*self.images]]
        found: dict[object, list[Field]] = {}
        for image, batch in zip(self.images, self.batches, strict=True):
            found.setdefault(batch or image, []).append(image)
        return list(found.values())

    def having(self, images: Collection[Field]) -> Inputs:
        """The same with some of the images."""
        kept = [image in images for image in self.images]
        batches = tuple(compress(self.batches, kept))
        return replace(self, images=[*compress(self.images, kept)], batches=batches)
