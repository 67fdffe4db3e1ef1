"""ContriMix: content maps, and a matrix per image that turns them into pixels.

Nguyen et al. 2023, "ContriMix" (arXiv 2306.04527): one encoder gives n content maps,
another a C x n matrix for the whole image (its attribute), and their product, pixel by
pixel, is the image again. OUR CHOICE is what that paper does not have: C channels in
place of 3, and normalisation that does not depend on tiles.

Every convolution keeps the size of its input and mirrors at the border, so a border of
a tile spoils what lies within ``halo`` of it, and nothing further in.
"""

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Literal

import torch
from torch import nn

from napari_disentangle.model.base import Weights
from napari_disentangle.model.contrimix.settings import Config, Statistics

Look = Callable[[torch.Tensor], torch.Tensor]
Steps = Generator[torch.Tensor, torch.Tensor, torch.Tensor]

# Channels of the first convolution, at full resolution and where it is left (k > 1).
_FIRST, _FIRST_WIDE = 8, 16
# Channels of the attribute encoder's layers.
_ATTRIBUTE = (16, 32, 64, 128, 256, 512)


@dataclass(frozen=True)
class Architecture:
    """What a ContriMix is built from; the defaults are those of the paper.

    Attributes
    ----------
    channels
        Channels of the image (C).
    attributes
        Content maps, and columns of the attribute (n).
    down
        Content has a pixel for every ``down`` x ``down`` of the image (k: 1, 2, 4).
    norm
        ``"image"`` normalises every image by itself, ``"frozen"`` by what was usual in
        training, OUR CHOICE.
    """

    channels: int = 3
    attributes: int = 4
    down: int = 1
    norm: Statistics = "image"

    @property
    def n_values(self) -> int:
        """Rows of an attribute: what a content pixel becomes."""
        return self.channels * self.down**2


