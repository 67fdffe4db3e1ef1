"""The small network of ``mitosis.py``: what it sees, how it trains, what it says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from looks import Array

# Edge in pixels that the network sees; pictures of a batch, half of each class.
EDGE, BATCH = 64, 32
WIDTHS = (16, 32, 48, 64)
DECAY = 0.01
# Colour jitter, per image and channel in absorbance: log gains and offsets, N(0, this).
GAIN, OFFSET = 0.2, 0.05
# Absorbance of every grey value.
ABSORBANCE = torch.from_numpy(-np.log10((np.arange(256) + 1) / 256)).float()


@dataclass(frozen=True)
class Training:
    """How a network is trained.

    Attributes
    ----------
    steps, rate
        Batches, and the learning rate, which falls to 0 as a half cosine.
    view
        What is seen of a patch: its ``"centre"``, or the ``"whole"`` at half the size.
    """

    steps: int
    rate: float = 1e-3
    view: str = "centre"


def network() -> nn.Sequential:
    """Four strided convolutions, the mean over what is left, and one logit."""
    layers: list[nn.Module] = []
    for before, after in zip((3, *WIDTHS), WIDTHS, strict=False):
        convolution = nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False)
        layers += [convolution, nn.BatchNorm2d(after), nn.ReLU()]
    pool = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(WIDTHS[-1], 1))
    return nn.Sequential(*layers, *pool)


def n_parameters() -> int:
    """How many numbers the network learns."""
    return sum(p.numel() for p in network().parameters())


def seen(pictures: Sequence[Array], view: str) -> Tensor:
    """What the network sees of patches of twice its edge (n, 3, Y, X), uint8."""
    stack = np.stack(pictures)
    if view == "centre":
        inner = slice(EDGE // 2, EDGE // 2 + EDGE)
        stack = stack[:, inner, inner]
    else:
        blocks = stack.reshape(len(stack), EDGE, 2, EDGE, 2, 3)
        stack = np.rint(blocks.mean(axis=(2, 4))).astype(np.uint8)
    return torch.from_numpy(np.ascontiguousarray(stack.transpose(0, 3, 1, 2)))


def train(
    versions: Sequence[Tensor],
    labels: Array,
    how: Training,
    seed: int,
    jitter: bool = False,
) -> nn.Sequential:
    """Train a network on pictures, each in several versions that share its label.

    The seed alone decides the network it begins with and which pictures, turned how,
    are in a batch: not how many versions there are, nor the jitter.
    """
    torch.manual_seed(seed)
    net = network()
    optimiser = torch.optim.AdamW(net.parameters(), how.rate, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, how.steps)
    rng, colours = np.random.default_rng(seed), np.random.default_rng((seed, 1))
    wanted = torch.arange(BATCH) < BATCH // 2
    for _ in range(how.steps):
        batch = ABSORBANCE[_drawn(versions, labels, rng).int()]
        if jitter:
            batch = _jittered(batch, colours)
        optimiser.zero_grad()
        loss = nn.functional.binary_cross_entropy_with_logits(
            net(batch)[:, 0], wanted.float()
        )
        loss.backward()
        optimiser.step()
        schedule.step()
    return net.eval()


def predict(net: nn.Sequential, pictures: Tensor) -> Array:
    """Probabilities (n,) of the class that was ``True``."""
    with torch.no_grad():
        logits = [net(ABSORBANCE[part.int()])[:, 0] for part in pictures.split(256)]
    return torch.cat(logits).double().sigmoid().numpy()


def _drawn(
    versions: Sequence[Tensor], labels: Array, rng: np.random.Generator
) -> Tensor:
    """Pictures of a batch: those of the class ``True`` first, each turned at random."""
    rows = [rng.choice(np.flatnonzero(labels == c), BATCH // 2) for c in (True, False)]
    which = (rng.random(BATCH) * len(versions)).astype(int)
    turns, flips = rng.integers(4, size=BATCH), rng.integers(2, size=BATCH)
    drawn = zip(which, np.concatenate(rows), turns, flips, strict=True)
    return torch.stack([_turned(versions[v][row], t, f) for v, row, t, f in drawn])


def _turned(picture: Tensor, turns: int, flip: int) -> Tensor:
    turned = torch.rot90(picture, int(turns), (1, 2))
    return turned.flip(2) if flip else turned


def _jittered(batch: Tensor, rng: np.random.Generator) -> Tensor:
    shape = (len(batch), 3, 1, 1)
    gain, offset = np.exp(rng.normal(0, GAIN, shape)), rng.normal(0, OFFSET, shape)
    return batch * torch.from_numpy(gain).float() + torch.from_numpy(offset).float()
