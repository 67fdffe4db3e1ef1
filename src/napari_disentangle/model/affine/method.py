"""affine: one affine map per image, read class by class; a vote of closed forms else.

Moments take the tissue's composition for its stain. Here small networks sort pixels
into classes that do not depend on the look, and the attribute is a palette: the mean
colour and the share of every class. A swap takes the source's colours to the donor's as
far as both have the classes; where they have none, it makes what is lightest and what
is darkest match. OUR CHOICE.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_disentangle.image.arrays import Array
from napari_disentangle.image.field import Modality
from napari_disentangle.model.attribute import OF_ALL
from napari_disentangle.model.base import (
    Affine,
    AffineMethod,
    Method,
    PixelMethod,
    Sample,
    Values,
    Weights,
    apply_affine,
    per_channel,
)
from napari_disentangle.model.closed import balanced, vote
from napari_disentangle.model.lesson import Lesson
from napari_disentangle.model.statistics import balanced as both_alike
from napari_disentangle.model.statistics import ends, moments

if TYPE_CHECKING:
    import torch

    from napari_disentangle.model.affine.net import ClassNet, Readers
    from napari_disentangle.model.affine.palette import Palette

# Tiles that the networks see, of an image that has more.
_TILES = 16
# Values of `balanced` per channel.
_MOMENTS = 4
# Pixels far from all others count where squared differences of classes, in the frame of
# the closed form and as they are shown, are this share of those without them, and not
# where they are that. Chosen on swaps of one half of the open sources, and on pen.
_BETTER, _ALIKE = 0.4, 0.55
_SAME = 1e-12
# Smallest edge in pixels of a tile that the networks are shown.
_SMALLEST = 16


@dataclass(frozen=True, kw_only=True)
class Vote(AffineMethod):
    """The model where it has learned nothing: in fluorescence, and of grey images."""

    learns: tuple[Modality, ...] = ("brightfield",)

    def learned(self, settings: Any, weights: Weights | None) -> Method:
        """The model with weights."""
        return self if weights is None else ClassWise(weights)

    def lesson(self, weights: Weights | None) -> Lesson:
        """Swaps with a known truth."""
        from napari_disentangle.model.affine.lesson import Classes

        return Classes(weights)


@dataclass(frozen=True)
class ClassWise(PixelMethod):
    """The model with trained weights, for images of C channels with K classes.

    The values of an attribute are the moments of `balanced` (4C), and twice what is
    lightest and darkest (2C), the colours of the classes (K * C), and their shares (K):
    first without pixels that are far from all others, then with them.
    """

    weights: Weights
    modalities: tuple[Modality, ...] = ("brightfield",)
    robust: bool = True
    both: bool = True
    learns: tuple[Modality, ...] = ("brightfield",)

    def learned(self, settings: Any, weights: Weights | None) -> Method:
        """The same with other weights."""
        return METHOD.learned(settings, weights)

    def lesson(self, weights: Weights | None) -> Lesson:
        """Swaps with a known truth."""
        return METHOD.lesson(weights)

    def names(self, channels: tuple[str, ...]) -> tuple[str, ...]:
        """Names of the values.

        Raises
        ------
        ValueError
            If the weights are for another number of channels.
        """
        net = self._net
        if net.channels != len(channels):
            raise ValueError(
                f"what was learned is for {net.channels} channels together, but these "
                f"are {len(channels)}: choose another model"
            )
        classes = range(1, net.classes + 1)
        colours = (f"{c} of class {k}" for k in classes for c in channels)
        shares = (f"share of class {k}" for k in classes)
        ends = per_channel("lightest", "log range")(channels)
        one = (*ends, *colours, *shares)
        return (*balanced.METHOD.names(channels), *one, *(n + OF_ALL for n in one))

    def estimate(self, sample: Sample, config: Any) -> Values:
        """Moments, and both palettes."""
        found, own = self._read(sample)
        every = own if sample.every is None else self._read(sample.every)[1]
        return np.concatenate([found, _values(own), _values(every)])

    def _read(self, sample: Sample) -> tuple[Values, Palette]:
        """Moments, and the palette."""
        import torch

        from napari_disentangle.model.affine.net import seen
        from napari_disentangle.model.affine.palette import palette

        known = _frames(sample)
        classes, signals = [], []
        for tile in _shown(sample.tiles):
            maps, small = seen(torch.from_numpy(tile[None]).float(), *known)
            classes.append(self._net(maps).flatten(2))
            signals.append(small.flatten(2))
        pixels = torch.cat(classes, 2)[..., None], torch.cat(signals, 2)[..., None]
        shown = torch.from_numpy(ends(sample.signal, sample.foreground)[None])
        return known[0][0].numpy(), palette(shown, *pixels)

    @property
    def reach(self) -> tuple[int, int]:
        """Pixels around a region that classes hang on, and where regions begin."""
        from napari_disentangle.model.affine.net import REACH, STRIDE

        return REACH * STRIDE, STRIDE

    @property
    def sorted_classes(self) -> int:
        """Number of the classes that pixels are sorted into."""
        return len(self._net.each()[0].log_trust)

    def sorter(self, sample: Sample) -> Callable[[torch.Tensor], Array]:
        """What gives the pixels of an image the numbers of classes.

        Parameters
        ----------
        sample
            Pixels of the image.

        Returns
        -------
        callable
            From a signal (C, h, w) to numbers (h, w) of type uint8, from 1 on: of the
            first network's classes, as in the names of an attribute's values.
        """
        return partial(_sorted, self._net.each()[0], _frames(sample))

    def encode(self, x: torch.Tensor, source: Values) -> torch.Tensor:
        """Content (C, ...) of a signal: in the frame of `balanced`."""
        return apply_affine(x, *balanced.METHOD.frame(source[: _MOMENTS * len(x)]))

    def map_between(self, source: Values, target: Values) -> Affine:
        """Affine map of the signal from one attribute to another."""
        from napari_disentangle.model.affine.palette import swap

        moved, shift = swap(*self.pair(source, target), self._net.rule)
        return moved[0].numpy(), shift[0].numpy()

    def classes(self, values: Values) -> tuple[Values, Values]:
        """Colours (K, C), in absorbance, and shares (K,) of the classes of a look."""
        known, _ = _palettes(values, self._net.channels)
        return known.classes()

    def doubt(self, source: Values, target: Values) -> float:
        """How far the networks differ about a swap, as a share of the full scale.

        Root mean square over the source's classes, of the standard deviation between
        the transmittances that every network alone would give them.
        """
        import torch

        from napari_disentangle.model.affine.looks import show
        from napari_disentangle.model.affine.palette import swap

        net = self._net
        own, other = self.pair(source, target)
        shown = []
        for classes, one in net.parts():
            pair = own.only(classes), other.only(classes)
            matrix, offset = swap(*pair, one.rule)
            shown.append(show(own.colours @ matrix.mT + offset[:, None]))
        apart = torch.stack(shown).var(dim=0, correction=0).mean(dim=2)
        return float((apart * own.masses).sum().sqrt())

    def pair(self, source: Values, target: Values) -> tuple[Palette, Palette]:
        """Palettes of two looks that can be compared.

        With pixels far from all others where both have such, as few cells on an empty
        slide: colours of classes then agree much better. In between, some of both, so
        that nothing jumps while a person changes the strength.
        """
        from napari_disentangle.model.affine.palette import blended, differences

        net = self._net
        own, own_every = _palettes(source, net.channels)
        other, other_every = _palettes(target, net.channels)
        without = differences(own, other, net.rule)
        every = differences(own_every, other_every, net.rule)
        ratio = max(b / max(a, _SAME) for a, b in zip(without, every, strict=True))
        share = min(max((_ALIKE - ratio) / (_ALIKE - _BETTER), 0.0), 1.0)
        return blended(own, own_every, share), blended(other, other_every, share)

    @property
    def _net(self) -> Readers:
        return _net(self.weights)


def _frames(sample: Sample) -> list[torch.Tensor]:
    """What the networks have to know of an image: moments, mean and covariance."""
    import torch

    found = moments(sample.signal, sample.foreground, sample.modality)
    both = both_alike(sample.signal, sample.foreground)
    return [torch.from_numpy(value[None]).float() for value in (found, *both)]


def _sorted(
    net: ClassNet, frames: Sequence[torch.Tensor], signal: torch.Tensor
) -> Array:
    """Numbers (h, w) of the classes of a signal (C, h, w)."""
    import torch

    from napari_disentangle.model.affine.net import STRIDE, seen

    height, width = signal.shape[1:]
    even = torch.nn.functional.pad(
        signal[None], (0, width % STRIDE, 0, height % STRIDE), mode="replicate"
    )
    with torch.inference_mode():
        numbers = 1 + net(seen(even.float(), *frames)[0])[0].argmax(dim=0)
    large = numbers.repeat_interleave(STRIDE, 0).repeat_interleave(STRIDE, 1)
    return np.asarray(large[:height, :width].numpy(), np.uint8)


def _shown(tiles: Sequence[tuple[Array, float]]) -> Iterator[Array]:
    """Some tiles with foreground, of even sizes and never too small."""
    known = [tile for tile, area in tiles if area > 0] or [tile for tile, _ in tiles]
    step = -(-len(known) // _TILES)
    for tile in known[::step]:
        more = [max(_SMALLEST - n, n % 2) for n in tile.shape[1:]]
        yield np.pad(tile, [(0, 0), *((0, n) for n in more)], mode="edge")


def _values(one: Palette) -> Values:
    parts = one.ends, one.colours.flatten(1), one.masses
    return np.concatenate([part[0].numpy() for part in parts])


def _palettes(values: Values, channels: int) -> tuple[Palette, Palette]:
    """The palettes (1, ...) in the values of an attribute."""
    each = np.split(np.asarray(values, np.float64)[_MOMENTS * channels :], 2)
    own, every = (_palette(one, channels) for one in each)
    return own, every


def _palette(values: Values, channels: int) -> Palette:
    """The palette (1, ...) in its values."""
    import torch

    from napari_disentangle.model.affine.palette import Palette

    known = torch.from_numpy(values[None])
    classes = (known.shape[1] - 2 * channels) // (channels + 1)
    sizes = [2 * channels, classes * channels, classes]
    found, colours, masses = torch.split(known, sizes, dim=1)
    return Palette(found, colours.reshape(1, classes, channels), masses)


@lru_cache(maxsize=8)
def _net(weights: Weights) -> Readers:
    from napari_disentangle.model.affine.net import build

    return build(weights.tensors)


METHOD = Vote(
    description="Reads colours class by class (learned, can be fitted); in "
    "fluorescence closed forms vote.",
    names=vote.names,
    estimate=vote.estimate,
    frame=vote.frame,
    between=vote.between,
    robust=True,
)