# --- layers -----------------------------------------------------------------------
def _conv(i: int, o: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """A convolution whose result has a pixel for every ``stride`` of its input."""
    margin = (kernel - stride + 1) // 2
    # torch gives no way to mirror by nothing
    mode: Literal["reflect", "zeros"] = "reflect" if margin else "zeros"
    return nn.Conv2d(i, o, kernel, stride, margin, padding_mode=mode)


def _norm(channels: int, norm: Statistics) -> nn.Module:
    kind = nn.InstanceNorm2d if norm == "image" else nn.BatchNorm2d
    return kind(channels, affine=False)


class Residual(nn.ModuleList):
    """Layers whose result is added to what they are given (run by the encoder)."""

    def __init__(self, channels: int, norm: Statistics) -> None:
        super().__init__()
        self.extend([_conv(channels, channels, 3), _norm(channels, norm)])
        self.append(nn.LeakyReLU())
        self.extend([_conv(channels, channels, 3), _norm(channels, norm)])


class Down(nn.Module):
    """Half the resolution, ``o`` channels in place of ``i``: a bend and a straight way.

    Both halve by averaging, the bend after its convolutions and the other before.
    """

    def __init__(self, i: int, o: int) -> None:
        super().__init__()
        self.bend = nn.Sequential(
            _conv(i, i, 3), nn.LeakyReLU(0.2), _conv(i, o, 3), nn.AvgPool2d(2)
        )
        self.straight = nn.Sequential(nn.AvgPool2d(2), _conv(i, o, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps (N, i, h, w) to (N, o, h // 2, w // 2)."""
        halved: torch.Tensor = self.bend(x) + self.straight(x)
        return halved


def _full(a: Architecture) -> list[nn.Module]:
    """Content at full resolution (k = 1)."""
    n = a.attributes
    first = [_conv(a.channels, _FIRST, 3), nn.LeakyReLU()]
    second = [_conv(_FIRST, n, 3), _norm(n, a.norm), nn.LeakyReLU()]
    return [*first, *second, *(Residual(n, a.norm) for _ in range(2)), nn.LeakyReLU()]


def _lower(a: Architecture) -> list[nn.Module]:
    """Content at half or a quarter of the resolution (k = 2, 4).

    OUR CHOICE, since we know of no word on it: 3 x 3 kernels with the strides, and an
    activation after the first convolution.
    """
    n = a.attributes
    widths = [_FIRST_WIDE, *([2 * _FIRST_WIDE] if a.down == 4 else []), n]
    layers: list[nn.Module] = [_conv(a.channels, widths[0], 7), nn.LeakyReLU()]
    for i, o in pairwise(widths):
        layers += [_conv(i, o, 3, stride=2), _norm(o, a.norm), nn.LeakyReLU()]
    return [*layers, *(Residual(n, a.norm) for _ in range(4)), nn.LeakyReLU()]


# --- content ----------------------------------------------------------------------
class ContentEncoder(nn.Module):
    """Content (N, n, H / k, W / k) of images (N, C, H, W).

    The published InstanceNorm takes its statistics from whatever it is given, so a tile
    would get another content than the image it belongs to. OUR CHOICE: statistics can
    be handed over, all in one vector (of ``statistics_passes``), and then every tile
    gives what the whole image gives. With ``norm="frozen"`` they are a running
    average over training batches, fixed by ``eval()``.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        make = _full if architecture.down == 1 else _lower
        self.down = architecture.down
        self.layers = nn.ModuleList(make(architecture))

    @property
    def norms(self) -> list[nn.InstanceNorm2d | nn.BatchNorm2d]:
        """The normalisations, in the order in which they are met."""
        kinds = (nn.InstanceNorm2d, nn.BatchNorm2d)
        return [m for m in self.modules() if isinstance(m, kinds)]

    @property
    def n_statistics(self) -> int:
        """Length of the vector of statistics: a mean and a variance per channel."""
        return 2 * sum(norm.num_features for norm in self.norms)

    @property
    def halo(self) -> int:
        """Pixels around a tile that its content depends on, a multiple of k."""
        radius, scale = 0, 1
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                radius += scale * (layer.kernel_size[0] // 2)
                scale *= layer.stride[0]
        return round_up(radius, self.down)

    def forward(
        self, x: torch.Tensor, statistics: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Content of images.

        Parameters
        ----------
        x
            (N, C, H, W); H and W are multiples of k.
        statistics
            Of the images these belong to, (S,) or (N, S). Without them images are
            normalised as the architecture says: right for whole images, and for tiles
            only if ``norm`` is ``"frozen"``.
        """
        given = self.norms if statistics is None else self.looks(statistics)
        return self.reach(x, given)

    def reach(self, x: torch.Tensor, looks: Sequence[Look]) -> torch.Tensor:
        """What comes next after these normalisations.

        That is what the following one is to normalise or, after the last, content.
        """
        steps = self._steps(x)
        y = next(steps)
        for look in looks:
            # statistics of bfloat16 are no good
            y = steps.send(look(y if y.dtype == torch.float64 else y.float()))
        return y

    def _steps(self, x: torch.Tensor) -> Steps:
        x = yield from _steps(self.layers, x)
        yield x
        return x

    def looks(self, statistics: torch.Tensor) -> list[Look]:
        """The normalisations with these statistics (S,) or (N, S)."""
        parts = zip(self.norms, self._split(statistics), strict=True)
        return [partial(_normalise, mean=m, var=v, eps=n.eps) for n, (m, v) in parts]

    def _split(
        self, statistics: torch.Tensor
    ) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Mean and variance (N, c, 1, 1) of every normalisation, from the vector."""
        if statistics.shape[-1] != self.n_statistics:
            raise ValueError(
                f"{self.n_statistics} statistics needed, not {statistics.shape[-1]}"
            )
        vectors = statistics.reshape(-1, self.n_statistics, 1, 1)
        parts = torch.split(vectors, [2 * n.num_features for n in self.norms], dim=1)
        return [(mean, var) for mean, var in (part.chunk(2, dim=1) for part in parts)]


def _steps(layers: Iterable[nn.Module], x: torch.Tensor) -> Steps:
    """Yield what is to be normalised, go on with what is sent back for it."""
    for layer in layers:
        if isinstance(layer, Residual):
            x = x + (yield from _steps(layer, x))
        elif isinstance(layer, nn.InstanceNorm2d | nn.BatchNorm2d):
            x = yield x
        else:
            x = layer(x)
    return x


def _normalise(
    x: torch.Tensor, mean: torch.Tensor, var: torch.Tensor, eps: float
) -> torch.Tensor:
    return (x - mean) * (var + eps).rsqrt()


# --- attribute --------------------------------------------------------------------
class AttributeEncoder(nn.Module):
    """Attribute (N, C k^2, n) of images (N, C, H, W), of 64 pixels at least."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.shape = (architecture.n_values, architecture.attributes)
        n_values = architecture.n_values * architecture.attributes
        first = _conv(architecture.channels, _ATTRIBUTE[0], 4, stride=2)
        maps = [first, *(Down(i, o) for i, o in pairwise(_ATTRIBUTE))]
        self.body = nn.Sequential(*maps, nn.AdaptiveAvgPool2d(1))
        self.head = nn.Sequential(_conv(_ATTRIBUTE[-1], n_values, 1), nn.Flatten())
        self.norm = nn.LayerNorm(n_values)
        self.activation = nn.LeakyReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Attribute of every image."""
        vector: torch.Tensor = self.head(self.body(x))
        attribute: torch.Tensor = self.activation(self.norm(vector))
        return attribute.reshape(-1, *self.shape)


# --- image ------------------------------------------------------------------------
class ImageGenerator(nn.Module):
    """Images from content and attribute: per pixel, a matrix times a vector.

    At k = 1 it has no parameters. Otherwise a content pixel becomes k x k pixels, and
    one convolution (3 x 3 for k = 2, 7 x 7 for k = 4; this reading of the published
    code is OUR CHOICE) evens out the seams.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        k, channels = architecture.down, architecture.channels
        self.kernel = {1: 1, 2: 3, 4: 7}[k]
        self.down = k
        seams = _conv(channels, channels, self.kernel)
        smooth = nn.Sequential(nn.PixelShuffle(k), seams, nn.LeakyReLU())
        self.tail = nn.Identity() if k == 1 else smooth

    @property
    def halo(self) -> int:
        """Pixels around a tile that its image depends on, a multiple of k."""
        return round_up(self.kernel // 2, self.down)

    def forward(self, content: torch.Tensor, attribute: torch.Tensor) -> torch.Tensor:
        """Images (N, ..., C, H, W): one for every attribute of every content.

        Parameters
        ----------
        content
            (N, n, H / k, W / k).
        attribute
            (N, ..., C k^2, n).
        """
        product = attribute.flatten(1, -2) @ content.flatten(2)
        maps = product.reshape(-1, attribute.shape[-2], *content.shape[-2:])
        images: torch.Tensor = self.tail(maps)
        return images.reshape(*attribute.shape[:-2], *images.shape[-3:])


class ContriMix(nn.Module):
    """The three networks together."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.content = ContentEncoder(architecture)
        self.attribute = AttributeEncoder(architecture)
        self.generator = ImageGenerator(architecture)

    @property
    def halo(self) -> int:
        """Pixels around a tile that its swap depends on, a multiple of k."""
        return self.content.halo + self.generator.halo

    def forward(
        self,
        x: torch.Tensor,
        attribute: torch.Tensor,
        statistics: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Images (N, C, H, W) under other attributes (N, C k^2, n)."""
        images: torch.Tensor = self.generator(self.content(x, statistics), attribute)
        return images


def round_up(size: int, step: int) -> int:
    """The next multiple of ``step``."""
    return -(-size // step) * step


def built(settings: Config, weights: Weights) -> ContriMix:
    """The networks for these settings, with these weights.

    Raises
    ------
    ValueError
        If the weights are for other settings.
    """
    try:
        channels = weights.tensors["content.layers.0.weight"].shape[1]
        with torch.random.fork_rng(devices=[]):  # nobody's chance is used up
            net = ContriMix(architecture(settings, channels))
        net.load_state_dict({k: torch.tensor(v) for k, v in weights.tensors.items()})
    except (KeyError, IndexError, RuntimeError) as error:
        raise ValueError(for_others("these settings")) from error
    return net


def for_others(what: str) -> str:
    """Say that weights are not for some settings or channels."""
    return (
        f"the weights of this `contrimix` model are not for {what}: give it those "
        "that it was fitted with"
    )


def architecture(settings: Config, channels: int) -> Architecture:
    """What is built for these settings."""
    return Architecture(
        channels, settings.attributes, settings.down, settings.statistics
    )
