"""Palettes: the mean colours of classes, and the swap from one to another.

All is batched (B, ...) and can be differentiated. OUR CHOICE.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from napari_disentangle.image.arrays import Doubles
from napari_disentangle.model.affine.looks import show

# Of masses, so that a class that is missing has a colour as well.
_NOTHING = 1e-9
# The correction counts half as much where classes have this much in common; two images
# of the same masses have 0.5.
_LITTLE = 0.02
# Spreads in the range between the ends: of a normal distribution, nearly.
_SPREADS = 4.0
# Most and least that the correction may stretch a colour.
_STRETCH = 6.0
# Most that a swap may stretch the signal: contrast, and noise with it.
_STEEPEST = 6.0


@dataclass(frozen=True, eq=False)
class Palette:
    """What a look does to classes of pixels.

    Attributes
    ----------
    ends
        What is lightest, and the log range up to what is darkest (B, 2C).
    colours
        Mean signal of every class (B, K, C).
    masses
        Share of every class (B, K).
    """

    ends: torch.Tensor
    colours: torch.Tensor
    masses: torch.Tensor

    def part(self, rows: slice) -> Palette:
        """Some of the images."""
        return Palette(self.ends[rows], self.colours[rows], self.masses[rows])

    def classes(self) -> tuple[Doubles, Doubles]:
        """Colours (K, C) and shares (K,) of the first image."""
        return self.colours[0].numpy(), self.masses[0].numpy()

    def only(self, classes: slice) -> Palette:
        """Some of the classes, as if there were no others."""
        masses = self.masses[:, classes]
        total = masses.sum(dim=1, keepdim=True) + _NOTHING
        return Palette(self.ends, self.colours[:, classes], masses / total)


def palette(ends: torch.Tensor, classes: torch.Tensor, signal: torch.Tensor) -> Palette:
    """Colours of classes.

    Parameters
    ----------
    ends
        Of the images (B, 2C).
    classes
        Shares (B, K, h, w) of every pixel.
    signal
        (B, C, h, w); NaN where it is not known.
    """
    known = signal.isfinite().all(dim=1).flatten(1)[:, None]
    q = classes.flatten(2) * known
    x = signal.nan_to_num().flatten(2)
    sums, masses = q @ x.mT, q.sum(dim=2)
    total = masses.sum(dim=1, keepdim=True) + _NOTHING
    mean = sums.sum(dim=1, keepdim=True) / total[..., None]
    few = _NOTHING * total
    colours = (sums + few[..., None] * mean) / (masses + few)[..., None]
    return Palette(ends, colours, masses / total)


def blended(one: Palette, other: Palette, share: float) -> Palette:
    """A palette with a share of another of the same image."""
    parts = ((1 - share) * one.masses, share * other.masses)
    masses = parts[0] + parts[1]
    few = _NOTHING * (parts[0] == 0) * (parts[1] == 0)
    weights = [
        (part + few)[..., None] / (masses + 2 * few)[..., None] for part in parts
    ]
    colours = weights[0] * one.colours + weights[1] * other.colours
    return Palette((1 - share) * one.ends + share * other.ends, colours, masses)


@dataclass(frozen=True, eq=False)
class Rule:
    """How much classes say about a swap; learned.

    Attributes
    ----------
    trust
        Weight of every class (K,).
    ridge
        Penalties (2,) of a change of colours, and of a shift.
    far
        Distance at which a class that says something else than the others weighs half.
    rounds
        Regressions, each weighted by the one before.
    """

    trust: torch.Tensor
    ridge: torch.Tensor
    far: torch.Tensor
    rounds: int


def correction(
    source: Palette, target: Palette, rule: Rule
) -> tuple[torch.Tensor, torch.Tensor]:
    """What the classes add to the closed form, in its frame.

    Ridge regression of the colours that the target's classes have on those that the
    source's classes would get from the closed form, weighted by what both have, and
    again by how well it fits: a class that shows other things in the two images says
    something else than the others (iteratively reweighted least squares with Cauchy's
    weights, Holland and Welsch 1977).

    Returns
    -------
    tuple
        Matrix (B, C, C) and offset (B, C): ``z`` becomes ``z + matrix @ z + offset``.
        Both are zero if the palettes are the same or have nothing in common.
    """
    x, y = (_standard(one) for one in (source, target))
    common = _common(source, target, rule)
    total = common.sum(dim=1, keepdim=True)
    n = x.shape[-1]
    known = torch.cat([x, torch.ones_like(x[..., :1])], dim=-1)
    penalty = torch.cat([rule.ridge[:1].expand(n), rule.ridge[1:]])
    penalty = torch.diag_embed(penalty * (1 + _LITTLE / (total + _NOTHING)))
    weights = common
    for _ in range(rule.rounds):
        weighted = known.mT * weights[:, None]
        found = torch.linalg.solve(weighted @ known + penalty, weighted @ (y - x))
        apart = (y - x - known @ found).square().sum(dim=-1)
        weights = common / (1 + apart / rule.far**2)
        kept = weights.sum(dim=1, keepdim=True) + _NOTHING
        weights = weights * (total / kept)
    return found.mT[..., :n], found.mT[..., n]


def differences(source: Palette, target: Palette, rule: Rule) -> tuple[float, float]:
    """Mean squared differences of classes that both have, after the closed form.

    In its frame, and as they are shown.
    """
    x, y = (_standard(one) for one in (source, target))
    anchor, scale = frame(target.ends)
    shown = [show(z * scale[:, None] + anchor[:, None]) for z in (x, y)]
    common = _common(source, target, rule)
    total = float(common.sum()) + _NOTHING
    first, second = (
        float((common * (b - a).square().sum(dim=-1)).sum()) / total
        for a, b in ((x, y), shown)
    )
    return first, second


def _common(source: Palette, target: Palette, rule: Rule) -> torch.Tensor:
    """Weights (B, K) of classes: what both have of them, times how far trusted."""
    both = source.masses * target.masses
    common: torch.Tensor = (
        rule.trust * both / (source.masses + target.masses + _NOTHING)
    )
    return common


def between(
    source: Palette, target: Palette, found: tuple[torch.Tensor, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Affine map (B, C, C), (B, C) of the signal: the closed form and a correction."""
    anchor_s, scale_s = frame(source.ends)
    anchor_t, scale_t = frame(target.ends)
    matrix, offset = found
    whole = matrix + torch.eye(matrix.shape[-1]).to(matrix)
    moved = scale_t[..., None] * whole / scale_s[:, None, :]
    shift = anchor_t + scale_t * offset - (moved @ anchor_s[..., None])[..., 0]
    return moved, shift


