"""Finders that learn from the images that they are for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from napari_disentangle.image.field import Field
from napari_disentangle.model.model import Model
from napari_disentangle.objects.finding import content_of, typical
from napari_disentangle.objects.objects import several
from napari_disentangle.objects.student.learn import STEPS, Learning, learning


def fit_finder_steps(
    images: Field | Sequence[Field],
    on: Model | None = None,
    diameter: float | None = None,
    seed: int = 0,
    steps: int = STEPS,
) -> Iterator[Learning]:
    """Learn to find objects, without labels, from closed forms where they agree.

    After Croitoru, Bogolin and Leordeanu 2017 (ICCV): teacher, choice, student.

    Parameters
    ----------
    images
        To learn from: about 100 tiles of 256 pixels at most.
    on
        The model whose content-only image is looked at; ``None`` for the images as
        they are.
    diameter
        Of a typical object in pixels; measured, image by image, if ``None``.
    seed
        Decides every random choice.
    steps
        Micro-batches.

    Yields
    ------
    Learning
        One per tile that is read, then one per micro-batch; ``finder()`` is what was
        learned so far, for :func:`napari_disentangle.find_objects`.

    Raises
    ------
    DataError
        If the closed forms agree on too few tiles.
    """
    renderings = [content_of(image, on) for image in several(images)]
    sizes = [diameter or typical(rendering) for rendering in renderings]
    yield from learning(renderings, sizes, seed, steps)
