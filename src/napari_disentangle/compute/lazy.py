"""Lazy results: an operation on planes becomes an array that computes what is asked.

An operation turns a region of one plane into the result for that region. Nothing in it
may depend on the region itself: what is per image has been measured before.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Container, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import Any, Protocol

import numpy as np

from napari_disentangle.compute.device import use_threads
from napari_disentangle.compute.iterators import side_by_side
from napari_disentangle.compute.operation import Operation, Stacked, along, computing
from napari_disentangle.errors import DataError, DeviceMemoryError
from napari_disentangle.image.arrays import Array
from napari_disentangle.image.axes import Lead, channels_back, with_channels
from napari_disentangle.image.field import Field
from napari_disentangle.image.tiling import Span, Tile, tiles

Job = Generator[tuple[Lead, Tile, Array] | None, None, None]
# Plane and tile; of planes that are computed together along Z the first.
Part = tuple[Lead, Tile]
# In which order parts are computed: the next is asked for when it is begun.
Order = Callable[[list[Part]], Iterator[Part]]

TILE = 512
# Of operations pixel by pixel, which are over before a person could want to stop them.
LARGE_TILE = 4 * TILE
# Tiles that are computed at once, at most: every one of them takes memory.
_AT_ONCE = 4
IN_MEMORY_LIMIT = 2**32

Key = int | slice


class Record(Protocol):
    """Which parts of a result are done."""

    @property
    def done(self) -> Container[str]:
        """Names of the parts that were done before."""

    def add(self, part: str) -> None:
        """Note that a part is done."""


class _Noted:
    """A record that begins empty and is not kept."""

    done: Container[str] = ()

    def add(self, part: str) -> None:
        """Nothing to note."""


@dataclass(frozen=True, eq=False, repr=False)
class LazyImage:
    """An array that is computed where it is read; indexing gives a view.

    It has what napari, dask and numpy need of an array. ``levels`` is the pyramid,
    largest first, if the image came as one and the operation has no halo.

    Attributes
    ----------
    field
        The image it is computed from.
    operation
        What is computed.
    level
        Level of the pyramid that is read.
    tile
        Edge of the tiles in pixels.
    key
        Part of the image that this view shows: one integer or slice with positive
        step per axis.
    provenance
        How it came about, in plain JSON types; goes into files and layers.
    """

    field: Field
    operation: Operation
    level: int = 0
    tile: int = TILE
    key: tuple[Key, ...] = ()
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.key:
            object.__setattr__(self, "key", tuple(slice(0, n, 1) for n in self._full))

    def __repr__(self) -> str:
        what = f"axes={self.axes!r}, shape={self.shape}, dtype={self.dtype}"
        return f"LazyImage({self.field.name!r}, {what})"

    @property
    def axes(self) -> str:
        """Axes of the whole result."""
        axes, own = self.field.axes, self.operation.own_channels
        if own is None:
            return axes
        return with_channels(axes) if own else axes.replace("C", "")

    @property
    def channel_names(self) -> tuple[str, ...]:
        """Names along the channel axis of the whole result, if it has one."""
        own = self.operation.own_channels
        known = self.field.channel_names if own is None else own
        return known if "C" in self.axes else ()

    @property
    def rgb(self) -> bool:
        """Whether the last axis of the whole result is colour."""
        return self.field.rgb and self.operation.own_channels is None

    @property
    def _full(self) -> tuple[int, ...]:
        shape = self.field.levels[self.level].shape
        sizes = dict(zip(self.field.axes, shape, strict=True))
        sizes["C"] = len(self.channel_names)
        return tuple(int(sizes[axis]) for axis in self.axes)

    @property
    def levels(self) -> tuple[LazyImage, ...]:
        """This result at every level of the image's pyramid that it is computed from.

        Only the first if the operation has a halo; the others are its means.
        """
        n = 1 if self.operation.halo else len(self.field.levels)
        return tuple(replace(self, level=i, key=()) for i in range(n))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of this view."""
        return tuple(len(_range(k)) for k in self.key if isinstance(k, slice))

    @property
    def ndim(self) -> int:
        """Number of axes of this view."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of values of this view."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def nbytes(self) -> int:
        """Bytes of this view once computed."""
        return self.size * self.dtype.itemsize

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        return self.operation.dtype(self.field.dtype)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, item: Any) -> Any:
        items = _expand(item, self.ndim)
        if any(not isinstance(i, (int, np.integer, slice)) for i in items):
            return np.asarray(self)[item]
        fresh = iter(items)
        key = (
            _compose(k, next(fresh)) if isinstance(k, slice) else k for k in self.key
        )
        return replace(self, key=tuple(key))

    def __array__(
        self, dtype: np.dtype[Any] | None = None, copy: bool | None = None
    ) -> Array:
        check_memory(self.nbytes, self.field.name)
        out = np.empty(self.shape, self.dtype)
        for _ in self.fill(out):
            pass
        return out if dtype is None else out.astype(dtype, copy=False)

    def parts(self) -> int:
        """Number of tiles that :meth:`fill` computes."""
        sizes = (-(-len(_span(self._of(axis))) // self.tile) for axis in "YX")
        return int(np.prod([*self._lead_shape(), *sizes]))

    def fill(
        self, out: Any, record: Record | None = None, order: Order = iter
    ) -> Generator[int, None, None]:
        """Compute into an array of this view's shape, tile by tile.

        Parameters
        ----------
        out
            Array to be written to.
        record
            What is in it already is not computed again, and what is added is noted.
        order
            In which order tiles are computed; as they lie in the image by default.

        Yields
        ------
        int
            Number of tiles done so far, also between the steps of one that takes
            long; close the iterator to cancel.
        """
        threads = self._threads()
        known = record or _Noted()
        every = (self._name(*one) for one in product(self._leads(), self._grid()))
        done = {name for name in every if name in known.done}
        try:
            yield from self._filling(out, threads, known, done, order)
        except DeviceMemoryError:
            if threads == 1:
                raise
            # What does not fit beside others may fit alone.
            yield from self._filling(out, 1, known, done, order)

    def _filling(
        self, out: Any, threads: int, record: Record, done: set[str], order: Order
    ) -> Iterator[int]:
        import torch

        begin = partial(use_threads, torch.get_num_threads())
        jobs = self._jobs(done, order)
        with closing(side_by_side(jobs, threads, begin)) as parts:
            for part in parts:
                if part is not None:
                    lead, tile, values = part
                    self._store(out, lead, tile, values)
                    record.add(name := self._name(lead, tile))
                    done.add(name)
                yield len(done)

    # --- one tile -----------------------------------------------------------------
    def _of(self, axis: str) -> slice:
        key = self.key[self.axes.index(axis)]
        return key if isinstance(key, slice) else slice(key, key + 1, 1)

    def _lead_shape(self) -> list[int]:
        return [len(_range(self._of(axis))) for axis in self.field.lead_axes]

    def _leads(self) -> list[Lead]:
        return list(product(*(_range(self._of(axis)) for axis in self.field.lead_axes)))

    def _grid(self) -> list[Tile]:
        sizes = dict(zip(self.axes, self._full, strict=True))
        spans = [_span(self._of(axis)) for axis in "YX"]
        plane = (sizes["Y"], sizes["X"])
        region = (spans[0], spans[1])
        reach = (self.operation.halo, self.operation.stride)
        return list(tiles(region, plane, self.tile, *reach))

    def _run(self, tile: Tile, lead: Lead) -> Generator[None, None, Array]:
        return computing(self.operation, self.field, self.level, lead, tile)

    def _threads(self) -> int:
        """How many tiles are computed at once, each in one thread."""
        import torch

        many = torch.get_num_threads() if self.operation.device == "cpu" else 1
        return max(1, min(many, _AT_ONCE, self.parts()))

    def _name(self, lead: Lead, tile: Tile) -> str:
        """What a part is called in records."""
        y, x = tile.inner
        return f"{self.level} {','.join(map(str, lead))} {y.start} {x.start}"

    def _jobs(self, done: set[str], order: Order) -> Iterator[Job]:
        """What can be computed apart: tiles, or in stacks tiles of all planes."""
        leads, grid, operation = self._leads(), self._grid(), self.operation
        if isinstance(operation, Stacked):
            stacks = self._stacks(leads)
            for lead, tile in order([*product(stacks, grid)]):
                every = stacks[lead]
                left = [one for one in every if self._name(one, tile) not in done]
                yield self._through(operation, tile, left)
            return
        for lead, tile in order([*product(leads, grid)]):
            if self._name(lead, tile) not in done:
                yield self._alone(tile, lead)

    def _stacks(self, leads: list[Lead]) -> dict[Lead, list[Lead]]:
        """Planes that differ along Z alone, by the first of them."""
        axes = self.field.lead_axes
        found: dict[Lead, list[Lead]] = {}
        for lead in leads:
            place = tuple(n for n, axis in zip(lead, axes, strict=True) if axis != "Z")
            found.setdefault(place, []).append(lead)
        return {stack[0]: stack for stack in found.values()}

    def _alone(self, tile: Tile, lead: Lead) -> Job:
        values = yield from self._run(tile, lead)
        yield lead, tile, values

    def _through(self, operation: Stacked, tile: Tile, leads: list[Lead]) -> Job:
        run = partial(self._run, tile)
        for seen in along(self.field, leads, operation.reach, run):
            yield seen and (seen[0], tile, operation.merged(seen[1]))

    def _store(self, out: Any, lead: Lead, tile: Tile, values: Array) -> None:
        """Write what this view shows of a tile."""
        spans = dict(
            zip(self.field.lead_axes, (Span(n, n + 1) for n in lead), strict=True)
        )
        spans |= dict(zip("CYX", (Span(0, len(values)), *tile.inner), strict=True))
        inner: list[Key] = []
        target: list[slice] = []
        for axis, key in zip(self.axes, self.key, strict=True):
            if isinstance(key, slice):
                seen, place = _meet(key, spans[axis])
                inner.append(seen)
                target.append(place)
            else:
                inner.append(key - spans[axis].start)
        out[tuple(target)] = channels_back(values, self.axes)[tuple(inner)]


def check_memory(nbytes: int, name: str) -> None:
    """Refuse a whole result that would not fit into memory."""
    if nbytes > IN_MEMORY_LIMIT:
        raise DataError(
            f"the result for {name!r} would take {nbytes / 2**30:.1f} GiB of memory: "
            "use nd.apply and nd.write"
        )


# --- indexing -----------------------------------------------------------------------
def _range(key: slice) -> range:
    return range(key.start, key.stop, key.step)


def _span(key: slice) -> Span:
    seen = _range(key)
    return Span(seen[0], seen[-1] + 1) if len(seen) else Span(key.start, key.start)


def _expand(item: Any, ndim: int) -> tuple[Any, ...]:
    items = item if isinstance(item, tuple) else (item,)
    if any(i is Ellipsis for i in items):
        at = [i is Ellipsis for i in items].index(True)
        fill = (slice(None),) * (ndim - len(items) + 1)
        items = (*items[:at], *fill, *items[at + 1 :])
    if len(items) > ndim:
        raise IndexError(f"{len(items)} indices for an array of {ndim} axes")
    return (*items, *(slice(None),) * (ndim - len(items)))


def _compose(key: slice, item: int | slice) -> Key:
    seen = _range(key)
    if not isinstance(item, slice):
        return seen[int(item)]
    inner = seen[item]
    if inner.step < 0:
        raise IndexError("a lazy image cannot be read backwards: use np.asarray first")
    return slice(inner.start, max(inner.stop, inner.start), inner.step)


def _meet(key: slice, span: Span) -> tuple[slice, slice]:
    """Where a view and a tile meet: in the tile, and in the view's result."""
    first = max(0, -(-(span.start - key.start) // key.step))
    last = min(len(_range(key)), -(-(span.stop - key.start) // key.step))
    start, n = key.start + first * key.step - span.start, max(0, last - first)
    return slice(start, start + n * key.step, key.step), slice(first, first + n)
