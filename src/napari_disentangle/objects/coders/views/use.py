"""What an encoder sees of objects, and the codes that it gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np

from napari_disentangle.errors import DataError
from napari_disentangle.image.arrays import Array, Floats
from napari_disentangle.objects.crops import Crops
from napari_disentangle.objects.objects import Objects

if TYPE_CHECKING:
    import torch

# What nothing varies by is not made large.
_LEAST = 1e-6
_SCALES = ("mean", "std", "size")


@dataclass(frozen=True, eq=False)
class Seen:
    """Objects as an encoder sees them.

    Attributes
    ----------
    values
        Pictures (n, C, h, w).
    masks
        How much of every pixel is the object (n, h, w).
    sizes
        Logarithm of the edge of every picture in world units (n,).
    """

    values: Floats
    masks: Floats
    sizes: Floats

    @classmethod
    def of(cls, part: Crops, objects: Objects) -> Self:
        """Take pictures of objects of one image."""
        number = objects.columns["image number"][part.rows[0]]
        pixel = abs(objects.images[number].scale[-1]) * part.values.shape[-1]
        sizes = np.log(part.pixels * pixel).astype(np.float32)
        return cls(part.values, part.masks, sizes)


@dataclass(frozen=True, eq=False)
class Standard:
    """What pictures and sizes are standardised with.

    Attributes
    ----------
    mean, std
        Of every channel (C,).
    size
        Mean and spread of sizes (2,).
    """

    mean: Floats
    std: Floats
    size: Floats

    @classmethod
    def of(cls, seen: Seen) -> Self:
        """Measure objects."""
        axes = (0, 2, 3)
        mean, std = (
            np.asarray(f(seen.values, axis=axes, dtype=np.float64), np.float32)
            for f in (np.mean, np.std)
        )
        size = np.array([seen.sizes.mean(), max(seen.sizes.std(), _LEAST)], np.float32)
        return cls(mean, np.maximum(std, _LEAST), size)

    def apply(self, seen: Seen) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Pictures (n, C, h, w), masks (n, h, w) and sizes (n,), standardised."""
        import torch

        values = (seen.values - self.mean[:, None, None]) / self.std[:, None, None]
        sizes = (seen.sizes - self.size[0]) / self.size[1]
        made = (torch.from_numpy(one) for one in (values, seen.masks, sizes))
        pictures, masks, logs = made
        return pictures, masks, logs


class Learned:
    """An encoder made of its tensors, once in a process."""

    def __init__(self, tensors: Mapping[str, Array]) -> None:
        self.standard = Standard(*(tensors[name] for name in _SCALES))
        self.tensors = {k: v for k, v in tensors.items() if k not in _SCALES}

    def __call__(self, seen: Seen) -> Floats:
        """Codes (n, 32) of objects.

        Raises
        ------
        DataError
            If they have other channels than those that it learned from.
        """
        import torch

        known, given = len(self.standard.mean), seen.values.shape[1]
        if known != given:
            raise DataError(
                f"the coder learned from {known} channels, and these objects have "
                f"{given}: code them with a coder of their own"
            )
        values, masks, sizes = self.standard.apply(seen)
        with torch.inference_mode():
            codes = self._net(torch.cat([values, masks[:, None]], 1), sizes)
        found: Floats = codes.numpy()
        return found

    @cached_property
    def _net(self) -> torch.nn.Module:
        import torch

        from napari_disentangle.objects.coders.views.net import Encoder

        net = Encoder(len(self.standard.mean))
        state = {k: torch.from_numpy(np.array(v)) for k, v in self.tensors.items()}
        net.load_state_dict(state)
        return net.eval()


def tensors(standard: Standard, net: Mapping[str, Array]) -> dict[str, Array]:
    """All that makes an encoder, by name."""
    return {**{name: getattr(standard, name) for name in _SCALES}, **net}
