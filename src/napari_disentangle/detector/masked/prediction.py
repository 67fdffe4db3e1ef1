"""Prediction of hidden pixels: how it is learned from normal tiles, and used."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from napari_disentangle.compute.iterators import finished, within
from napari_disentangle.detector.masked.corruption import photographed
from napari_disentangle.detector.masked.holes import Masks, Policy, draw, spread
from napari_disentangle.errors import DataError
from napari_disentangle.image.arrays import Array, Floats
from napari_disentangle.image.filters import finite

if TYPE_CHECKING:
    import torch

    from napari_disentangle.detector.masked.net import Predictor

Learned = Mapping[str, Array]
# Signal and holes in, expected signal and its scale out.
Net: TypeAlias = (
    "Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]"
)

WIDTHS = (16, 32, 48)
# Sizes of what is predicted are multiples of this: two levels below the first.
STEP = 1 << (len(WIDTHS) - 1)
# Around a hidden cell this much more is hidden, so that blur does not tell of it.
MARGIN = 1
# How far a prediction sees, see nets.masked: four convolutions at each level but the
# last, which has two, and the spread of halving and doubling.
REACH = 4 * (1 + 2) + 2 * 4 + STEP + MARGIN

_BATCH, _EDGE, _RATE = 16, 64, 2e-3
_LEAST = 16


@dataclass(frozen=True, eq=False)
class Prediction:
    """What was expected, in the units of the signal; one per round.

    Attributes
    ----------
    expected
        (R, C, h, w).
    residual
        (R, C, h, w) signal minus expected, in units of the error that was foreseen.
    """

    expected: Floats
    residual: Floats

    @property
    def mean(self) -> Floats:
        """Mean over rounds of what was expected (C, h, w)."""
        mean: Floats = self.expected.mean(axis=0)
        return mean


# --- learning ---------------------------------------------------------------------
def learn(tiles: Sequence[Floats], steps: int, seed: int) -> Iterator[float | Learned]:
    """Train a predictor on normal tiles (C, h, w), NaN where nothing is known.

    Yields
    ------
    float or mapping
        The share that is done after every step; at last all tensors by name.

    Raises
    ------
    DataError
        If all tiles are smaller than 16 pixels, or nothing in them is known.
    """
    tiles, edge = large(tiles)
    center, scale = _levels(tiles)
    levels = {"center": center, "scale": scale}
    net = _untrained(len(center), seed)
    for step in _training(net, standardised(tiles, levels), edge, steps, seed):
        yield step / steps
    tensors = {name: t.detach().numpy().copy() for name, t in net.state_dict().items()}
    yield tensors | levels


def large(tiles: Sequence[Floats]) -> tuple[list[Floats], int]:
    """The tiles that crops to train with can be cut out of, and the edge of crops.

    At the border of an image tiles are cut off: those are left out.

    Raises
    ------
    DataError
        If all tiles are smaller than 16 pixels.
    """
    edges = [min(tile.shape[1:]) for tile in tiles]
    edge = min(_EDGE, max(edges)) // STEP * STEP
    if edge < _LEAST:
        raise DataError(
            f"normal parts of {edge} pixels are too small to learn from: mark larger "
            "ones, or choose a detector that need not be trained"
        )
    return [t for t, own in zip(tiles, edges, strict=True) if own >= edge], edge


def _untrained(channels: int, seed: int) -> Predictor:
    import torch

    from napari_disentangle.detector.masked.net import Plan, Predictor

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = Predictor(Plan(channels, 2, WIDTHS))
    return _laid_out(net).train()


def _laid_out(net: Predictor) -> Predictor:
    """With weights in the order in which convolutions on a CPU are quickest."""
    import torch

    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return net


def _training(
    net: Predictor, tiles: Sequence[Floats], edge: int, steps: int, seed: int
) -> Iterator[int]:
    """Train in place; yields the number of the step that was taken, at first none."""
    import torch

    from napari_disentangle.compute.device import loading
    from napari_disentangle.detector.masked.net import surprise

    for _ in loading():
        yield 0
    optimiser = torch.optim.AdamW(net.parameters(), _RATE)
    rate = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, _RATE, total_steps=steps + 1, pct_start=0.1
    )
    rng = np.random.default_rng(seed)
    for step in range(1, steps + 1):
        clean, known = batch(tiles, _BATCH, edge, rng)
        signal = _channels_last(photographed(clean.numpy(), rng))
        hidden = torch.from_numpy(draw(len(signal), edge, rng)[:, None])
        loss = surprise(signal, known, hidden, *net(signal, hidden | ~known))
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        rate.step()
        yield step


def _levels(tiles: Sequence[Floats]) -> tuple[Floats, Floats]:
    """Mean and standard deviation (C, 1, 1) of the known pixels of each channel."""
    flat = np.concatenate([tile.reshape(len(tile), -1) for tile in tiles], axis=1)
    flat = flat[:, np.isfinite(flat).all(axis=0)]
    if not flat.size:
        raise DataError(
            "there is no normal pixel to learn from: mark larger parts as normal"
        )
    center = flat.mean(axis=1)[:, None, None]
    scale = np.maximum(flat.std(axis=1), 1e-6)[:, None, None]
    return center.astype(np.float32), scale.astype(np.float32)


def standardised(tiles: Sequence[Floats], learned: Learned) -> list[Floats]:
    """Tiles in standard deviations from the mean that was learned."""
    center, scale = learned["center"], learned["scale"]
    return [((tile - center) / scale).astype(np.float32, copy=False) for tile in tiles]


def batch(
    tiles: Sequence[Floats], n: int, edge: int, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Random crops (n, C, edge, edge), turned at random, and where they are known."""
    import torch

    which = rng.integers(len(tiles), size=n)
    crops = np.stack([_crop(tiles[i], edge, rng) for i in which])
    known = np.isfinite(crops).all(axis=1, keepdims=True)
    signal = _channels_last(np.where(known, crops, np.float32(0)))
    return signal, torch.from_numpy(known)


