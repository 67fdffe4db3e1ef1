"""How the attenuator learns, without labels, and whether it is used.

OUR READING of FADeR (arXiv 2407.04597), see nets.attenuator: crops are corrupted, the
frozen predictor is asked for them, and where it errs more than on clean crops the gates
are to close. The corruptions, the targets, the weights of the losses and the rule that
decides are OUR CHOICE.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_disentangle.detector.masked.corruption import corrupt
from napari_disentangle.detector.masked.holes import Masks
from napari_disentangle.detector.masked.prediction import (
    Learned,
    Net,
    batch,
    in_turn,
    large,
    network,
    standardised,
)
from napari_disentangle.image.arrays import Floats, Mask

if TYPE_CHECKING:
    import torch

    from napari_disentangle.detector.masked.attenuator import Attenuated
    from napari_disentangle.detector.masked.net import Predictor

_BATCH, _RATE = 4, 2e-3
# Edge of the patches that an error is the mean of.
_PATCH = 4
# Of the losses beside the error that is left: the gates', and that of clean crops.
_GATES, _CLEAN = 0.1, 0.1
# Crops that quantiles of clean errors are taken of, and that decide.
_CROPS = 16
# Every so many tiles one only decides.
_HELD_OUT = 4
# How much larger the error of clean crops may become.
_RISE = 0.05


@dataclass(frozen=True, eq=False)
class Crops:
    """Clean crops, corrupted ones, and where they differ.

    Attributes
    ----------
    clean, corrupted
        (B, C, h, w).
    known, changed
        (B, 1, h, w) bool.
    """

    clean: torch.Tensor
    corrupted: torch.Tensor
    known: torch.Tensor
    changed: torch.Tensor


def learn(
    tiles: Sequence[Floats], learned: Learned, masks: Masks, steps: int, seed: int
) -> Iterator[float | Learned]:
    """Train gates for a predictor, whose tensors stay as they are.

    Yields
    ------
    float or mapping
        The share that is done after every step; at last the gates' tensors if they
        are of use, and ``attenuated`` (0 or 1), ``clean_rise`` and ``auroc`` without
        and with gates, which decided.
    """
    import torch

    from napari_disentangle.detector.masked.attenuator import Attenuated

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = Attenuated(network(learned))
    tiles, edge = large(tiles)
    standard = standardised(tiles, learned)
    teach = [t for i, t in enumerate(standard) if i % _HELD_OUT] or standard
    rng = np.random.default_rng(seed)
    for step in _training(net, teach, masks, edge, steps, rng):
        yield step / steps
    yield _verdict(net, draw(standard[::_HELD_OUT], _CROPS, edge, rng), masks)


def attenuated(learned: Learned) -> Predictor | Attenuated:
    """The network with these tensors: with gates if they are of use.

    No random number is drawn for it.
    """
    import torch

    from napari_disentangle.detector.masked.attenuator import Attenuated

    predictor = network(learned)
    if not learned["attenuated"]:
        return predictor
    with torch.device("meta"):
        net = Attenuated(predictor)
    own = {n: torch.from_numpy(learned[f"gates.{n}"]) for n in net.gates.state_dict()}
    net.gates.load_state_dict(own, assign=True)
    return net.eval()


def draw(tiles: Sequence[Floats], n: int, edge: int, rng: np.random.Generator) -> Crops:
    """Crops of standardised tiles, corrupted by others."""
    import torch

    clean, known = batch(tiles, n, edge, rng)
    other, _ = batch(tiles, n, edge, rng)
    pairs = [
        corrupt(a, b, rng) for a, b in zip(clean.numpy(), other.numpy(), strict=True)
    ]
    corrupted, changed = (
        torch.from_numpy(np.stack(part)) for part in zip(*pairs, strict=True)
    )
    return Crops(clean, corrupted, known, changed[:, None] & known)


# --- training ---------------------------------------------------------------------
def _training(
    net: Attenuated,
    tiles: Sequence[Floats],
    masks: Masks,
    edge: int,
    steps: int,
    rng: np.random.Generator,
) -> Iterator[int]:
    """Train in place; yields the number of the step that was taken."""
    import torch

    usual = _usual(net, draw(tiles, _CROPS, edge, rng), masks)
    optimiser = torch.optim.AdamW(net.gates.parameters(), _RATE)
    for step in range(1, steps + 1):
        loss = _loss(net, draw(tiles, _BATCH, edge, rng), masks, usual)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        yield step


def _loss(
    net: Attenuated, crops: Crops, masks: Masks, usual: tuple[float, float]
) -> torch.Tensor:
    """Error against what is clean, of gates, and what changes for clean crops."""
    import torch

    n, unknown = len(crops.clean), ~crops.known
    both = torch.cat([crops.corrupted, crops.clean])
    without = torch.cat([unknown, unknown])
    with torch.no_grad():
        before, _ = in_turn(net.predictor, both, without, masks)
    weights: list[torch.Tensor] = []

    def gated(
        signal: torch.Tensor, hidden: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        expected, scale, found = net.gated(signal, hidden)
        weights.extend(weight[:n] for weight in found)
        return expected, scale

    after, _ = in_turn(gated, both, without, masks)
    error = ((after[:n] - crops.clean).abs() * crops.known).mean()
    kept = ((after[n:] - before[n:]).abs() * crops.known).mean()
    targets = _targets((before[:n] - crops.corrupted).abs() * crops.known, usual)
    return error + _GATES * _gate_loss(weights, targets) + _CLEAN * kept


def _patches(error: torch.Tensor) -> torch.Tensor:
    """Mean error over patches and channels (B, 1, h/4, w/4)."""
    from torch.nn.functional import avg_pool2d

    return avg_pool2d(error.mean(1, keepdim=True), _PATCH)


def _usual(net: Attenuated, crops: Crops, masks: Masks) -> tuple[float, float]:
    """Median and 99 % quantile of the errors of clean patches."""
    import torch

    with torch.no_grad():
        expected, _ = in_turn(net.predictor, crops.clean, ~crops.known, masks)
        errors = _patches((expected - crops.clean).abs() * crops.known)
    low, high = torch.quantile(errors, torch.tensor([0.5, 0.99])).tolist()
    return low, max(high, low + 1e-6)


def _targets(error: torch.Tensor, usual: tuple[float, float]) -> torch.Tensor:
    """How far the gates of each patch should be open."""
    low, high = usual
    return 1 - ((_patches(error) - low) / (high - low)).clamp(0, 1)


def _gate_loss(weights: Sequence[torch.Tensor], targets: torch.Tensor) -> torch.Tensor:
    """Cross entropy of the mean of each gate, mean over all passes and skips."""
    import torch
    from torch.nn.functional import binary_cross_entropy, interpolate

    losses = [
        binary_cross_entropy(w.mean(1, keepdim=True), interpolate(targets, w.shape[2:]))
        for w in weights
    ]
    return torch.stack(losses).mean()


# --- deciding ---------------------------------------------------------------------
def _verdict(net: Attenuated, crops: Crops, masks: Masks) -> Learned:
    """The gates, if clean crops stay predictable and corruptions show more.

    The predictor has seen these crops, the gates have not: that is hard on the gates.
    """
    (clean, auroc), (gated_clean, gated_auroc) = (
        _judged(n, crops, masks) for n in (net.predictor, net)
    )
    rise = gated_clean / max(clean, 1e-12) - 1
    used = rise < _RISE and gated_auroc > auroc
    own = net.gates.state_dict() if used else {}
    gates = {f"gates.{name}": t.detach().numpy().copy() for name, t in own.items()}
    return gates | {
        "attenuated": np.array(int(used), np.int64),
        "clean_rise": np.array(rise, np.float32),
        "auroc": np.array([auroc, gated_auroc], np.float32),
    }


def _judged(net: Net, crops: Crops, masks: Masks) -> tuple[float, float]:
    """Mean error of clean crops, and how well errors tell what was changed."""
    import torch

    known = crops.known.numpy()
    with torch.inference_mode():
        clean, _ = in_turn(net, crops.clean, ~crops.known, masks)
        expected, scale = in_turn(net, crops.corrupted, ~crops.known, masks)
    error = (clean - crops.clean).abs().mean(1, keepdim=True).numpy()
    odd = ((expected - crops.corrupted).abs() / scale).mean(1, keepdim=True).numpy()
    return float(error[known].mean()), _auroc(odd[known], crops.changed.numpy()[known])


def _auroc(scores: Floats, odd: Mask) -> float:
    """Chance that an odd value is above another (Mann and Whitney); 0 without any."""
    from scipy.stats import rankdata

    n, m = int(odd.sum()), int((~odd).sum())
    if not n * m:
        return 0.0
    return float((rankdata(scores)[odd].sum() - n * (n + 1) / 2) / (n * m))
