"""The contract of a model, and its affine form that all closed-form models share.

A model says how an image's attribute is measured, and how a signal is moved from one
attribute to another. It sees signals (channels first), never files, layers or tiles.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

import numpy as np

from napari_disentangle.image.arrays import Doubles, Floats, Mask, chosen
from napari_disentangle.image.field import Modality
from napari_disentangle.image.foreground import find_foreground
from napari_disentangle.image.signal import Space, natural_space
from napari_disentangle.model.lesson import Lesson
from napari_disentangle.model.statistics import Values as Values

if TYPE_CHECKING:
    import torch

Affine = tuple[Values, Values]
# All signals (C, h, w) of an image, with what a halo adds, and where in each lies the
# part that no other one has.
Regions: TypeAlias = "Callable[[], Iterable[tuple[torch.Tensor, tuple[slice, slice]]]]"

# Fewer foreground pixels than this say nothing about a channel.
_FEWEST = 16


@dataclass(frozen=True)
class Sample:
    """Pixels of an image from which an attribute is measured.

    Attributes
    ----------
    signal
        Finite pixels in the model's signal space (C, N).
    foreground
        Which of them are foreground (N,).
    white
        Background level of brightfield absorbance (C,); zero where unknown.
    modality
        What kind of image it is.
    tiles
        The same pixels where they lie: signals (C, h, w), NaN where a pixel does not
        count, each with its number of foreground pixels.
    every
        The same with the pixels that are far from all others; ``None`` if there are
        none, or the method takes all pixels.
    """

    signal: Doubles
    foreground: Mask
    white: Doubles
    modality: Modality
    tiles: Sequence[tuple[Doubles, float]] = ()
    every: Sample | None = None

    @property
    def tissue(self) -> Doubles:
        """Foreground pixels (C, n)."""
        return chosen(self.signal, self.foreground)

    def part(self, channels: slice) -> Sample:
        """Some channels by themselves, with a own foreground if they show any."""
        signal, white = self.signal[channels], self.white[channels]
        tiles = [(tile[channels], area) for tile, area in self.tiles]
        if len(signal) == len(self.signal):
            return self
        found = find_foreground(signal, self.modality)
        own = found.mask(signal)
        if own.sum() < _FEWEST:
            return Sample(signal, self.foreground, white, self.modality, tiles)
        tiles = [(tile, float(found.mask(tile).sum())) for tile, _ in tiles]
        return Sample(signal, own, white, self.modality, tiles)


@dataclass(frozen=True, eq=False)
class Weights:
    """What a model has learned.

    Attributes
    ----------
    tensors
        Parameters by name.
    card
        Where they come from: images, looks, steps, seed, and how good they are.
    """

    tensors: Mapping[str, Floats]
    card: Mapping[str, Any]

    @cached_property
    def hash(self) -> str:
        """Short hash of the tensors."""
        digest = hashlib.sha256()
        for name in sorted(self.tensors):
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(self.tensors[name]).tobytes())
        return digest.hexdigest()[:16]


@dataclass(frozen=True)
class NoSettings:
    """A model without settings."""


class Method:
    """What a model has to state; everything else is built on it.

    The defaults are those of a model that maps pixel by pixel, can be undone, and has
    nothing to learn.

    Attributes
    ----------
    description
        One sentence for a person who chooses a model.
    config
        Frozen dataclass of settings: its fields are the form and the options.
    modalities
        Kinds of image it can work on.
    masked
        Whether it measures the foreground only.
    robust
        Whether a few pixels far from all others are left out where it measures.
    both
        Whether it is given the pixels with those as well, as :attr:`Sample.every`.
    learns
        Kinds of image that it can be fitted to.
    needs_fit
        Whether it says nothing until it was fitted.
    sampled
        Whether samples of an image decide its attribute.
    invertible
        Whether an image under its own attribute is that image, exactly.
    smallest_tile
        Edge in pixels of the smallest tile that it learns from; 0 for any.
    """

    description: str
    config: type[Any] = NoSettings
    modalities: tuple[Modality, ...] = ("brightfield", "fluorescence")
    masked: bool = True
    robust: bool = False
    both: bool = False
    learns: tuple[Modality, ...] = ()
    needs_fit: bool = False
    sampled: bool = True
    invertible: bool = True
    smallest_tile: int = 0

    @property
    def halo(self) -> int:
        """Pixels around a region that its content and its pixels depend on."""
        return 0

    def learned(self, settings: Any, weights: Weights | None) -> Method:
        """The same with settings, and with what it has learned."""
        return self

    def space(self, modality: Modality) -> Space:
        """Signal space it works in."""
        return natural_space(modality)

    def names(self, channels: tuple[str, ...]) -> tuple[str, ...]:
        """Names of the attribute's values for these channels."""
        raise NotImplementedError

    def estimate(self, sample: Sample, config: Any) -> Values:
        """Measure the attribute (P,)."""
        raise NotImplementedError

    def complete(
        self, values: Values, regions: Regions
    ) -> Generator[None, None, Values]:
        """Add what takes whole images, a region at a time; most have nothing to add."""
        yield from ()
        return values

    def doubt(self, source: Values, target: Values) -> float:
        """How far readings of the same swap differ, as a share of the full scale."""
        return 0.0

    def lesson(self, weights: Weights | None) -> Lesson:
        """What it learns from.

        Parameters
        ----------
        weights
            What to begin with.

        Raises
        ------
        ValueError
            If it has nothing to learn.
        """
        raise ValueError("this model has nothing to learn: use it as it is")

    def encode(self, x: torch.Tensor, source: Values) -> torch.Tensor:
        """Content maps (K, ...) of a signal (C, ...) with this attribute."""
        raise NotImplementedError

    def transfer(self, x: torch.Tensor, source: Values, target: Values) -> torch.Tensor:
        """Signal (C, ...) of the same content under another attribute."""
        raise NotImplementedError