def _channels_last(crops: Floats) -> torch.Tensor:
    """As convolutions on a CPU like it best."""
    import torch

    return torch.from_numpy(crops).contiguous(memory_format=torch.channels_last)


def _crop(tile: Floats, edge: int, rng: np.random.Generator) -> Floats:
    y, x = (int(rng.integers(n - edge + 1)) for n in tile.shape[1:])
    crop = tile[:, y : y + edge, x : x + edge]
    turned = np.rot90(crop, int(rng.integers(4)), (1, 2))
    return np.flip(turned, 1) if rng.random() < 0.5 else turned


# --- using ------------------------------------------------------------------------
def predict(
    signal: Floats,
    learned: Learned,
    policy: Policy,
    hide: Masks | None = None,
    build: Callable[[Learned], Net] | None = None,
) -> Prediction:
    """Predict every pixel once per round; see :func:`predicting`."""
    return finished(predicting(signal, learned, policy, hide, build))


def predicting(
    signal: Floats,
    learned: Learned,
    policy: Policy,
    hide: Masks | None = None,
    build: Callable[[Learned], Net] | None = None,
) -> Generator[None, None, Prediction]:
    """Predict every pixel once per round, from others.

    Parameters
    ----------
    signal
        (C, h, w), a region that begins at a multiple of the policy's period and of
        ``STEP``, with sizes that are multiples of ``STEP``. Pixels that are not finite
        are hidden.
    learned
        What :func:`learn` gave at last.
    policy
        Which pixels are hidden together.
    hide
        (h, w) pixels that are never looked at.
    build
        Makes the network from what was learned, :func:`network` unless given.

    Yields
    ------
    None
        After every pass of the network.
    """
    import torch

    net = (build or network)(learned)
    x = (signal - learned["center"]) / learned["scale"]
    known = np.isfinite(x).all(axis=0) & (True if hide is None else ~hide)
    given = _channels_last(finite(x)[None])
    unknown = torch.from_numpy(~known)[None, None]
    expected, residual = yield from rounds(net, given, unknown, policy)
    return Prediction(
        expected.numpy() * learned["scale"] + learned["center"], residual.numpy()
    )


def rounds(
    net: Net, given: torch.Tensor, unknown: torch.Tensor, policy: Policy
) -> Generator[None, None, tuple[torch.Tensor, torch.Tensor]]:
    """Expected signal and residual (R, C, h, w), both standardised; see predicting.

    Of a standardised signal (1, C, h, w), of which ``unknown`` (1, 1, h, w) is never
    looked at.
    """
    import torch

    found = []
    for masks in policy:
        steps = passes(net, given, unknown, masks)
        found.append((yield from within(torch.inference_mode, steps)))
    expected, scale = (torch.cat(parts) for parts in zip(*found, strict=True))
    return expected, (given - expected) / scale


def network(learned: Learned) -> Predictor:
    """The network with these tensors; no random number is drawn for it."""
    import torch

    from napari_disentangle.detector.masked.net import Plan, Predictor

    with torch.device("meta"):
        net = Predictor(Plan(len(learned["center"]), 2, WIDTHS))
    own = {name: torch.from_numpy(learned[name]) for name in net.state_dict()}
    net.load_state_dict(own, assign=True)
    return _laid_out(net).eval()


def in_turn(
    net: Net, given: torch.Tensor, unknown: torch.Tensor, masks: Masks
) -> tuple[torch.Tensor, torch.Tensor]:
    """Expected signal and its scale; see :func:`passes`."""
    return finished(passes(net, given, unknown, masks))


def passes(
    net: Net, given: torch.Tensor, unknown: torch.Tensor, masks: Masks
) -> Generator[None, None, tuple[torch.Tensor, torch.Tensor]]:
    """Expected signal and its scale (B, C, h, w), each pixel from when it was hidden.

    ``unknown`` (B, 1, h, w) is always hidden, and a margin around every mask.
    """
    import torch
    from torch.nn.functional import max_pool2d

    expected, scale = torch.zeros_like(given), torch.ones_like(given)
    shape = (given.shape[-2], given.shape[-1])
    for mask in torch.from_numpy(spread(masks, shape)).to(given.device):
        wide = max_pool2d(mask[None, None].float(), 2 * MARGIN + 1, 1, MARGIN) > 0
        found = net(given, wide | unknown)
        expected = torch.where(mask, found[0], expected)
        scale = torch.where(mask, found[1], scale)
        yield
    return expected, scale
