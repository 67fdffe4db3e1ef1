"""The attribute, read again and again from content-only until it stays.

At k = 1 with as many content maps as channels, the generator of ContriMix (Nguyen et
al. 2023) is an invertible matrix per image, and content is its inverse: content
consistency and self-reconstruction hold by construction. Attribute consistency, a loss
there, is what is repeated here: what is found in content-only is taken out too, until
nothing is found. OUR CHOICE.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from napari_disentangle.image.arrays import Doubles
from napari_disentangle.image.field import Modality
from napari_disentangle.model.affine.net import AffineNet
from napari_disentangle.model.affine.swaps import (
    ALIKE,
    DECIBEL,
    SIZE,
    Swaps,
    View,
    view,
)
from napari_disentangle.model.statistics import whitening


class RepeatedNet(AffineNet):
    """A network that corrects frames, and the look under which it sees content again.

    Under the mean look of its training images, content is rendered by ``matrix`` (C, C)
    and ``offset`` (C,).
    """

    matrix: torch.Tensor
    offset: torch.Tensor

    def __init__(
        self, channels: int, n_statistics: int, domains: int = 1, width: int = 32
    ) -> None:
        super().__init__(channels, n_statistics, domains, width)
        self.register_buffer("matrix", torch.eye(channels))
        self.register_buffer("offset", torch.zeros(channels))

    def settle(self, seen: View) -> None:
        """Fix the mean look from training tiles."""
        mean, covariance = (t.numpy().mean(0) for t in (seen.mean, seen.covariance))
        values, vectors = np.linalg.eigh(covariance)
        root = (vectors * np.sqrt(np.maximum(values, 1e-3 * values[-1]))) @ vectors.T
        self.matrix.copy_(torch.from_numpy(root))
        self.offset.copy_(torch.from_numpy(mean))


@dataclass(frozen=True, eq=False)
class Look:
    """How images look, as the affine maps to their content.

    Attributes
    ----------
    matrix, offset
        Content is ``matrix @ signal + offset``: (B, C, C), (B, C).
    correction
        What the network said last (B, C * C + C).
    """

    matrix: torch.Tensor
    offset: torch.Tensor
    correction: torch.Tensor

    def part(self, rows: slice) -> Look:
        """Some of the images."""
        return Look(self.matrix[rows], self.offset[rows], self.correction[rows])

    def to(self, target: Look) -> tuple[torch.Tensor, torch.Tensor]:
        """Affine map (B, C, C), (B, C) to another look."""
        offset = (self.offset - target.offset)[..., None]
        solved = torch.linalg.solve(target.matrix, torch.cat([self.matrix, offset], -1))
        return solved[..., :-1], solved[..., -1]


def looks(net: RepeatedNet, seen: View, modality: Modality, passes: int) -> list[Look]:
    """The look after every pass; gradients stay within a pass."""
    found = [_first(net, seen)]
    for _ in range(passes - 1):
        known = found[-1]
        matrix = (net.matrix @ known.matrix).detach()
        offset = (net.matrix @ known.offset[..., None])[..., 0].detach() + net.offset
        again = matrix @ seen.signal.flatten(2) + offset[..., None]
        one = _first(net, view(again.reshape(seen.signal.shape), modality))
        shift = (one.matrix @ offset[..., None])[..., 0]
        found.append(Look(one.matrix @ matrix, one.offset + shift, one.correction))
    return found


def _first(net: RepeatedNet, seen: View) -> Look:
    matrix, mean = _frames(net, seen), seen.mean.to(seen.signal)
    centred = seen.signal - mean[..., None, None]
    standard = torch.einsum("bij,bjyx->biyx", matrix, centred)
    correction = net(net.see(standard), seen.statistics)
    n = net.channels
    change = torch.matrix_exp(correction[:, : n * n].reshape(-1, n, n)) @ matrix
    offset = correction[:, n * n :] - (change @ mean[..., None])[..., 0]
    return Look(change, offset, correction)


def _frames(net: RepeatedNet, seen: View) -> torch.Tensor:
    """Matrix (B, C, C) of the closed form, for every tile."""
    home = net.matrix.double().cpu().numpy()
    each = [whitening(own, home) for own in seen.covariance.cpu().numpy()]
    return torch.from_numpy(np.stack(each)).to(seen.signal)


def loss(
    net: RepeatedNet, swaps: Swaps, passes: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """What fitting makes smaller, and the decibels of the swaps (B,) in the end."""
    views = (swaps.source, swaps.donor, swaps.alike)
    every = View(
        *(torch.cat(p) for p in zip(*(vars(v).values() for v in views), strict=True))
    )
    n = len(swaps.source.signal)
    value = every.signal.new_zeros(())
    for look in looks(net, every, swaps.modality, passes):
        source, donor, alike = (look.part(slice(i * n, i * n + n)) for i in range(3))
        swapped = swaps.decibels(*source.to(donor))
        same = swaps.decibels(*source.to(alike)).mean()
        size = look.correction[: 2 * n].square().mean()
        value = value + SIZE * size - (swapped.mean() + ALIKE * same) / DECIBEL
    return value / passes, swapped


def exam(net: RepeatedNet, swaps: Swaps, passes: int) -> Doubles:
    """Decibels (B,) of swaps."""
    with torch.no_grad():
        source, donor = (
            looks(net, seen, swaps.modality, passes)[-1]
            for seen in (swaps.source, swaps.donor)
        )
        found: Doubles = swaps.decibels(*source.to(donor)).cpu().numpy()
    return found
