"""Words about an image: what a person should know before trusting a result."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from napari_disentangle.image.arrays import Array, Mask, chosen, finite, varies
from napari_disentangle.image.channels import RGB
from napari_disentangle.image.field import Field
from napari_disentangle.image.foreground import Foreground
from napari_disentangle.image.valid import searched
from napari_disentangle.model.attribute import Attribute
from napari_disentangle.model.base import Values

# Share of lost values from which on a person should know.
NOTABLE = 0.01
# The smallest share that is told.
_TOLD = 0.001
# Lost values pile up at the end of the range: this many times as many as beside it.
_SPIKE = 3
# Difference between readings of a swap from which on a person should know.
_DOUBTFUL = 0.03
# Degrees between colours of tissue from which on stains may be others. Images of one
# source are up to 18 apart in 21 of 23 sources of slides, H&E and DAB 27 to 38
# (benchmarks/stains.py).
_OTHER_STAIN = 25.0
# Times as strong or weak a foreground from which on a look is not like others of its
# kind: of two random looks that benchmarks draw, 99 of 100 differ by less.
_ANOTHER = 4.3
CONSTANT = "the image is constant"
NO_FOREGROUND = "no foreground found: the image is returned as it is"


def odd_pixels(field: Field, pixels: Array) -> Iterator[str]:
    """What is odd about the pixels of an image."""
    yield from field.remarks
    if not searched(field):
        yield (
            "planes this large are searched for padding only if they have a pyramid: "
            "mark where the look is to be measured if there is any"
        )
    known = _known(pixels)
    if not _constant(known):
        yield from _saturation(field, known)
        yield from _darkness(field, known)


def outlier_words(before: Iterable[Mask], after: Iterable[Mask]) -> Iterator[str]:
    """How much of an image is too far from the rest to be measured."""
    pixels, left = (sum(int(mask.sum()) for mask in masks) for masks in (before, after))
    if left < pixels:
        share = f"{max(1 - left / pixels, _TOLD):.1%}"
        yield f"{share} of the pixels are far from all others: measured without them"


def padding_words(parts: Iterable[tuple[Array, Mask]]) -> Iterator[str]:
    """How much of an image is none, from blocks (C, h, w) and their valid pixels."""
    padded = unknown = pixels = values = 0
    for plane, valid in parts:
        pixels, values = pixels + valid.size, values + plane.size
        if plane.dtype.kind == "f":
            unknown += plane.size - int(np.isfinite(plane).sum())
        if not valid.all():
            padded += int((finite(plane) & ~valid).sum())
    if unknown:
        yield f"{max(unknown / values, _TOLD):.1%} of the values are NaN or infinite"
    if padded:
        share = f"{max(padded / pixels, _TOLD):.1%}"
        yield f"{share} of the pixels are padding or transparent: left as they are"


def why_blank(pixels: Array, foreground: Foreground) -> tuple[str, ...]:
    """Why there is nothing to measure; empty if there is."""
    known = _known(pixels)
    if _constant(known):
        return CONSTANT, NO_FOREGROUND
    return () if np.isfinite(foreground.threshold).any() else (NO_FOREGROUND,)


def empty_channels(foreground: Foreground, names: Sequence[str]) -> tuple[str, ...]:
    """Channels that show no more than noise, beside others that show something."""
    if foreground.modality == "brightfield" or np.isinf(foreground.threshold).all():
        return ()
    pairs = zip(names, foreground.threshold, strict=True)
    return tuple(name for name, threshold in pairs if np.isinf(threshold))


def blank_planes(blanks: Sequence[tuple[str, ...]], noun: str) -> Iterator[str]:
    """What becomes of planes or stacks without foreground.

    Parameters
    ----------
    blanks
        Of each, why there is nothing to measure; empty if there is.
    noun
        ``"planes"`` or ``"stacks"``.
    """
    empty = [blank for blank in blanks if blank]
    constant = [blank for blank in empty if CONSTANT in blank]
    if len(empty) == len(blanks):
        every = len(constant) == len(blanks)
        yield from (w for blank in empty for w in blank if every or w != CONSTANT)
        return
    if constant:
        share = f"{len(constant)} of {len(blanks)} {noun}"
        yield f"one and the same value in all of {share}: returned as they are"
    if others := len(empty) - len(constant):
        share = f"{others} of {len(blanks)} {noun}"
        yield f"no foreground in {share}: given the mean look of the others"


def doubt_words(doubt: float) -> str:
    """That readings of one swap differ, and what that means; empty if they agree."""
    if doubt < _DOUBTFUL:
        return ""
    return (
        f"the model's readings of the look differ by {doubt:.0%} of the full scale: "
        "such images are new to it; look closely, or fit it on your own images"
    )


def is_another(look: Attribute, reference: Attribute) -> bool:
    """Whether foreground rises very much more, or less, than that of a reference."""
    if not (look.found and reference.found):
        return False
    rises = []
    for one in (look, reference):
        known = dict(zip(one.names, one.values.T, strict=True))
        empty = {*look.empty, *reference.empty}
        named = (c for c in one.channels if c not in empty)
        channels = [c for c in named if f"foreground {c}" in known]
        pairs = [(known[f"foreground {c}"], known[f"background {c}"]) for c in channels]
        rises.append(np.array([np.nanmean(high - low) for high, low in pairs]))
    own, usual = np.maximum(np.abs(rises), 1e-9)
    return bool((np.abs(np.log(own / usual)) > np.log(_ANOTHER)).any())


def stain_words(source: Attribute, donor: Attribute) -> str:
    """That an image seems to have other stains than the donor; empty if not."""
    one, other = _tint(source), _tint(donor)
    if one is None or other is None:
        return ""
    apart = float(np.degrees(np.arccos(np.clip(one @ other, -1, 1))))
    if apart < _OTHER_STAIN:
        return ""
    return (
        f"its stains seem to be others than the donor's (colours of tissue {apart:.0f} "
        "degrees apart): a swap would show one stain in the colours of another"
    )


def _tint(look: Attribute) -> Values | None:
    """Direction of the absorbance of tissue, where a look says it."""
    known = dict(zip(look.names, look.values.T, strict=True)) if not look.axes else {}
    if not {f"foreground {c}" for c in RGB} <= known.keys():
        return None
    beyond = np.array(
        [known[f"foreground {c}"] - known[f"background {c}"] for c in RGB]
    )
    length = np.linalg.norm(beyond)
    return beyond / length if np.isfinite(length) and length > 0 else None


def _known(pixels: Array) -> Array:
    """Pixels (C, N) that are numbers."""
    return chosen(pixels, finite(pixels))


def _constant(known: Values) -> bool:
    return known.size == 0 or not varies(known)


def _saturation(field: Field, known: Values) -> Iterator[str]:
    """Values piled up at the end of the range, wherever that is."""
    signs = (1.0, -1.0) if field.modality == "brightfield" else (1.0,)
    share = max(_piled(sign * channel) for sign in signs for channel in known)
    if share > NOTABLE:
        yield f"{share:.0%} of the pixels are saturated: their true values are lost"


def _piled(values: Values) -> float:
    """Share of values at the maximum, if they stand out from the next lower value."""
    top = values == values.max()
    below = values[~top]
    if top.mean() <= NOTABLE or not below.size:
        return 0.0
    next_lower = np.count_nonzero(below == below.max())
    return float(top.mean()) if np.count_nonzero(top) > _SPIKE * next_lower else 0.0


def _darkness(field: Field, known: Values) -> Iterator[str]:
    scale = field.full_scale
    if field.modality == "brightfield" and np.median(known) < 0.2 * scale:
        yield "the image is mostly dark: is it fluorescence, or its full scale smaller?"
    if field.modality == "brightfield" and known.max() > 1.5 * scale:
        yield f"values go beyond the full scale {scale:g}: set full_scale"
