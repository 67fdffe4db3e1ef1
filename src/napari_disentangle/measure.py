"""The first pass over an image: from sampled blocks to an attribute, or words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_disentangle.methods.base import Sample, natural_space
from napari_disentangle.sampling import Block, blocks
from napari_disentangle.signal import Foreground, find_foreground, to_signal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_disentangle.axes import Lead
    from napari_disentangle.field import Field
    from napari_disentangle.methods.base import Method, Values
    from napari_disentangle.signal import Space

# Fewer foreground pixels than this say nothing about a look.
_FEWEST = 16
_MAD_TO_STD = 1.4826

NO_FOREGROUND = "no foreground found: the image is returned as it is"

Measured = tuple["Values", "Values", int, tuple[str, ...]]


def measure(
    method: Method, config: Any, field: Field, index: Sequence[int], axes: str
) -> Measured:
    """Measure an attribute for every index along ``axes``.

    Returns
    -------
    tuple
        Values (..., P), spread over tiles (P,), number of tiles, statuses in words.
        Planes without foreground get the mean of the others; values are NaN if there
        is no foreground at all.
    """
    sizes = [field.size(axis) for axis in axes]
    results = [
        _measure_planes(method, config, field, index, leads)
        for leads in _groups(field, axes)
    ]
    rows = np.stack([values for values, _, _, _ in results])
    spreads = np.stack([spread for _, spread, _, _ in results])
    n_tiles = sum(n for _, _, n, _ in results)
    status = tuple(dict.fromkeys(word for *_, words in results for word in words))
    found = np.isfinite(rows).all(axis=1)
    if found.any():
        rows[~found] = rows[found].mean(axis=0)
        spreads = spreads[found]
    values = rows.reshape(*sizes, rows.shape[1])
    return values, spreads.mean(axis=0), n_tiles, status


# --- words ----------------------------------------------------------------------------
def _words(
    method: Method, field: Field, pixels: NDArray[Any], found: bool
) -> list[str]:
    """What is odd about the pixels of an image."""
    finite = np.isfinite(pixels)
    known = pixels[:, finite.all(axis=0)]
    said = []
    if not finite.all():
        said.append(f"{(~finite).mean():.1%} of the values are NaN or infinite")
    if known.size == 0 or not np.ptp(known, axis=1).any():
        return [*said, "the image is constant", NO_FOREGROUND]
    if not found:
        said.append(NO_FOREGROUND)
    return [*said, *_saturation(field, known), *_darkness(field, known)]


def _saturation(field: Field, known: Values) -> Iterator[str]:
    if field.dtype.kind == "f" or field.modality == "brightfield":
        return
    top = (known >= float(field.full_scale or 1.0)).any(axis=0).mean()
    if top > 0.01:
        yield f"{top:.0%} of the pixels are saturated: their true values are lost"


def _darkness(field: Field, known: Values) -> Iterator[str]:
    scale = float(field.full_scale or 1.0)
    if field.modality == "brightfield" and np.median(known) < 0.2 * scale:
        yield "the image is mostly dark: is it fluorescence, or its full scale smaller?"
    if field.modality == "brightfield" and known.max() > 1.5 * scale:
        yield f"values go beyond the full scale {scale:g}: set full_scale"


# --- one group of planes ------------------------------------------------------------
def _groups(field: Field, axes: str) -> list[list[Lead]]:
    """Planes that share an attribute, one list per index along ``axes``."""
    places = [field.lead_axes.index(axis) for axis in axes]
    groups: dict[Lead, list[Lead]] = {}
    for lead in field.leads():
        groups.setdefault(tuple(lead[place] for place in places), []).append(lead)
    return list(groups.values())


def _measure_planes(
    method: Method, config: Any, field: Field, index: Sequence[int], leads: list[Lead]
) -> tuple[Values, Values, int, list[str]]:
    chosen = blocks(field, leads=leads)
    raw = [_pixels(field, block, index) for block in chosen]
    foreground = _foreground(field, np.concatenate(raw, axis=1))
    samples = [_sample(method, field, pixels, foreground) for pixels in raw]
    usable = [s for s in samples if _enough(method, s)]
    whole = _join(samples, foreground)
    found = _enough(method, whole)
    words = _words(method, field, np.concatenate(raw, axis=1), found)
    if not found:
        unknown = np.full(len(method.names(_names(field, index))), np.nan)
        return unknown, unknown, 0, words
    each = np.stack([method.estimate(s, config) for s in usable or [whole]])
    middle = np.median(each, axis=0)
    spread = _MAD_TO_STD * np.median(np.abs(each - middle), axis=0)
    return method.estimate(whole, config), spread, max(1, len(usable)), words


def _names(field: Field, index: Sequence[int]) -> tuple[str, ...]:
    return tuple(field.channel_names[i] for i in index)


def _pixels(field: Field, block: Block, index: Sequence[int]) -> NDArray[Any]:
    """Pixels (C, N) of a block that ``where`` lets through."""
    y, x = block.y.slice, block.x.slice
    plane = field.plane(block.lead, y, x)[list(index)]
    return plane[:, field.mask(block.lead, y, x)]


def _space(field: Field, pixels: NDArray[Any], space: Space | None = None) -> Values:
    import torch

    x = torch.from_numpy(pixels.astype(np.float64))
    chosen = space or natural_space(field.modality or "fluorescence")
    signal: Values = to_signal(x, chosen, float(field.full_scale or 1.0)).numpy()
    return signal


def _foreground(field: Field, pixels: NDArray[Any]) -> Foreground:
    return find_foreground(_space(field, pixels), field.modality or "fluorescence")


def _sample(
    method: Method, field: Field, pixels: NDArray[Any], foreground: Foreground
) -> Sample:
    finite = pixels[:, np.isfinite(pixels).all(axis=0)]
    space = method.space(field.modality or "fluorescence")
    mask = foreground.mask(_space(field, finite))
    return Sample(_space(field, finite, space), mask, foreground.white)


def _join(samples: Sequence[Sample], foreground: Foreground) -> Sample:
    signal = np.concatenate([s.signal for s in samples], axis=1)
    mask = np.concatenate([s.foreground for s in samples])
    return Sample(signal, mask, foreground.white)


def _enough(method: Method, sample: Sample) -> bool:
    pixels = sample.tissue if method.masked else sample.signal
    return pixels.shape[1] >= _FEWEST and bool(np.ptp(pixels, axis=1).any())
