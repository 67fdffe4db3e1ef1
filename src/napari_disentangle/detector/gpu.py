"""The look of detectors as tensors: for a GPU.

What :class:`~napari_disentangle.detector.view.Normal` does with arrays on a CPU,
where filters from a library are quicker than these.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from napari_disentangle.detector import context
from napari_disentangle.detector.knn import distances
from napari_disentangle.detector.masked import attenuation, prediction
from napari_disentangle.detector.view import (
    SIGN,
    SIGN_REACH,
    SMOOTH,
    WHOLE,
    Normal,
    View,
)
from napari_disentangle.image.arrays import Array, Doubles
from napari_disentangle.image.filters import reach, sigmas
from napari_disentangle.image.tiling import Part

if TYPE_CHECKING:
    import torch

Learned = Mapping[str, Doubles]

# Detectors by filters alone, and those beside whose filters there is a predictor.
_PLAIN = ("mahalanobis", "knn")
_NETWORKS = {"context": prediction.network, "fader": attenuation.attenuated}
# As many distances are computed at once, of pixels to the vectors of a bank.
_DISTANCES = 2**26


def sees(view: View, device: str) -> bool:
    """Whether the look of a detector can be computed there.

    Not on an Apple GPU, which has no numbers of double precision.
    """
    return view.name in (*_PLAIN, *_NETWORKS) and device.startswith("cuda")


def scoring(
    normal: Normal, signal: torch.Tensor, kept: Part
) -> Generator[None, None, torch.Tensor]:
    """Raw score, whether there is more or less than expected, and what was expected.

    Parameters
    ----------
    normal
        Of a detector that :func:`sees`.
    signal
        (C, h, w), which begins at a step.
    kept
        Part of it that is scored.

    Yields
    ------
    None
        Wherever it can be stopped.

    Returns
    -------
    torch.Tensor
        (2, h', w') float32 on the device of ``signal``, (2 + C, h', w') of a detector
        that expects something, as :meth:`Normal.scoring` finds it but for rounding.
    """
    import torch

    view = normal.view
    small = _small(signal.float().double(), view.shrink)
    around = view.around(kept, tuple(small.shape))
    if view.name in _NETWORKS:
        raw, expected = yield from _beside_expected(normal, small, around)
    else:
        features = _filtered(_finite(small), view.config.scale)
        raw, expected = _scores(features[:, *around], normal.learned), small[:0]
    typical = torch.tensor(normal.typical, device=small.device)[:, None, None]
    usual = expected[:, *around] if len(expected) else typical
    more = _finite(small[:, *around] - usual).sum(0)
    maps = [_smooth(raw, SMOOTH, reach(SMOOTH)), _smooth(more, SIGN, SIGN_REACH)]
    found = torch.cat([torch.stack(maps), expected[:, *around]])
    return _large(found, around, kept, view.shrink)


def _beside_expected(
    normal: Normal, small: torch.Tensor, around: Part
) -> Generator[None, None, tuple[torch.Tensor, torch.Tensor]]:
    """Scores of ``context`` (h', w'), and what was expected (C, h, w)."""
    import torch

    expected, residual = yield from _predicting(normal.view, small.float())
    scale = context.SCALE
    left = residual.mean(0).double().clamp(-context.MOST, context.MOST)
    size = left.abs().mean(0)
    sizes = torch.stack([_smooth(size, sigma, reach(sigma)) for sigma in sigmas(scale)])
    both = _filtered(torch.cat([_finite(small), left]), scale)[:, *around]
    signal, rest = both.chunk(2)
    parts = signal, torch.cat([rest, sizes[:, *around]])
    pairs = zip(context.PARTS, parts, strict=True)
    scores = [_distance(part, context.own(normal.learned, n)) for n, part in pairs]
    return torch.stack(scores).mean(0), expected.mean(0).double()


def _predicting(
    view: View, small: torch.Tensor
) -> Generator[None, None, tuple[torch.Tensor, torch.Tensor]]:
    """Expected signal, and residual in units of the error that was foreseen."""
    import torch

    learned = view.learned
    net = _NETWORKS[view.name](learned).to(small.device)
    # the other order is for a CPU, or for numbers of less precision
    net.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    center, scale = (
        torch.tensor(learned[name], device=small.device) for name in ("center", "scale")
    )
    x = ((small - center) / scale)[None]
    unknown = ~x.isfinite().all(1, keepdim=True)
    steps = prediction.rounds(net, _finite(x), unknown, view.config.policy)
    found, residual = yield from steps
    return found * scale + center, residual


def _distance(features: torch.Tensor, learned: Learned) -> torch.Tensor:
    """Distance (h, w) from normal, in units of that of normal ones."""
    center, width = (float(learned[name][0]) for name in ("center", "width"))
    return (_scores(features, learned) - center) / width


def _finite(values: torch.Tensor) -> torch.Tensor:
    return values.nan_to_num(nan=0, posinf=0, neginf=0)


def _small(signal: torch.Tensor, k: int) -> torch.Tensor:
    """Means over squares (C, h/k, w/k), mirrored to whole ones."""
    unit = k * WHOLE
    h, w = signal.shape[1:]
    filled = _mirrored(_mirrored(signal, 1, 0, -h % unit), 2, 0, -w % unit)
    rows, columns = filled.shape[1] // k, filled.shape[2] // k
    return filled.reshape(-1, rows, k, columns, k).mean((2, 4))


def _large(found: torch.Tensor, around: Part, kept: Part, k: int) -> torch.Tensor:
    """Maps of a part of the image (N, h', w') from small ones around it."""
    from torch.nn.functional import interpolate

    if k > 1:
        found = interpolate(found[None], scale_factor=float(k), mode="bilinear")[0]
    y, x = (
        slice(part.start - k * seen.start, part.stop - k * seen.start)
        for part, seen in zip(kept, around, strict=True)
    )
    return found[:, y, x].float()


def _filtered(signal: torch.Tensor, scale: float) -> torch.Tensor:
    """Nine features per channel (9C, h, w) of a signal (C, h, w)."""
    import torch

    every = [one for sigma in sigmas(scale) for one in _three(signal, sigma)]
    return torch.stack(every, 1).flatten(0, 1)


def _three(signal: torch.Tensor, sigma: float) -> Iterator[torch.Tensor]:
    """Smoothed value, gradient magnitude and Laplacian."""
    r = reach(sigma)
    level, slope, bend = (_along(signal, sigma, r, -2, order) for order in range(3))
    yield _along(level, sigma, r, -1, 0)
    yield _along(slope, sigma, r, -1, 0).hypot(_along(level, sigma, r, -1, 1)) * sigma
    yield (_along(bend, sigma, r, -1, 0) + _along(level, sigma, r, -1, 2)) * sigma**2


def _scores(features: torch.Tensor, learned: Learned) -> torch.Tensor:
    """Distance from normal (h, w) of features (F, h, w)."""
    import torch

    known = {n: torch.tensor(v, device=features.device) for n, v in learned.items()}
    flat = features.flatten(1)
    white = known["whiten"] @ (flat - known["mean"][:, None])
    if "bank" not in known:
        return (white**2).mean(0).sqrt().reshape(features.shape[1:])
    x, bank = white.T.float(), known["bank"].T.float()
    n = max(1, _DISTANCES // len(bank))
    far = [distances(x[start : start + n], bank) for start in range(0, len(x), n)]
    return torch.cat(far).double().reshape(features.shape[1:])


def _smooth(values: torch.Tensor, sigma: float, radius: int) -> torch.Tensor:
    """A Gaussian of finite reach."""
    return _along(_along(values, sigma, radius, -2, 0), sigma, radius, -1, 0)


def _along(
    values: torch.Tensor, sigma: float, radius: int, axis: int, order: int
) -> torch.Tensor:
    """A Gaussian along one axis of (..., h, w), or a derivative of it."""
    n = values.shape[axis]
    wide = _mirrored(values, axis, radius, radius)
    summed = values.new_zeros(values.shape)
    for start, weight in enumerate(_weights(sigma, radius, order).tolist()):
        summed.add_(wide.narrow(axis, start, n), alpha=weight)
    return summed


def _weights(sigma: float, radius: int, order: int) -> Array:
    """What the library weighs values by, from the first to the last."""
    from scipy.ndimage import gaussian_filter1d

    peak = np.eye(1, 4 * radius + 1, 2 * radius)[0]
    answer = gaussian_filter1d(peak, sigma, order=order, radius=radius)
    weights: Array = answer[radius : 3 * radius + 1][::-1]
    return weights


def _mirrored(values: torch.Tensor, axis: int, before: int, after: int) -> torch.Tensor:
    """Values with more at both ends of an axis, mirrored."""
    import torch

    places = np.pad(np.arange(values.shape[axis]), (before, after), "symmetric")
    return values.index_select(axis, torch.as_tensor(places, device=values.device))
