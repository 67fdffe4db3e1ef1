"""The attenuator: damps what a predictor should not hand on through its skips.

OUR READING of FADeR (Park et al. 2024, arXiv 2407.04597), of whose method we could read
the abstract only: two layers per skip, a multilayer perceptron at every pixel, see the
skip and the features that it joins, and say how much of each skip feature goes on. Form
and widths are OUR CHOICE; this is not the authors' code.
"""

from itertools import pairwise

import torch
from torch import nn

from napari_disentangle.detector.masked.net import CONVOLUTION, Predictor

# Where gates begin: sigmoid(4) = 0.98, so that almost all goes on.
_OPEN = 4.0
# Features of a skip per feature between the two layers.
_NARROWER = 4


class Gate(nn.Module):
    """How much of every feature of a skip goes on, between 0 and 1."""

    def __init__(self, skip: int, below: int, ndim: int) -> None:
        super().__init__()
        convolution, hidden = CONVOLUTION[ndim], max(1, skip // _NARROWER)
        self.first = convolution(skip + below, hidden, 1)
        self.last = convolution(hidden, skip, 1)
        nn.init.zeros_(self.last.weight)
        assert self.last.bias is not None
        nn.init.constant_(self.last.bias, _OPEN)

    def forward(self, skip: torch.Tensor, below: torch.Tensor) -> torch.Tensor:
        """Weights of the shape of ``skip``; ``below`` is what it joins."""
        hidden = torch.relu(self.first(torch.cat([skip, below], 1)))
        return torch.sigmoid(self.last(hidden))


class Attenuated(nn.Module):
    """A predictor with a gate on every skip; the predictor itself stays as it is."""

    def __init__(self, predictor: Predictor) -> None:
        super().__init__()
        self.predictor = predictor.requires_grad_(False)
        widths, ndim = predictor.plan.widths, predictor.plan.ndim
        self.gates = nn.ModuleList(
            Gate(skip, below, ndim) for skip, below in reversed(list(pairwise(widths)))
        )

    def forward(
        self, signal: torch.Tensor, hidden: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Predict every pixel, see nets.masked."""
        expected, scale, _ = self.gated(signal, hidden)
        return expected, scale

    def gated(
        self, signal: torch.Tensor, hidden: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, list[torch.Tensor]]:
        """Expected signal and scale, and the weights of each skip, coarsest first."""
        with torch.no_grad():
            skips = self.predictor.encode(signal, hidden)
        weights: list[torch.Tensor] = []

        def damp(skip: torch.Tensor, below: torch.Tensor) -> torch.Tensor:
            weights.append(self.gates[len(weights)](skip, below))
            return skip * weights[-1]

        expected, scale = self.predictor.decode(skips, damp)
        return expected, scale, weights
