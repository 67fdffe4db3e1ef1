"""What a model learns from: how fitting begins, micro-batches, exams.

A lesson is all that differs between the models that learn; the loop is in ``train``.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from napari_disentangle.device import one_thread
from napari_disentangle.errors import DataError
from napari_disentangle.methods.repeated import PASSES

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    import torch
    from torch import nn

    from napari_disentangle.field import Modality
    from napari_disentangle.methods.base import Weights
    from napari_disentangle.methods.contrimix import Config
    from napari_disentangle.moments import Values
    from napari_disentangle.nets.affine import AffineNet
    from napari_disentangle.nets.contrimix import ContriMix
    from napari_disentangle.nets.repeated import RepeatedNet
    from napari_disentangle.nets.swaps import Swaps
    from napari_disentangle.tiles import Bank

# Pairs in a micro-batch: small enough for 0.3 s on one core.
BATCH = 16
# Batches from which is learned what images look like.
_FIRST = 8
# Share of a user's tiles that lie inside the edge of what is known: most are.
REACH = 0.95
# Of ContriMix: images in a micro-batch, and their edge in pixels, the least that its
# attribute encoder can see.
_IMAGES, SMALLEST = 4, 64


class Lesson(Protocol):
    """What the loop has to know of a model.

    ``rate``, ``decay`` and ``clip`` are of the optimiser; ``used`` is the share of a
    correction that is used at most, and ``falls_back`` whether the model is a closed
    form where it has not learned to be better.
    """

    @property
    def modality(self) -> Modality:
        """Kind of image."""

    @property
    def rate(self) -> float:
        """Learning rate at most."""

    @property
    def decay(self) -> float:
        """Decay of the parameters."""

    @property
    def clip(self) -> float:
        """Norm of the gradient at most."""

    @property
    def used(self) -> float:
        """Share of a correction that is used at most."""

    @property
    def falls_back(self) -> bool:
        """Whether it is a closed form where it is not better."""

    def begin(self, bank: Bank, seed: int) -> Generator[None, None, nn.Module]:
        """The network to begin with; yields after whatever takes long."""

    def loss(
        self, net: nn.Module, bank: Bank, seed: tuple[int, ...]
    ) -> tuple[torch.Tensor, float]:
        """What a micro-batch makes smaller, and its mean decibels."""

    def exam(self, net: nn.Module, swaps: Swaps) -> Values:
        """Decibels (B,) of swaps with a known truth."""


@dataclass(frozen=True, eq=False)
class Correction:
    """Swaps with a known truth, for the network of `affine`.

    Attributes
    ----------
    modality
        Decides which looks are learned from.
    start
        Weights to begin with; a new network if ``None``.
    used
        Share of the correction that is used at most.
    reach
        Share of the training tiles that lie inside the edge of what is known.
    images
        Statistics (S,) of whole images that lie inside it in any case.
    """

    modality: Modality
    start: Weights | None = None
    used: float = 1.0
    reach: float = REACH
    images: Sequence[Values] = ()
    rate: float = 1e-3
    decay: float = 1e-2
    clip: float = 1.0
    falls_back: bool = True
    batch: int = BATCH

    @property
    def net(self) -> type[AffineNet]:
        """What is trained."""
        from napari_disentangle.nets.affine import AffineNet

        return AffineNet

    def begin(self, bank: Bank, seed: int) -> Generator[None, None, AffineNet]:
        """A network that knows what its training images look like."""
        import torch

        channels = len(bank.learn[0][0])
        if self.start is not None:
            _check_channels(self.net, self.start, channels)
        kinds = yield from self._kinds(bank, seed)
        net = _begin(self.net, self.start, channels, kinds, seed)
        net.remember(kinds, self.reach)
        if self.images:
            net.include(torch.from_numpy(np.stack(self.images)).float())
        return net

    def _kinds(
        self, bank: Bank, seed: int
    ) -> Generator[None, None, list[torch.Tensor]]:
        """Statistics (n, S) of first batches, for every kind of image."""
        import torch

        from napari_disentangle.nets.swaps import make

        kinds: list[list[torch.Tensor]] = [[] for _ in bank.kinds]
        for kind, part in itertools.product(range(len(kinds)), range(_FIRST)):
            with one_thread():
                drawn = (seed, 0, kind, part)
                first = make(bank.kinds[kind], self.modality, self.batch, drawn)
            kinds[kind].append(first.statistics)
            yield
        return [torch.cat(kind) for kind in kinds]

    def loss(
        self, net: nn.Module, bank: Bank, seed: tuple[int, ...]
    ) -> tuple[torch.Tensor, float]:
        """Errors of swaps and the size of corrections."""
        from napari_disentangle.nets.swaps import loss, make

        swaps = make(bank.learn, self.modality, self.batch, seed).to(_device(net))
        value, decibels = loss(_affine(net), swaps)
        return value, float(decibels.detach().mean())

    def exam(self, net: nn.Module, swaps: Swaps) -> Values:
        """Decibels (B,) of swaps."""
        from napari_disentangle.nets.swaps import exam

        return exam(_affine(net), swaps)


@dataclass(frozen=True, eq=False)
class Repetition(Correction):
    """The same, with the attribute read several times: `contrimix` by default."""

    batch: int = BATCH // 2

    @property
    def net(self) -> type[RepeatedNet]:
        """What is trained."""
        from napari_disentangle.nets.repeated import RepeatedNet

        return RepeatedNet

    def begin(self, bank: Bank, seed: int) -> Generator[None, None, AffineNet]:
        """As before; the mean look of training tiles becomes part of the network."""
        from napari_disentangle.nets.swaps import make

        net = yield from Correction.begin(self, bank, seed)
        if self.start is None:
            with one_thread():
                first = make(bank.learn, self.modality, 4 * BATCH, (seed, 3))
            _repeated(net).settle(first.source)
        return net

    def loss(
        self, net: nn.Module, bank: Bank, seed: tuple[int, ...]
    ) -> tuple[torch.Tensor, float]:
        """Errors of swaps and the size of corrections, over all passes."""
        from napari_disentangle.nets.repeated import loss
        from napari_disentangle.nets.swaps import make

        swaps = make(bank.learn, self.modality, self.batch, seed).to(_device(net))
        value, decibels = loss(_repeated(net), swaps, PASSES)
        return value, float(decibels.detach().mean())

    def exam(self, net: nn.Module, swaps: Swaps) -> Values:
        """Decibels (B,) of swaps."""
        from napari_disentangle.nets.repeated import exam

        return exam(_repeated(net), swaps, PASSES)


@dataclass(frozen=True, eq=False)
class Mixing:
    """The losses of ContriMix as published, on tiles as they came.

    The optimiser's settings are those of its authors for Camelyon17, the weights of the
    losses theirs for encoders alone (TCGA). Micro-batches are as small as a processor
    can bear, OUR CHOICE.
    """

    modality: Modality
    settings: Config
    start: Weights | None = None
    rate: float = 1e-3
    decay: float = 1e-3
    clip: float = 0.5
    used: float = 1.0
    falls_back: bool = False

    def begin(self, bank: Bank, seed: int) -> Generator[None, None, ContriMix]:
        """New networks, or those to go on with."""
        import torch

        from napari_disentangle.methods.published import architecture, built
        from napari_disentangle.nets.contrimix import ContriMix

        yield from ()
        if self.start is not None:
            return built(self.settings, self.start).train()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            net = ContriMix(architecture(self.settings, len(bank.learn[0][0])))
        return net.train()

    def loss(
        self, net: nn.Module, bank: Bank, seed: tuple[int, ...]
    ) -> tuple[torch.Tensor, float]:
        """All losses, and the decibels of self-reconstruction."""
        import torch

        from napari_disentangle.nets import contrimix_losses as losses

        rng = np.random.default_rng(seed)
        images = torch.from_numpy(np.stack([_crop(bank, rng) for _ in range(_IMAGES)]))
        drawn = torch.Generator().manual_seed(int(rng.integers(2**62)))
        targets = losses.draw_targets(_IMAGES, self.settings.mixings, drawn)
        mixed = losses.mix(_contrimix(net), images.to(_device(net)), targets)
        value, _ = losses.total(mixed, losses.TCGA)
        pair = (losses.to_transmittance(x) for x in (mixed.rendered[:, 0], images))
        made, truth = (x.detach().cpu() for x in pair)
        return value, float(-10 * torch.log10((made - truth).square().mean() + 1e-12))

    def exam(self, net: nn.Module, swaps: Swaps) -> Values:
        """Decibels (B,) of swaps of single tiles."""
        import torch

        known = _contrimix(net)
        with torch.no_grad():
            attribute = known.attribute(swaps.donor.signal)
            made = known(swaps.source.signal, attribute)
        found: Values = swaps.decibels_of(made).cpu().numpy()
        return found


def _crop(bank: Bank, rng: np.random.Generator) -> Values:
    """A part of a tile of any look, turned."""
    look = bank.learn[int(rng.integers(len(bank.learn)))]
    tile = look[int(rng.integers(len(look)))]
    y, x = (int(rng.integers(size - SMALLEST + 1)) for size in tile.shape[1:])
    part = tile[:, y : y + SMALLEST, x : x + SMALLEST]
    turned: Values = np.rot90(part, int(rng.integers(4)), (1, 2)).copy()
    return turned


def _check_channels(net: type[AffineNet], start: Weights, channels: int) -> None:
    """Refuse images that the weights cannot be for."""
    from napari_disentangle.nets.affine import build

    known = build(start.tensors, net).channels
    if known != channels:
        raise DataError(
            f"what was learned so far is for {known} channels together, but these "
            f"images have {channels}: choose others"
        )


def _begin(
    kind: type[AffineNet],
    start: Weights | None,
    channels: int,
    kinds: Sequence[torch.Tensor],
    seed: int,
) -> AffineNet:
    """A new network, or the one to go on with."""
    import torch

    from napari_disentangle.nets.affine import build, like

    if start is not None:
        known = like(start.tensors, len(kinds))
        return build(known, kind).requires_grad_().train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = kind(channels, kinds[0].shape[1], len(kinds))
    net.begin(torch.cat(list(kinds)))
    return net


def _device(net: nn.Module) -> str:
    return str(next(net.parameters()).device)


def _affine(net: nn.Module) -> AffineNet:
    from napari_disentangle.nets.affine import AffineNet

    assert isinstance(net, AffineNet)
    return net


def _repeated(net: nn.Module) -> RepeatedNet:
    from napari_disentangle.nets.repeated import RepeatedNet

    assert isinstance(net, RepeatedNet)
    return net


def _contrimix(net: nn.Module) -> ContriMix:
    from napari_disentangle.nets.contrimix import ContriMix

    assert isinstance(net, ContriMix)
    return net