def held(matrix: torch.Tensor) -> torch.Tensor:
    """A correction (B, C, C) that neither flattens colours nor tears them apart."""
    one = torch.eye(matrix.shape[-1]).to(matrix)
    left, stretch, right = torch.linalg.svd(matrix + one)
    kept = stretch.clamp(1 / _STRETCH, _STRETCH)
    if torch.equal(kept, stretch):
        return matrix
    held: torch.Tensor = (left * kept[:, None, :]) @ right - one
    return held


def swap(
    source: Palette, target: Palette, rule: Rule
) -> tuple[torch.Tensor, torch.Tensor]:
    """Affine map (B, C, C), (B, C) of the signal that is rendered by."""
    matrix, offset = correction(source, target, rule)
    return gentle(*between(source, target, (held(matrix), offset)), source)


def gentle(
    matrix: torch.Tensor, offset: torch.Tensor, source: Palette
) -> tuple[torch.Tensor, torch.Tensor]:
    """An affine map of the signal that does not raise contrast without end.

    A hardly stained image would become noise. Where a direction of colours is stretched
    less than was asked, the background still lands where it was to.
    """
    left, stretch, right = torch.linalg.svd(matrix)
    if bool((stretch <= _STEEPEST).all()):
        return matrix, offset
    kept = (left * stretch.clamp(max=_STEEPEST)[:, None, :]) @ right
    level = source.ends[:, : matrix.shape[-1], None].to(matrix)
    return kept, offset + ((matrix - kept) @ level)[..., 0]


def frame(ends: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Anchor and scale (B, C): the middle of the range, and a part of it."""
    low, log_range = ends.chunk(2, dim=-1)
    span = log_range.exp()
    return low + span / 2, span / _SPREADS


def _standard(one: Palette) -> torch.Tensor:
    """Colours (B, K, C) in the frame of the closed form."""
    anchor, scale = frame(one.ends)
    standard: torch.Tensor = (one.colours - anchor[:, None]) / scale[:, None]
    return standard
