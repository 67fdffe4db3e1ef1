"""Images and napari layers of every kind, drawn for the tests of the core."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

import napari_disentangle as nd
from napari_disentangle.model.registry import method

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# Models that say something before they were fitted.
READY = {n: e for n, e in nd.models().items() if not method(n).needs_fit}
MODELS = [(name, kind) for name, entry in READY.items() for kind in entry.modalities]
# Every model once, the kinds of image in turn: for what hangs on the model alone.
EACH_MODEL = [
    (name, entry.modalities[i % len(entry.modalities)])
    for i, (name, entry) in enumerate(READY.items())
]
DETECTORS = list(nd.detectors())
# Settings to fit with where only the contract is tested, not how well something is
# learned: few steps, few passes, and few normal vectors.
QUICK: dict[str, dict[str, int]] = {
    "context": {"steps": 2},
    "autopaint": {"steps": 2, "offsets": 1},
    "fader": {"steps": 2},
    "knn": {"bank": 500},
}
LEARNERS = [name for name, config in QUICK.items() if "steps" in config]


def in_turn(names: Sequence[str]) -> list[Any]:
    """The same as parameters: of those that learn, the first; all with --full."""
    return [
        pytest.param(name, marks=[pytest.mark.slow] * (name in LEARNERS[1:]))
        for name in names
    ]


SCORERS = [name for name in DETECTORS if name not in LEARNERS]


def fitted(normals: Any, name: str, on: Any = None, **config: Any) -> nd.Detector:
    """A detector with quick settings, unless others are given."""
    return nd.fit_detector(normals, name, on=on, **QUICK.get(name, {}) | config)


@contextmanager
def threads(n: int) -> Iterator[None]:
    """So many threads for torch, and no change of that inside."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
        assert torch.get_num_threads() == n
    finally:
        torch.set_num_threads(before)


def scene(
    axes: str, shape: tuple[int, ...], dtype: str = "uint8", seed: int = 0
) -> np.ndarray:
    """Smooth objects of two kinds: dark on white if colour comes last, else bright."""
    rng = np.random.default_rng(seed)
    sizes = dict(zip(axes, shape, strict=True))
    channels = sizes.pop("C", 1)
    sigma = [1.5 if axis in "YX" else 0 for axis in sizes]
    noise = [gaussian_filter(rng.normal(size=(*sizes.values(),)), sigma) for _ in "ab"]
    amounts = np.stack([1 / (1 + np.exp(-4 * n / n.std())) for n in noise])
    mixed = np.tensordot(rng.uniform(0.1, 0.4, (channels, 2)), amounts, 1)
    colour = axes.endswith("C") and channels in (3, 4)
    values = 10 ** -(0.05 + mixed) if colour else 0.02 + mixed
    stacked = np.moveaxis(values, 0, axes.index("C")) if "C" in axes else values[0]
    kind = np.dtype(dtype)
    top = 1 if kind.kind == "f" else np.iinfo(kind).max
    return (stacked * top * 0.9).astype(kind)


def image(modality: str, seed: int = 0, size: int = 48, dtype: str = "uint8") -> Any:
    """A colour image, or one with three fluorescence channels."""
    axes, shape = ("YXC", (size, size + 5, 3))
    if modality == "fluorescence":
        axes, shape = ("CYX", (3, size, size + 5))
    return nd.Field(scene(axes, shape, dtype, seed), axes, name=f"image {seed}")


class Recording:
    """An array that keeps the regions that were read from it."""

    def __init__(self, array: Any) -> None:
        self.array, self.shape, self.dtype = array, array.shape, array.dtype
        self.ndim, self.size = array.ndim, array.size
        self.reads: list[tuple[int, ...]] = []

    def __getitem__(self, key: Any) -> np.ndarray:
        region = np.asarray(self.array[key])
        self.reads.append(region.shape)
        return region

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self[...]

    @property
    def values_read(self) -> int:
        """Number of values read so far."""
        return sum(int(np.prod(shape)) for shape in self.reads)


