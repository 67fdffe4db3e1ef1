"""What content-only keeps of the biology, beside what it still tells of the look."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import swap
from leak import Dealt, channels_first, look_read

from napari_disentangle.audit import (
    colour_features,
    convolution_features,
    gradient_correlation,
    nucleus_dice,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from arms import Show, Shown
    from looks import Array

    from napari_disentangle.audit import Leak

PROBES = {"colours": colour_features, "convolutions": convolution_features}


@dataclass(frozen=True)
class Structure:
    """What one arm kept of the pictures of a source under known looks.

    Attributes
    ----------
    source, arm
        What was looked at.
    refusal
        Why the model could not be used, if so; then the rest is empty.
    groups
        Number of slides or fields.
    edges, nuclei, alike
        Of every picture: correlation of gradients, Dice overlap, decibels.
    clipped
        Share of values; NaN where it cannot be said, and edges are of clipped pictures.
    leaks
        What is read of the look, by what the probe sees.
    """

    source: str
    arm: str
    refusal: str = ""
    groups: int = 0
    edges: Sequence[float] = ()
    nuclei: Sequence[float] = ()
    alike: Sequence[float] = ()
    clipped: float = np.nan
    leaks: Mapping[str, Leak] = field(default_factory=dict)


def structure(dealt: Dealt, name: str, show: Show) -> Structure:
    """What one arm keeps."""
    shown = [show(picture) for picture in dealt.pictures]
    again = [show(picture).picture for picture in dealt.again]
    after = [channels_first(one.picture) for one in shown]
    edges, clipped = _edges(dealt.pictures, shown)
    return Structure(
        source=dealt.source,
        arm=name,
        groups=len(set(dealt.group)),
        edges=edges,
        clipped=clipped,
        nuclei=_nuclei(dealt.pictures, after),
        alike=[_alike(a.picture, b) for a, b in zip(shown, again, strict=True)],
        leaks={probe: look_read(dealt, after, see) for probe, see in PROBES.items()},
    )


def _edges(
    pictures: Sequence[Array], shown: Sequence[Shown]
) -> tuple[list[float], float]:
    """Correlation of every picture, and the share of all values that is clipped."""
    limits = (0, 255) if pictures[0].dtype == np.uint8 else (-np.inf, np.inf)
    found = [
        gradient_correlation(channels_first(before), after.values, limits)
        for before, after in zip(pictures, shown, strict=True)
    ]
    known = all(one.unclipped is not None for one in shown)
    clipped = float(np.mean([one.clipped for one in found])) if known else np.nan
    return [one.correlation for one in found], clipped


def _nuclei(pictures: Sequence[Array], after: Sequence[Array]) -> list[float]:
    brightfield = pictures[0].dtype == np.uint8
    modality = "brightfield" if brightfield else "fluorescence"
    pairs = zip(map(channels_first, pictures), after, strict=True)
    return [nucleus_dice(a[:3], b[:3], modality) for a, b in pairs]


def _alike(one: Array, other: Array) -> float:
    """Decibels between two pictures, of which a flat one has no range."""
    return swap.MOST if np.array_equal(one, other) else swap.psnr(one, other)
