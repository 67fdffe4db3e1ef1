"""Coders: what is said of objects, learned from them or measured."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256

import numpy as np

from napari_disentangle.compute.iterators import changed, finished
from napari_disentangle.errors import DataError
from napari_disentangle.image.arrays import Array, Floats
from napari_disentangle.image.field import Field
from napari_disentangle.image.tiling import strata
from napari_disentangle.model.base import Weights
from napari_disentangle.model.model import Model
from napari_disentangle.objects.coders.measured import measuring
from napari_disentangle.objects.coders.views.learn import STEPS, learning
from napari_disentangle.objects.coders.views.use import Learned, Seen
from napari_disentangle.objects.codes import Codes
from napari_disentangle.objects.crops import crops
from napari_disentangle.objects.objects import Objects

VIEWS, MEASURED = "views", "measured"
DEFAULT = VIEWS
_CODERS = {
    VIEWS: "what stays the same of an object in other looks, to be grouped; learned",
    MEASURED: "shape, brightness, profile and texture, to be read",
}
# Fewer objects teach nothing, and more than these nothing new.
FEWEST, _MOST = 32, 20_000
# Share of the time that learning takes.
_LEARNING = 0.8


@dataclass(frozen=True, eq=False)
class Coder:
    """How objects are coded.

    Attributes
    ----------
    name
        One of :func:`coders`.
    weights
        What it has learned, if it learns; without, it learns from the objects that are
        coded.

    Raises
    ------
    ValueError
        If there is no such coder.
    """

    name: str = DEFAULT
    weights: Weights | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.name not in _CODERS:
            raise ValueError(
                f"coder {self.name!r} is unknown: use one of {', '.join(_CODERS)}"
            )

    @property
    def hash(self) -> str:
        """What tells it from others."""
        learned = self.weights.hash if self.weights else ""
        return sha256(f"{self.name} {learned}".encode()).hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class CoderStep:
    """Where learning a coder is.

    Attributes
    ----------
    index, budget
        Steps made, and all there will be; 0 while objects are cut out.
    loss
        Of the last step.
    coder
        What was learned, at the last step.
    """

    index: int
    budget: int
    loss: float = np.nan
    coder: Coder | None = None


def coders() -> dict[str, str]:
    """All coders, and what they say of an object."""
    return dict(_CODERS)


def code(
    objects: Objects,
    coder: str | Coder = DEFAULT,
    on: Model | None = None,
    seed: int = 0,
) -> Codes:
    """Say what is known of every object, in numbers; see :func:`code_steps`."""
    return finished(_coding(objects, _named(coder), on, seed))


def code_steps(
    objects: Objects,
    coder: str | Coder = DEFAULT,
    on: Model | None = None,
    seed: int = 0,
) -> Iterator[float | Codes]:
    """Say what is known of every object, in numbers.

    Parameters
    ----------
    objects
        Of images of the same channels.
    coder
        Name in :func:`coders`, or what was learned from other objects.
    on
        The model whose content-only image is looked at; ``None`` for the images as
        they are.
    seed
        Of what is learned.

    Yields
    ------
    float or Codes
        The share that is done; at last the codes. Fewer than 32 objects are measured
        instead of learned from, and :attr:`Codes.said` tells it.

    Raises
    ------
    DataError
        If images have different channels, or others than the coder learned from.
    ValueError
        If there is no such coder.
    """
    yield (yield from _coding(objects, _named(coder), on, seed))


def fit_coder_steps(
    objects: Objects, on: Model | None = None, seed: int = 0, steps: int = STEPS
) -> Iterator[CoderStep]:
    """Learn to code objects from two views of each, without labels.

    Parameters
    ----------
    objects
        Of images of the same channels.
    on
        The model whose content-only image is looked at.
    seed
        Decides every random choice.
    steps
        Micro-batches.

    Yields
    ------
    CoderStep
        One per part that is cut out, then one per micro-batch.

    Raises
    ------
    DataError
        If there are fewer than 32 objects, or images have different channels.
    """
    if len(objects) < FEWEST:
        raise DataError(
            f"{len(objects)} objects are too few to learn a coder from, and {FEWEST} "
            f"are needed: take more images, or the coder {MEASURED!r}"
        )
    check_channels(objects.images)
    parts = []
    rows = strata(len(objects), _MOST, seed)
    for part in crops(objects, on=on, rows=rows):
        parts.append(Seen.of(part, objects))
        yield CoderStep(0, steps)
    for step in learning(parts, seed, steps):
        done = step.weights() if step.index == steps else None
        coder = None if done is None else Coder(VIEWS, done)
        yield CoderStep(step.index, steps, step.loss, coder)


def check_channels(images: Sequence[Field]) -> None:
    """Refuse images that do not have the same channels.

    Raises
    ------
    DataError
        With the first two that differ.
    """
    first, names = images[0], _channels(images[0])
    for image in images[1:]:
        if _channels(image) != names:
            raise DataError(
                f"{first.name!r} has the channels {', '.join(names)}, and "
                f"{image.name!r} {', '.join(_channels(image))}: code them apart"
            )


def _channels(image: Field) -> tuple[str, ...]:
    return tuple(name for name in image.channel_names if name != "alpha")


def _named(coder: str | Coder) -> Coder:
    return coder if isinstance(coder, Coder) else Coder(coder)


def _coding(
    objects: Objects, coder: Coder, on: Model | None, seed: int
) -> Generator[float, None, Codes]:
    check_channels(objects.images)
    few = len(objects) < FEWEST and coder.weights is None
    if coder.name == MEASURED or few:
        columns = yield from measuring(objects, on)
        said = () if coder.name == MEASURED else (_few(len(objects)),)
        return replace(measured_codes(objects, columns, on), said=said)
    begin = 0.0
    if coder.weights is None:
        coder, begin = (yield from _learned(objects, on, seed)), _LEARNING
    share = partial(_between, begin)
    matrix = yield from changed(_viewed(objects, coder, on), share)
    names = tuple(f"view {i + 1}" for i in range(matrix.shape[1]))
    nested = tuple(2**i for i in range(2, 6) if 2**i <= len(names))
    return Codes(objects, matrix, names, _said(coder, on), nested)


def measured_codes(
    objects: Objects, columns: Mapping[str, Array], on: Model | None
) -> Codes:
    """Codes of what was measured of objects: columns (n,) by name."""
    values = [np.asarray(one, np.float32) for one in columns.values()]
    matrix = np.stack(values, 1) if values else np.empty((len(objects), 0), "f4")
    return Codes(objects, matrix, tuple(columns), _said(Coder(MEASURED), on))


def _few(n: int) -> str:
    return f"{n} objects are too few to learn views from ({FEWEST}): they are measured"


def _said(coder: Coder, on: Model | None) -> str:
    learned = f" {coder.weights.hash}" if coder.weights else ""
    return f"{coder.name}{learned}" + ("" if on is None else f" on {on.hash}")


def _learned(
    objects: Objects, on: Model | None, seed: int
) -> Generator[float, None, Coder]:
    for step in fit_coder_steps(objects, on, seed):
        yield _LEARNING * step.index / step.budget
    assert step.coder is not None
    return step.coder


def _between(begin: float, share: float) -> float:
    return begin + (1 - begin) * share


def _viewed(
    objects: Objects, coder: Coder, on: Model | None
) -> Generator[float, None, Floats]:
    assert coder.weights is not None
    learned, done = Learned(coder.weights.tensors), 0
    found = []
    for part in crops(objects, on=on):
        found.append(learned(Seen.of(part, objects)))
        done += len(part.rows)
        yield done / len(objects)
    return np.concatenate(found) if found else np.empty((0, 0), np.float32)
