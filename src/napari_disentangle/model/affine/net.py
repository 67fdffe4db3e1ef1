"""The network behind ``affine``: what moments get wrong about an image's look.

It sees tiles in the frame of the closed form `balanced`, and answers with a small
affine correction of that frame. At k = 1 ContriMix (Nguyen et al. 2023, section 3)
renders each pixel as a matrix times its content; this keeps the matrix. OUR CHOICE.
"""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import nn

from napari_disentangle.image.arrays import Array, Floats
from napari_disentangle.model.statistics import anchor_and_scale, share, weight

# Corrections of the first steps, so that training begins gently at the closed form.
_SMALL = 0.3
# Values of content beyond this many standard deviations look alike to the network.
_REACH = 4.0


class AffineNet(nn.Module):
    """Predicts a correction from tiles and statistics.

    Parameters
    ----------
    channels
        Channels that are corrected together (C).
    n_statistics
        Length of the vector of statistics (S).
    domains
        Kinds of image it is trained on (K).
    width
        Channels of the first convolution.
    """

    centre: torch.Tensor
    scale: torch.Tensor
    home: torch.Tensor
    whiten: torch.Tensor
    edge: torch.Tensor
    used: torch.Tensor

    def __init__(
        self, channels: int, n_statistics: int, domains: int = 1, width: int = 32
    ) -> None:
        super().__init__()
        self.channels = channels
        self.n_features = 4 * width
        n_values = channels * channels + channels
        self.body = nn.Sequential(
            nn.Conv2d(channels, width, 4, stride=4),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(2 * width, 2 * width, 3, stride=2, padding=1),
            nn.ReLU(),
        )
        self.head = nn.Sequential(
            nn.Linear(4 * width + n_statistics, 4 * width),
            nn.ReLU(),
            nn.Linear(4 * width, n_values),
        )
        self.direct = nn.Linear(n_statistics, n_values, bias=False)
        self.register_buffer("centre", torch.zeros(n_statistics))
        self.register_buffer("scale", torch.ones(n_statistics))
        self.register_buffer("home", torch.zeros(domains, n_statistics))
        self.register_buffer("whiten", torch.eye(n_statistics).repeat(domains, 1, 1))
        self.register_buffer("edge", torch.ones(domains))
        self.register_buffer("used", torch.ones(()))
        last = self.head[-1]
        assert isinstance(last, nn.Linear)
        for parameter in (last.weight, last.bias, self.direct.weight):
            nn.init.zeros_(parameter)

    def see(self, tiles: torch.Tensor) -> torch.Tensor:
        """Features (B, F) of tiles (B, C, h, w) in the frame of the closed form."""
        maps = self.body(tiles.clamp(-_REACH, _REACH))
        strength = (maps.square().mean((2, 3)) + 1e-6).sqrt()
        return torch.cat([maps.mean((2, 3)), strength], dim=1)

    def forward(self, features: torch.Tensor, statistics: torch.Tensor) -> torch.Tensor:
        """Correction (B, C * C + C): the logarithm of a matrix, then a shift."""
        standard = self.standard(statistics)
        seen = torch.cat([features, standard], dim=1)
        correction: torch.Tensor = self.head(seen) + self.direct(standard)
        return _SMALL * correction

    def standard(self, statistics: torch.Tensor) -> torch.Tensor:
        """Statistics as the network is given them."""
        return (statistics - self.centre) / self.scale

    def unlike(self, statistics: torch.Tensor) -> torch.Tensor:
        """Distance (B,) from the nearest kind of training image; 1 is its edge.

        Mahalanobis distance of statistics (B, S), for each kind by its own spread.
        """
        away = self.standard(statistics)[None] - self.home[:, None]
        distance = (away @ self.whiten).square().mean(dim=2).sqrt()
        return (distance / self.edge[:, None]).amin(dim=0)

    def begin(self, statistics: torch.Tensor) -> None:
        """Fix what is a standard image from the first ones that are seen (n, S)."""
        self.centre.copy_(statistics.mean(0))
        self.scale.copy_(statistics.std(0) + 0.03)

    def remember(self, kinds: Sequence[torch.Tensor], reach: float) -> None:
        """Remember what training images look like: statistics (n, S) of every kind.

        ``reach`` is the share of them that lies inside the edge.
        """
        for k, statistics in enumerate(kinds):
            standard = self.standard(statistics)
            self.home[k] = standard.mean(0)
            values, vectors = torch.linalg.eigh(standard.T.cov(correction=0))
            # where training images hardly differ, a difference says little
            self.whiten[k] = vectors / (values + 0.1).sqrt()
            away = (standard - self.home[k]) @ self.whiten[k]
            self.edge[k] = away.square().mean(dim=1).sqrt().quantile(reach)

    def include(self, statistics: torch.Tensor) -> None:
        """Move the edge outwards until images (n, S) lie inside it."""
        self.edge *= self.unlike(statistics).max().clamp(min=1.0)


Net = TypeVar("Net", bound=AffineNet)


def frame(
    moments: torch.Tensor, correction: torch.Tensor, background: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Affine map from signal to content.

    Parameters
    ----------
    moments
        Of the closed form (B, 4C).
    correction
        What the network says (B, C * C + C).
    background
        Weight of the background (B, C).

    Returns
    -------
    tuple
        W (B, C, C) and b (B, C): content is ``W x + b``.
    """
    anchor, scale = anchor_and_scale(moments, background)
    n = anchor.shape[-1]
    log_matrix = correction[:, : n * n].reshape(-1, n, n)
    matrix = torch.matrix_exp(log_matrix) / scale[:, None, :]
    return matrix, correction[:, n * n :] - (matrix @ anchor[..., None])[..., 0]


def between(
    source: tuple[torch.Tensor, torch.Tensor], target: tuple[torch.Tensor, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Affine map (B, C, C), (B, C) from one look to another.

    Parameters
    ----------
    source, target
        Moments (B, 4C) and correction (B, C * C + C) of each.
    """
    background = weight((share(source[0]) + share(target[0])) / 2)
    w_s, b_s = frame(*source, background)
    w_t, b_t = frame(*target, background)
    offset = torch.linalg.solve(w_t, (b_s - b_t)[..., None])[..., 0]
    return torch.linalg.solve(w_t, w_s), offset


def build(
    tensors: Mapping[str, Floats],
    kind: type[Net] = AffineNet,  # type: ignore[assignment]
) -> Net:
    """A network of a kind from its tensors by name, ready to be asked.

    Raises
    ------
    ValueError
        If they are not those of such a network.
    """
    try:
        width, channels = tensors["body.0.weight"].shape[:2]
        with torch.random.fork_rng(devices=[]):  # nobody's chance is used up
            net = kind(channels, len(tensors["centre"]), len(tensors["edge"]), width)
        net.load_state_dict({k: torch.tensor(v) for k, v in tensors.items()})
    except (KeyError, RuntimeError) as error:
        raise ValueError(f"these are not the weights of the model ({error})") from error
    return net.eval().requires_grad_(requires_grad=False)


def tensors_of(net: nn.Module) -> dict[str, Array]:
    """A network's parameters and buffers by name."""
    return {k: v.detach().cpu().numpy().copy() for k, v in net.state_dict().items()}


def like(tensors: Mapping[str, Floats], domains: int) -> dict[str, Floats]:
    """The same tensors with room for other kinds of image."""
    domain = ("home", "whiten", "edge")
    return {
        k: np.resize(v, (domains, *v.shape[1:])) if k in domain else v
        for k, v in tensors.items()
    }