class Endless:
    """A virtual plane of any size whose values follow from their position."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self.shape, self.dtype = shape, np.dtype("uint8")
        self.ndim, self.size = 2, shape[0] * shape[1]
        self.largest = 0

    def __getitem__(self, key: tuple[slice, slice]) -> np.ndarray:
        y, x = (np.arange(*k.indices(n)) for k, n in zip(key, self.shape, strict=True))
        self.largest = max(self.largest, len(y) * len(x))
        return ((y[:, None] // 7 * 31 + x // 5 * 17) % 251).astype(np.uint8)


# --- storage --------------------------------------------------------------------------
STORAGE = ("numpy", "dask", "zarr", "multiscale")


def stored(array: np.ndarray, storage: str, axes: str) -> Any:
    """The same values in another kind of array."""
    if storage == "dask":
        import dask.array as da

        return da.from_array(array, chunks=7)
    if storage == "zarr":
        import zarr

        return zarr.create_array({}, data=array)
    if storage == "multiscale":
        half = tuple(slice(None, None, 2 if axis in "YX" else 1) for axis in axes)
        return [array, array[half]]
    return array


# --- napari layers ------------------------------------------------------------------
LABELS = {
    2: ("y", "x"),
    3: ("z", "y", "x"),
    4: ("t", "z", "y", "x"),
    5: ("p", "t", "z", "y", "x"),
}
WITH_CHANNELS = {
    3: ("c", "y", "x"),
    4: ("c", "z", "y", "x"),
    5: ("t", "c", "z", "y", "x"),
}


@st.composite
def transforms(draw: Any, ndim: int) -> dict[str, Any]:
    """Any mixture of scale, translate, rotate, shear, affine and units."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rotation, _ = np.linalg.qr(rng.normal(size=(ndim, ndim)))
    rotation[0] *= np.sign(np.linalg.det(rotation))
    affine = np.eye(ndim + 1)
    affine[:ndim] += rng.uniform(-0.2, 0.2, (ndim, ndim + 1))
    every = {
        "scale": rng.uniform(0.1, 8, ndim),
        "translate": rng.uniform(-100, 100, ndim),
        "rotate": rotation,
        "shear": rng.uniform(-0.5, 0.5, ndim * (ndim - 1) // 2),
        "affine": affine,
        "units": tuple(rng.choice(["micrometer", "nm", "pixel"]) for _ in range(ndim)),
    }
    chosen = draw(st.sets(st.sampled_from(sorted(every))))
    return {key: every[key] for key in sorted(chosen)}


@st.composite
def image_layers(draw: Any) -> tuple[Any, np.ndarray]:
    """A napari Image layer of 2 to 5 axes, and a copy of its values."""
    from napari.layers import Image

    ndim = draw(st.integers(2, 5))
    rgb = draw(st.booleans())
    labels = draw(
        st.sampled_from([None, LABELS[ndim]])
        if rgb or ndim == 2
        else st.sampled_from([None, LABELS[ndim], WITH_CHANNELS[ndim]])
    )
    axes = "".join(labels or LABELS[ndim]).upper() + "C" * rgb
    lead = draw(st.lists(st.integers(1, 2), min_size=ndim - 2, max_size=ndim - 2))
    plane = [draw(st.integers(12, 17)) for _ in "YX"]
    dtype = draw(st.sampled_from(["uint8", "uint16", "float32"]))
    shape = (*lead, *plane, 3) if rgb else (*lead, *plane)
    values = scene(axes, shape, dtype, draw(st.integers(0, 99)))
    storage = draw(st.sampled_from(STORAGE))
    look = {} if rgb else {"colormap": "magma", "gamma": 0.7, "contrast_limits": (1, 9)}
    layer = Image(
        stored(values.copy(), storage, axes),
        rgb=rgb,
        multiscale=storage == "multiscale",
        axis_labels=labels,
        name="tissue",
        blending=draw(st.sampled_from(["additive", "translucent"])),
        opacity=0.8,
        **draw(transforms(ndim)),
        **look,
    )
    return layer, values


@st.composite
def channel_layers(draw: Any) -> list[Any]:
    """Single-channel layers of one image, with colours of their own."""
    from napari.layers import Image

    ndim = draw(st.integers(2, 4))
    axes = "".join(LABELS[ndim]).upper()
    storage = draw(st.sampled_from(STORAGE))
    shape = (*(2,) * (ndim - 2), 14, 15)
    geometry = draw(transforms(ndim))
    return [
        Image(
            stored(scene(axes, shape, "uint16", seed), storage, axes),
            name=f"well {name}",
            multiscale=storage == "multiscale",
            colormap=colormap,
            contrast_limits=(10 * seed, 1000 + seed),
            blending="additive",
            **geometry,
        )
        for seed, (name, colormap) in enumerate([("DNA", "blue"), ("actin", "green")])
    ]
