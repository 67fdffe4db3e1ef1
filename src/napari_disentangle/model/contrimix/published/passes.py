"""Images and their tiles, for ContriMix: exact statistics, and borders.

The published normalisation takes its statistics from whatever it is given. Taken here
from all tiles of an image, they are those of the whole image (OUR CHOICE).
"""

from collections.abc import Callable, Generator, Iterable

import torch
from torch import nn

from napari_disentangle.model.contrimix.published.net import ContentEncoder, round_up

Inner = tuple[slice, slice]
Tiles = Callable[[], Iterable[tuple[torch.Tensor, Inner]]]


@torch.no_grad()
def statistics_passes(
    encoder: ContentEncoder, tiles_of_image: Tiles
) -> Generator[None, None, torch.Tensor]:
    """Exact statistics of an image, from its tiles.

    What one layer is given depends on the statistics of all before it, so that L
    normalisations take L passes over the image, each a little deeper than the last.

    Parameters
    ----------
    encoder
        Whose normalisations need them.
    tiles_of_image
        Called L times. Gives tiles (N, C, h, w) with their halo, and where the inner
        region lies in them: slices in pixels, multiples of k. Inner regions
        cover the image once. Pixels must be finite: one NaN makes everything NaN.

    Yields
    ------
    None
        After every tile; closing cancels.

    Returns
    -------
    torch.Tensor
        Statistics (S,), to be kept with the image.
    """
    like = next(encoder.parameters())
    found = like.new_empty(0)
    for level, norm in enumerate(encoder.norms):
        # the part of the vector that is not known yet is not looked at
        filled = nn.functional.pad(found, (0, encoder.n_statistics - len(found)))
        looks = encoder.looks(filled)[:level]
        sums = torch.zeros(2, norm.num_features, dtype=torch.float64)
        count = 0
        for tile, inner in tiles_of_image():
            maps = _inside(encoder.reach(tile.to(like), looks), tile, inner)
            sums += torch.stack([maps.sum((0, 2, 3)), maps.square().sum((0, 2, 3))])
            count += maps[:, 0].numel()
            yield
        found = torch.cat([found, _mean_and_variance(sums / count).to(like)])
    return found


def _inside(maps: torch.Tensor, tile: torch.Tensor, inner: Inner) -> torch.Tensor:
    """The inner region of maps that have a pixel for every so many of the tile."""
    scale = tile.shape[-1] // maps.shape[-1]
    y, x = (slice(s.start // scale, s.stop // scale) for s in inner)
    return maps[..., y, x].cpu().double()


def _mean_and_variance(means: torch.Tensor) -> torch.Tensor:
    mean, square = means
    return torch.cat([mean, (square - mean.square()).clamp(min=0)])


def whole_steps(image: torch.Tensor, step: int) -> torch.Tensor:
    """Mirror an image (..., H, W) at its far ends, as often as it takes.

    Both sizes become multiples of k, and no less than two of it.
    """
    sizes = [max(2 * step, round_up(size, step)) for size in image.shape[-2:]]
    y, x = (
        _mirrored(size, full).to(image.device)
        for size, full in zip(image.shape[-2:], sizes, strict=True)
    )
    return image[..., y, :][..., x]


def _mirrored(size: int, stop: int) -> torch.Tensor:
    """Indices of positions up to ``stop``; the border is not doubled."""
    last = max(size - 1, 1)
    away = (torch.arange(stop) % (2 * last) - last).abs()
    return (last - away).clamp(max=size - 1)
