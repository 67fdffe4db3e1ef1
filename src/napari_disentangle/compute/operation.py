"""Operations: what is computed for a region of a plane, and how, one tile at a time."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, runtime_checkable

import numpy as np

from napari_disentangle.compute.device import exactly, one_thread, out_of_memory
from napari_disentangle.compute.iterators import within
from napari_disentangle.errors import DeviceMemoryError, MemoryRemark
from napari_disentangle.image.arrays import Array, Mask
from napari_disentangle.image.axes import Lead
from napari_disentangle.image.field import Field
from napari_disentangle.image.tiling import Part, Span, Tile, tiles
from napari_disentangle.image.valid import as_background

_SMALLEST_TILE = 32


class Operation:
    """What is computed for a region of a plane; by default every pixel by itself.

    With what :class:`Stacked` adds it sees the planes near it.
    """

    @property
    def halo(self) -> int:
        """How many pixels around a region it needs to see.

        An operation that sees neighbours runs at full resolution only: what lies
        around a pixel differs from level to level of a pyramid.
        """
        return 0

    @property
    def stride(self) -> int:
        """Regions with a halo begin at multiples of this many pixels."""
        return 1

    @property
    def device(self) -> str:
        """Where it runs."""
        return "cpu"

    @property
    def numbers(self) -> bool:
        """Whether its values are numbers of objects, of which there are no means."""
        return False

    @property
    def own_channels(self) -> tuple[str, ...] | None:
        """Names of the result's channels: ``None`` for the image's, empty for none."""
        return None

    def dtype(self, source: np.dtype[Any]) -> np.dtype[Any]:
        """Type of the result for this type of image."""
        return source

    def on(self, device: str) -> Operation:
        """The same on another device, if it can run there."""
        return self

    def without(self, result: Array, plane: Array, valid: Mask) -> Array:
        """The result (K, h, w) where pixels (C, h, w) are valid, and elsewhere nothing.

        That is the image as it is, or NaN if the result is none.
        """
        image = self.own_channels is None and result.dtype == plane.dtype
        return np.where(valid, result, plane if image else np.nan).astype(result.dtype)

    def __call__(self, plane: Array, lead: Lead) -> Array:
        """Turn (C, h, w) into (C, h, w), or into (1, h, w) without channels.

        With channels of its own the result is (K, h, w), in the order of their names.
        ``lead`` counts planes at full resolution.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Unchanged(Operation):
    """The operation that leaves planes as they are: of images, or of labels."""

    labels: bool = False

    @property
    def numbers(self) -> bool:
        """Whether they are labels."""
        return self.labels

    def __call__(self, plane: Array, lead: Lead) -> Array:
        """Return the plane."""
        return plane


@runtime_checkable
class Gradual(Protocol):
    """What an operation adds if a region takes it longer than a person waits."""

    def steps(
        self, plane: Array, lead: Lead, kept: Part
    ) -> Generator[None, None, Array]:
        """Turn (C, h, w) into the result for the part of it that is kept.

        Yields
        ------
        None
            Wherever it can be stopped.
        """


# --- one tile -----------------------------------------------------------------------
def computing(
    operation: Operation, field: Field, level: int, lead: Lead, tile: Tile
) -> Generator[None, None, Array]:
    """Compute one tile; out of memory it is halved, then moved to the CPU.

    Warns
    -----
    MemoryRemark
        Which tile on which device it was, and how it goes on.

    Raises
    ------
    DeviceMemoryError
        If the smallest tile does not fit the CPU's memory either.
    """
    try:
        steps = _steps(operation, field, level, lead, tile)
        return (yield from within(partial(_inferring, operation.device), steps))
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
    # Retried here, outside the frames that hold the memory.
    smaller = _halves(operation, field, level, tile)
    height, width = (len(span) for span in tile.outer)
    tried = (
        f"{field.name!r} in tiles of {height} x {width} pixels on {operation.device}"
    )
    if smaller:
        _remark(f"there is no memory left for {tried}: it goes on with smaller ones")
        parts = []
        for half in smaller:
            parts.append((yield from computing(operation, field, level, lead, half)))
        return np.concatenate(parts, axis=1 + _longer(tile))
    if operation.device != "cpu":
        _remark(f"there is no memory left for {tried}: it goes on on the CPU, slower")
        return (yield from computing(operation.on("cpu"), field, level, lead, tile))
    raise DeviceMemoryError(
        f"there is no memory left for computing {tried}: close other programs or "
        "images and run again"
    )


