"""What is looked at of an image and of what was made of it, for the report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import laplace
from skimage.transform import downscale_local_mean

from napari_disentangle.audit import colour_features, gradient_correlation
from napari_disentangle.files.registry import read
from napari_disentangle.image.arrays import Array, Floats
from napari_disentangle.image.field import Field
from napari_disentangle.study.looks import opened

# Edge of the part that figures are taken from, and of pictures in the report.
_EDGE, _SHOWN = 1024, 128


@dataclass(frozen=True)
class Look:
    """An image and its output, to be compared in any process."""

    image: str
    path: str
    reading: Mapping[str, Any]
    output: Path


@dataclass(frozen=True, eq=False)
class Side:
    """One side of a comparison.

    Attributes
    ----------
    small
        The middle plane, as large as it is shown (C, h, w), as shares of full scale.
    features
        Statistics of its colours (F,).
    signal
        Mean amount of every channel (C,): grey levels above the background, or
        absorbance, of colours one value (1,).
    focus
        How sharp it is: spread of the Laplacian as a share of that of the values.
    saturated
        Share of values at the limits of the type.
    """

    small: Floats
    features: Array
    signal: Array
    focus: float
    saturated: float


@dataclass(frozen=True, eq=False)
class Facts:
    """An image before and after.

    Attributes
    ----------
    image
        Its path in the study.
    before, after
        Both sides.
    edges
        How alike their edges are (1: the same).
    channels
        What the signals are of.
    colour
        Whether it is RGB.
    """

    image: str
    before: Side
    after: Side
    edges: float
    channels: tuple[str, ...]
    colour: bool


def compared(task: Look) -> Facts:
    """Look at an image and its output."""
    image = opened(task.path, task.reading)
    made = read(task.output, modality=image.modality, full_scale=image.full_scale)
    before, after = _middle(image), _middle(made)
    edges = gradient_correlation(before, after).correlation
    sides = _side(before, image), _side(after, image)
    named = ("absorbance",) if image.rgb else _channels(image)
    return Facts(task.image, *sides, float(edges), named, image.rgb)


def _middle(image: Field) -> Array:
    """The middle of the middle plane (C, h, w)."""
    lead = tuple(n // 2 for n in image.lead_shape)
    begins = [max(0, (n - _EDGE) // 2) for n in image.plane_shape]
    y, x = (slice(begin, begin + _EDGE) for begin in begins)
    plane = image.plane(lead, y, x)
    kept = [image.channel_names.index(name) for name in _channels(image)]
    return np.nan_to_num(plane[kept].astype(np.float64))


def _channels(image: Field) -> tuple[str, ...]:
    return tuple(name for name in image.channel_names if name != "alpha")


def _side(plane: Array, image: Field) -> Side:
    scale = image.full_scale
    shares = plane / scale
    step = max(1, -(-max(plane.shape[1:]) // _SHOWN))
    small = downscale_local_mean(shares, (1, step, step)).astype(np.float32)
    mean = plane.mean(axis=0)
    spread = float(mean.std())
    top = np.iinfo(image.dtype).max if image.dtype.kind in "ui" else np.inf
    return Side(
        small,
        colour_features(shares),
        _signal(plane, image),
        float(laplace(mean).std() / spread) if spread else 0.0,
        float(((plane <= 0) | (plane >= top)).mean()),
    )


def _signal(plane: Array, image: Field) -> Array:
    """Mean absorbance, or how far the mean is above the background in grey levels."""
    flat = plane.reshape(len(plane), -1)
    if image.modality == "brightfield":
        amount = -np.log10(np.clip(flat / image.full_scale, 1 / 512, None))
        mean = amount.mean(axis=1)
        return np.asarray(mean.mean(keepdims=True) if image.rgb else mean)
    return np.asarray(flat.mean(axis=1) - np.percentile(flat, 10, axis=1))


def shown(sides: Iterable[Side], colours: bool) -> list[Array]:
    """Pictures (h, w, 3) uint8, all with the same limits."""
    given = [side.small for side in sides]
    if colours:
        return [_rgb(one) for one in given]
    rows = np.concatenate([one.reshape(len(one), -1) for one in given], axis=1)
    low, high = np.percentile(rows, (1, 99.7), axis=1)[..., None, None]
    span = np.where(high > low, high - low, 1)
    return [_rgb(_mixed((one - low) / span)) for one in given]


# Colours of channels that people tell apart who see no red or no green.
_CHANNELS = ((0.0, 0.6, 1.0), (1.0, 0.55, 0.0), (0.3, 1.0, 0.3), (1.0, 0.3, 1.0))


def _mixed(channels: Array) -> Array:
    """Channels as one picture: grey if there is one, else in colours that add up."""
    if len(channels) == 1:
        return np.repeat(channels, 3, axis=0)
    used = np.array([_CHANNELS[i % len(_CHANNELS)] for i in range(len(channels))])
    mixed: Array = np.tensordot(used.T, np.clip(channels, 0, 1), axes=1)
    return mixed


def _rgb(picture: Array) -> Array:
    levels = np.clip(np.moveaxis(picture[:3], 0, -1), 0, 1) * 255
    return np.asarray(np.rint(levels), np.uint8)


def features(facts: Sequence[Facts], side: str) -> Array:
    """Standardised features of one side of all images (n, F)."""
    rows = np.stack([getattr(one, side).features for one in facts])
    spread = rows.std(axis=0)
    return np.asarray((rows - rows.mean(axis=0)) / np.where(spread > 0, spread, 1))
