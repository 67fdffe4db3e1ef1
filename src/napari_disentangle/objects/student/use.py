"""What a student sees of a grey plane, and what it says."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from napari_disentangle.image.arrays import Array, Floats
from napari_disentangle.image.filters import reach, smooth
from napari_disentangle.objects.closed import WORKING

if TYPE_CHECKING:
    import torch

# What a value differs from its surroundings by, in units of how much those vary, is
# not to be noise where nothing varies.
_LEAST = 0.05
# How far the view reaches; that of the network lies behind.
VIEW = reach(WORKING) + reach(2 * WORKING)


def view(grey: Floats) -> Floats:
    """A plane (h, w), and the same relative to what is around it (2, h, w).

    Uneven light is nearly gone from the second.
    """
    around = grey - smooth(grey, WORKING)
    spread = np.sqrt(smooth(around**2, 2 * WORKING))
    return np.stack([grey, around / (spread + np.float32(_LEAST))])


class Learned:
    """A network made of its tensors, once in a process."""

    def __init__(self, tensors: Mapping[str, Array]) -> None:
        self.tensors = dict(tensors)

    def __call__(self, grey: Floats) -> Floats:
        """Foreground probability (h, w) of a plane."""
        import torch
        from torch.nn import functional

        from napari_disentangle.objects.student.net import STEP

        h, w = grey.shape
        seen = torch.from_numpy(view(grey))[None]
        padded = functional.pad(seen, (0, -w % STEP, 0, -h % STEP), mode="replicate")
        with torch.inference_mode():
            logit = self._net(padded)[0, :h, :w]
        found: Floats = logit.sigmoid().numpy()
        return found

    @cached_property
    def _net(self) -> torch.nn.Module:
        import torch

        from napari_disentangle.objects.student.net import Student

        net = Student()
        state = {k: torch.from_numpy(np.array(v)) for k, v in self.tensors.items()}
        net.load_state_dict(state)
        return net.eval()
