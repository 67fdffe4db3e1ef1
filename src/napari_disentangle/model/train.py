"""The one loop that fits: micro-batches of a lesson, and exams with a known truth.

Two tiles of one image share a look. In an exam both get the same random look; the model
moves the one to the look of the other, and the truth is known. No labels, no batch
labels.
"""

from __future__ import annotations

import copy
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from napari_disentangle.compute.device import one_thread
from napari_disentangle.model.base import AffineMethod, Sample, Weights
from napari_disentangle.model.lesson import Lesson
from napari_disentangle.model.registry import MODELS
from napari_disentangle.model.statistics import Values
from napari_disentangle.model.tiles import Bank

if TYPE_CHECKING:
    import torch
    from torch import nn

    from napari_disentangle.model.affine.swaps import Swaps

# Name of the loss of swaps among those of a step.
SWAP = "swap"
# Of the moving average of the parameters, which is what a model is made of.
_MOMENTUM = 0.98
# Held-out swaps are made again after so many steps, or so large a part of all; fitting
# stops when so many of these checks brought nothing.
_CHECK, _CHECKS, _PATIENCE = 30, 40, 12
# Length of the shortest schedule of learning rates; one of 10 would divide by zero.
_SHORTEST = 11
# Held-out swaps, and how many of them are tried between two signs of life.
_EXAM, _PART = 48, 16
Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class Progress:
    """Where fitting is.

    Attributes
    ----------
    index, budget
        Steps made, and the most there will be; 0 while the images are looked at.
    losses
        Decibels: ``"swap"`` of this batch (of its self-reconstruction, where that is
        what is learned from); of the last check on held-out tiles, ``"held out"`` for
        the network and one for every closed form by its name.
    better, error
        Decibels that the best network so far wins over the best closed form on the same
        swaps, and the standard error of that.
    """

    index: int
    budget: int
    losses: Mapping[str, float]
    better: float
    error: float
    net: nn.Module | None = field(repr=False)
    card: Mapping[str, Any] = field(repr=False)
    used: float = 1.0
    falls_back: bool = True

    @property
    def rival(self) -> str:
        """The best closed form on held-out tiles."""
        forms = {k: v for k, v in self.losses.items() if k not in (SWAP, "held out")}
        return max(forms, key=lambda name: forms[name])

    @property
    def verdict(self) -> str:
        """Whether the images were enough, in words."""
        if self.net is None:
            return "looking at the images"
        won = f"{self.better:+.1f} dB against {self.rival} on held-out tiles"
        if self.better - 2 * self.error > 0:
            return f"enough: {won}"
        if self.better > 0:
            return f"perhaps enough: {won}, but that may be chance; more images help"
        if not self.falls_back:
            return f"not enough: {won}; add steps and images, or use that one"
        return f"not enough: {won}, so its closed form is used; add images"

    def weights(self) -> Weights | None:
        """What was learned so far, if anything; it corrects nothing if no better."""
        from napari_disentangle.model.affine.net import tensors_of

        if self.net is None:
            return None
        tensors = tensors_of(self.net)
        if self.falls_back:
            tensors["used"] = np.asarray(self.used * (self.better > 0), np.float32)
        known = {
            "steps": self.index,
            "losses": {k: round(v, 3) for k, v in self.losses.items()},
            "verdict": self.verdict,
        }
        return Weights(tensors, {**self.card, **known})