class PixelMethod(Method):
    """A model that moves an image by one affine map of its signal."""

    def map_between(self, source: Values, target: Values) -> Affine:
        """Affine map (C, C), (C,) of the signal from one attribute to another."""
        raise NotImplementedError

    def transfer(self, x: torch.Tensor, source: Values, target: Values) -> torch.Tensor:
        """The signal under another attribute (C, ...)."""
        return apply_affine(x, *self.map_between(source, target))


@runtime_checkable
class Painter(Protocol):
    """A model whose content takes long, and is quickly painted under any look."""

    def content(self, x: torch.Tensor, source: Values) -> torch.Tensor:
        """Content of a signal (C, h, w) with this attribute, in a form of its own."""

    def paint(
        self, content: torch.Tensor, x: torch.Tensor, target: Values
    ) -> torch.Tensor:
        """Signal (C, h, w) like ``x`` of its content under an attribute."""


@dataclass(frozen=True, kw_only=True)
class AffineMethod(PixelMethod):
    """A model whose content is an invertible affine map of the signal.

    ``frame(values)`` gives W (C, C) and b (C,) so that content is ``W x + b``;
    moving from attribute s to t is then ``W_t^-1 (W_s x + b_s - b_t)``, unless
    ``between`` gives that map directly.
    """

    description: str
    names: Callable[[tuple[str, ...]], tuple[str, ...]]  # type: ignore[assignment]
    estimate: Callable[[Sample, Any], Values]  # type: ignore[assignment]
    frame: Callable[[Values], Affine]
    between: Callable[[Values, Values], Affine] | None = None
    config: type[Any] = NoSettings
    space: Callable[[Modality], Space] = natural_space  # type: ignore[assignment]
    modalities: tuple[Modality, ...] = ("brightfield", "fluorescence")
    masked: bool = True
    robust: bool = False
    both: bool = False

    def encode(self, x: torch.Tensor, source: Values) -> torch.Tensor:
        """Content maps of a signal (C, ...)."""
        return apply_affine(x, *self.frame(source))

    def map_between(self, source: Values, target: Values) -> Affine:
        """Affine map of the signal from one attribute to another."""
        if self.between is not None:
            return self.between(source, target)
        (w_s, b_s), (w_t, b_t) = self.frame(source), self.frame(target)
        return np.linalg.solve(w_t, w_s), np.linalg.solve(w_t, b_s - b_t)


def apply_affine(x: torch.Tensor, matrix: Values, offset: Values) -> torch.Tensor:
    """Apply ``matrix @ x + offset`` to every pixel of (C, ...)."""
    import torch

    w = torch.as_tensor(matrix, dtype=x.dtype, device=x.device)
    b = torch.as_tensor(offset, dtype=x.dtype, device=x.device)
    y = torch.addmm(b[:, None], w, x.reshape(len(x), -1))
    return y.reshape(len(w), *x.shape[1:])


def per_channel(*kinds: str) -> Callable[[tuple[str, ...]], tuple[str, ...]]:
    """Names such as ``("mean R", "mean G", ..., "log std R", ...)``."""
    return lambda channels: tuple(f"{k} {c}" for k in kinds for c in channels)