def _remark(words: str) -> None:
    warnings.warn(words, MemoryRemark, stacklevel=2)


def _steps(
    operation: Operation, field: Field, level: int, lead: Lead, tile: Tile
) -> Generator[None, None, Array]:
    y, x = (span.slice for span in tile.outer)
    plane, full = field.plane(lead, y, x, level), _full_lead(field, level, lead)
    valid = field.valid(plane, full, y, x, level)
    seen = as_background(field, plane, valid)
    if isinstance(operation, Gradual):
        result = yield from operation.steps(seen, full, tile.local)
    else:
        result = operation(seen, full)[:, *tile.local]
    part, known = plane[:, *tile.local], valid[tile.local]
    return result if known.all() else operation.without(result, part, known)


@contextmanager
def _inferring(device: str) -> Iterator[None]:
    import torch

    with one_thread(), exactly(device), torch.inference_mode():
        yield


def _full_lead(field: Field, level: int, lead: Lead) -> Lead:
    """The plane at full resolution that a plane of a level shows."""
    sizes = dict(zip(field.axes, field.levels[level].shape, strict=True))
    return tuple(
        number * field.size(axis) // int(sizes[axis])
        for number, axis in zip(lead, field.lead_axes, strict=True)
    )


def _halves(
    operation: Operation, field: Field, level: int, tile: Tile
) -> tuple[Tile, ...]:
    """The two halves of a tile across its longer side; none if it is small."""
    axis = _longer(tile)
    span = tile.inner[axis]
    if len(span) < 2 * _SMALLEST_TILE:
        return ()
    sizes = dict(zip(field.axes, field.levels[level].shape, strict=True))
    plane = (int(sizes["Y"]), int(sizes["X"]))
    middle = (span.start + span.stop) // 2
    parts = (Span(span.start, middle), Span(middle, span.stop))
    y, x = tile.inner
    regions = [(part, x) if axis == 0 else (y, part) for part in parts]
    return tuple(
        next(tiles(region, plane, len(span), operation.halo, operation.stride))
        for region in regions
    )


def _longer(tile: Tile) -> int:
    y, x = tile.inner
    return 0 if len(y) >= len(x) else 1


@runtime_checkable
class Stacked(Protocol):
    """What an operation adds if its result for a plane takes in the planes near it.

    Called with a region of one plane it then gives what the planes near it need too.
    """

    @property
    def reach(self) -> int:
        """How many planes before and after a plane it takes in."""

    def merged(self, parts: Mapping[int, Array]) -> Array:
        """Result for a plane, from what it gave for those near it.

        ``parts`` are of one region, by their distance in planes: 0 is the plane itself,
        and those that would lie outside the stack are missing.
        """


def near(image: Field, lead: Lead, reach: int) -> dict[int, Lead]:
    """Planes at most so far from a plane along Z, by their distance, in order."""
    if not reach:
        return {0: lead}
    place = image.lead_axes.index("Z")
    z, n = lead[place], image.size("Z")
    return {
        other - z: (*lead[:place], other, *lead[place + 1 :])
        for other in range(max(0, z - reach), min(n, z + reach + 1))
    }


def along(
    image: Field,
    leads: Sequence[Lead],
    reach: int,
    compute: Callable[[Lead], Generator[None, None, Array]],
) -> Iterator[tuple[Lead, dict[int, Array]] | None]:
    """Compute one region of planes, and show each plane those near it.

    No more is kept than what one plane sees, and Z runs fastest, so that nothing is
    computed twice where planes follow each other.

    Yields
    ------
    (lead, parts) or None
        ``None`` after a plane, or a step of it, was computed; a plane, and by distance
        along Z what was computed of those near it, as soon as all of them are known.
    """
    known: dict[Lead, Array] = {}
    for lead in _z_last(image, leads):
        wanted = near(image, lead, reach)
        known = {one: known[one] for one in wanted.values() if one in known}
        for one in wanted.values():
            if one not in known:
                known[one] = yield from compute(one)
                yield None
        yield lead, {distance: known[one] for distance, one in wanted.items()}


def _z_last(image: Field, leads: Sequence[Lead]) -> list[Lead]:
    """Planes in the order in which Z runs fastest."""
    axes = image.lead_axes
    order = sorted(range(len(axes)), key=lambda i: axes[i] == "Z")
    return sorted(leads, key=lambda lead: [lead[i] for i in order])