def train(
    bank: Bank,
    lesson: Lesson,
    seed: int = 0,
    steps: int = 400,
    device: str = "cpu",
    card: Mapping[str, Any] | None = None,
) -> Iterator[Progress]:
    """Fit a network to tiles, one micro-batch at a time.

    Parameters
    ----------
    bank
        Tiles by look.
    lesson
        What is fitted, and what it learns from.
    seed
        Decides every random choice.
    steps
        The most micro-batches there will be.
    device
        Where to compute.
    card
        What is kept with the weights.

    Yields
    ------
    Progress
        One per micro-batch, and more of the same while the network is examined.
    """
    from napari_disentangle.compute.device import loading
    from napari_disentangle.model.affine.swaps import make

    with one_thread():
        held_out = make(bank.held_out, _EXAM, (seed, 1))
    marks = yield from _rivals(held_out, steps)
    rival = max(marks.values(), key=lambda mark: float(mark.mean()))
    net = yield from _telling(lesson.begin(bank, seed), preparing(steps, marks))
    yield from _telling(loading(), preparing(steps, marks))
    course = _Course(net.to(device), lesson, steps)
    held_out = held_out.to(device)
    first = _examined(course.mean, lesson, held_out)
    best = yield from _telling(first, preparing(steps, marks))
    yield preparing(steps, marks)

    blank = replace(
        preparing(steps, marks),
        card=card or {},
        used=lesson.used,
        falls_back=lesson.falls_back,
    )
    told = partial(_told, blank, rival)
    check = max(_CHECK, steps // _CHECKS)
    for index in range(1, steps + 1):
        with one_thread():
            swap = course.step(bank, (seed, 2, index), index)
        if index % check == 0 or index == steps:
            exam = _examined(course.mean, lesson, held_out)
            best = best.or_else((yield from _telling(exam, told(index, swap, best))))
        yield told(index, swap, best)
        if best.since >= _PATIENCE:
            return


def _told(
    blank: Progress, rival: Values, index: int, swap: float, best: _Best
) -> Progress:
    """Where fitting is after a micro-batch."""
    won = best.own - rival
    return replace(
        blank,
        index=index,
        losses={SWAP: swap, "held out": best.now, **blank.losses},
        better=float(won.mean()),
        error=float(won.std() / len(won) ** 0.5),
        net=best.net,
    )


def _telling(
    steps: Generator[None, None, Result], told: Progress
) -> Generator[Progress, None, Result]:
    """Say the same after every step."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: Result = end.value
            return result
        yield told


def _rivals(
    held_out: Swaps, steps: int
) -> Generator[Progress, None, dict[str, Values]]:
    """Decibels (B,) of every closed form on held-out swaps."""
    marks: dict[str, Values] = {}
    for name, form in closed_forms().items():
        with one_thread():
            marks[name] = exam_of(form, held_out)
        yield preparing(steps, marks)
    return marks


@dataclass(frozen=True, eq=False)
class _Best:
    """The best network so far.

    Attributes
    ----------
    net
        The network, never to be changed.
    own
        Its decibels (B,) on held-out swaps.
    now
        Mean decibels of the last one that was tried.
    since
        How many were tried since without being better.
    """

    net: nn.Module
    own: Values
    now: float
    since: int

    def or_else(self, other: _Best) -> _Best:
        """This network, or another that is better."""
        if other.now > self.own.mean():
            return other
        return replace(self, now=other.now, since=self.since + 1)


def _examined(
    net: nn.Module, lesson: Lesson, held_out: Swaps
) -> Generator[None, None, _Best]:
    """A network and its marks on held-out swaps; yields after some of them."""
    marks = []
    for part in held_out.parts(_PART):
        with one_thread():
            marks.append(lesson.exam(net, part))
        yield
    own = np.concatenate(marks)
    return _Best(copy.deepcopy(net), own, float(own.mean()), 0)


class _Course:
    """One fit: the network that is trained, and the moving average of it.

    Parameters
    ----------
    net
        Where it begins; changed by every step.
    lesson
        What it learns from, and how fast.
    steps
        Length of the schedule of learning rates.
    """

    def __init__(self, net: nn.Module, lesson: Lesson, steps: int) -> None:
        import torch

        self.net, self.lesson = net, lesson
        self.mean = copy.deepcopy(net).eval().requires_grad_(requires_grad=False)
        self._optimiser = torch.optim.AdamW(
            net.parameters(), lr=lesson.rate, weight_decay=lesson.decay
        )
        self._rate = torch.optim.lr_scheduler.OneCycleLR(
            self._optimiser,
            lesson.rate,
            total_steps=max(steps + 1, _SHORTEST),
            pct_start=0.1,
        )

    def step(self, bank: Bank, seed: tuple[int, ...], index: int) -> float:
        """Learn from a micro-batch; its mean decibels."""
        value, decibels = self.lesson.loss(self.net, bank, seed)
        _descend(self._optimiser, self.net, value, self.lesson.clip)
        self._rate.step()
        _follow(self.mean, self.net, index)
        return decibels


def preparing(steps: int, marks: Mapping[str, Values]) -> Progress:
    """A sign of life before the first step: there is no network yet."""
    losses = {name: float(mark.mean()) for name, mark in marks.items()}
    return Progress(0, steps, losses, 0.0, 0.0, None, {})


def closed_forms() -> dict[str, AffineMethod]:
    """Closed forms that are affine maps of absorbance, by name."""
    return {
        name: known
        for name, known in MODELS.items()
        if isinstance(known, AffineMethod)
        and not known.learns
        and "brightfield" in known.modalities
        and known.space("brightfield") == "absorbance"
    }


def exam_of(method: AffineMethod, swaps: Swaps) -> Values:
    """Decibels (B,) of swaps by a closed form."""
    import torch

    maps = []
    for pair in zip(swaps.source.signal, swaps.donor.signal, strict=True):
        source, donor = (_estimate(method, t.numpy()) for t in pair)
        axes = torch.eye(len(pair[0]))
        offset = method.transfer(torch.zeros(len(axes), 1), source, donor)
        maps.append((method.transfer(axes, source, donor) - offset, offset[:, 0]))
    matrices, offsets = (torch.stack(part) for part in zip(*maps, strict=True))
    return swaps.decibels(matrices, offsets).numpy()


def _estimate(method: AffineMethod, tile: Values) -> Values:
    from napari_disentangle.model.affine.swaps import rows

    signal, mask = rows(tile)
    white = np.zeros(len(tile))
    return method.estimate(Sample(signal, mask, white, "brightfield"), method.config())


def _descend(
    optimiser: torch.optim.Optimizer, net: nn.Module, value: torch.Tensor, clip: float
) -> None:
    """One step down; an odd batch without a finite slope would spoil it all."""
    import torch

    optimiser.zero_grad()
    value.backward()  # type: ignore[no-untyped-call]
    if torch.nn.utils.clip_grad_norm_(net.parameters(), clip).isfinite():
        optimiser.step()


def _follow(mean: nn.Module, net: nn.Module, index: int) -> None:
    """Move the average of the parameters; the first ones count less.

    What normalisations have learned moves along.
    """
    import torch

    momentum = min(_MOMENTUM, (1 + index) / (10 + index))
    known = net.state_dict()
    with torch.no_grad():
        for name, average in mean.state_dict().items():
            if average.is_floating_point():
                average.lerp_(known[name], 1 - momentum)
            else:
                average.copy_(known[name])
