"""Signal spaces: what models compute in, and the way back to the image's own type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from napari_disentangle.field import Modality

Space = Literal["absorbance", "intensity", "lab"]

# Added to the transmittance, so that black has a finite absorbance (2.4) and the way
# back is exact for every integer (as in Macenko et al. 2009: (I + 1) / I0).
DARK = 1 / 255
# A slide is empty where it absorbs no more than this beyond its white level: 0.15 in
# natural units (Macenko et al. 2009, section 2.1), here in units of log10.
TISSUE = 0.15 / np.log(10)
# Foreground is what absorbs more than this share of the darkest hundredth of the
# tissue. A share, unlike a fixed absorbance, finds the same pixels when an image is
# stained more strongly or lit otherwise; 0.1 is about TISSUE on a common H&E slide.
SHARE = 0.1

# sRGB primaries to CIE XYZ, D65 white (IEC 61966-2-1), and the white itself.
_XYZ = np.array(
    [
        [0.412453, 0.357580, 0.180423],
        [0.212671, 0.715160, 0.072169],
        [0.019334, 0.119193, 0.950227],
    ]
)
_WHITE = np.array([0.95047, 1.0, 1.08883])
_LAB_LINEAR = 6 / 29

# Otsu's threshold splits noise as well. Where it finds objects, bright pixels lie side
# by side; in noise they lie anywhere. Measured as the correlation of the mask with
# itself one pixel on: above 0.3 in real channels, within 0.06 of 0 in 32 x 32 pixels of
# noise and closer to it in more.
_COHERENT = 0.1


def to_signal(x: torch.Tensor, space: Space, full_scale: float) -> torch.Tensor:
    """Turn pixel values into a signal.

    Parameters
    ----------
    x
        Floating point pixel values, channels first (C, ...).
    space
        ``"absorbance"`` is -log10 of transmittance, ``"lab"`` is CIELAB (D65) of an
        sRGB image, ``"intensity"`` leaves the values as they are.
    full_scale
        Value of full transmittance.
    """
    if space == "intensity":
        return x
    t = x / full_scale
    if space == "lab":
        return _rgb_to_lab(t)
    return -((t.clamp(min=0) + DARK) / (1 + DARK)).log10()


def from_signal(signal: torch.Tensor, space: Space, full_scale: float) -> torch.Tensor:
    """Undo :func:`to_signal`; values may leave the range of the image's type."""
    if space == "intensity":
        return signal
    if space == "lab":
        return _lab_to_rgb(signal) * full_scale
    return ((1 + DARK) * 10 ** (-signal) - DARK) * full_scale


def to_dtype(x: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Bring computed values to the image's type: integers are rounded and clipped."""
    if dtype.kind == "f":
        return x.astype(dtype, copy=False)
    limits = np.iinfo(dtype)
    known = np.nan_to_num(np.rint(x), nan=0.0)
    rounded: NDArray[Any] = np.clip(known, limits.min, limits.max).astype(dtype)
    return rounded


def float_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Type to compute in: float32 holds 8 and 16 bits, wider types need float64."""
    wide = dtype.itemsize > (2 if dtype.kind in "ui" else 4)
    return np.dtype(np.float64 if wide else np.float32)


# --- foreground -------------------------------------------------------------------
@dataclass(frozen=True)
class Foreground:
    """What tells foreground from background in one image.

    Attributes
    ----------
    modality
        Brightfield masks are taken in absorbance, fluorescence masks in intensity.
    white
        Signal of the background, per channel (C,); zero where it is unknown.
    threshold
        What makes a pixel foreground: its mean absorbance beyond the white level
        (1,), or the intensity of any channel (C,). Infinite where there is none.
    """

    modality: Modality
    white: NDArray[np.float64]
    threshold: NDArray[np.float64]

    def mask(self, signal: NDArray[Any]) -> NDArray[np.bool_]:
        """Foreground among pixels (C, ...), in absorbance or intensity."""
        shape = (-1,) + (1,) * (signal.ndim - 1)
        beyond = signal - self.white.reshape(shape)
        if self.modality == "brightfield":
            beyond = beyond.mean(axis=0, keepdims=True)
        finite = np.isfinite(signal).all(axis=0)
        found = (beyond > self.threshold.reshape(shape)).any(axis=0)
        result: NDArray[np.bool_] = np.logical_and(found, finite)
        return result


def find_foreground(signal: NDArray[Any], modality: Modality) -> Foreground:
    """Learn the foreground of an image from a sample of its pixels.

    Parameters
    ----------
    signal
        Absorbance (brightfield) or intensity (fluorescence), (C, N), row by row, so
        that neighbours in the image are neighbours here.
    modality
        Brightfield: the white level is the brightest percentile, and foreground
        absorbs beyond it a tenth of what the darkest tissue does.
        Fluorescence: Otsu's threshold, per channel, if the pixels above it lie
        together; a channel of noise has no foreground.
    """
    known = signal[:, np.isfinite(signal).all(axis=0)]
    channels = len(signal)
    if known.size == 0 or not (known != known[:, :1]).any():
        return Foreground(modality, np.zeros(channels), np.array([np.inf]))
    if modality == "brightfield":
        white = np.percentile(known, 1, axis=1)
        return Foreground(modality, white, _tissue(known.mean(axis=0) - white.mean()))
    thresholds = np.array([_otsu(channel) for channel in known])
    return Foreground(modality, np.zeros(channels), thresholds)


def _tissue(beyond: NDArray[Any]) -> NDArray[np.float64]:
    tissue = beyond[beyond > TISSUE]
    return np.array([SHARE * np.percentile(tissue, 99) if tissue.size else np.inf])


def _otsu(values: NDArray[Any]) -> float:
    from skimage.filters import threshold_otsu

    if not np.ptp(values) > 0:
        return np.inf
    threshold = float(threshold_otsu(values))
    return threshold if _coherence(values > threshold) > _COHERENT else np.inf


def _coherence(mask: NDArray[np.bool_]) -> float:
    """Correlation of a mask (N,) with itself one pixel on; 0 for noise."""
    share = mask.mean()
    both = np.logical_and(mask[1:], mask[:-1]).mean()
    return float((both - share**2) / (share - share**2)) if 0 < share < 1 else 0.0


# --- CIELAB -------------------------------------------------------------------------
def _matrix(values: NDArray[np.float64], like: torch.Tensor) -> torch.Tensor:
    import torch

    return torch.as_tensor(values, dtype=like.dtype, device=like.device)


def _apply(matrix: NDArray[np.float64], x: torch.Tensor) -> torch.Tensor:
    return (_matrix(matrix, x) @ x.reshape(3, -1)).reshape(x.shape)


def _rgb_to_lab(t: torch.Tensor) -> torch.Tensor:
    import torch

    linear = torch.where(t > 0.04045, ((t + 0.055) / 1.055) ** 2.4, t / 12.92)
    xyz = _apply(_XYZ / _WHITE[:, None], linear)
    d = _LAB_LINEAR
    root = xyz.clamp(min=0) ** (1 / 3)
    f = torch.where(xyz > d**3, root, xyz / (3 * d**2) + 4 / 29)
    return torch.stack([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def _lab_to_rgb(lab: torch.Tensor) -> torch.Tensor:
    import torch

    fy = (lab[0] + 16) / 116
    f = torch.stack([fy + lab[1] / 500, fy, fy - lab[2] / 200])
    d = _LAB_LINEAR
    xyz = torch.where(f > d, f**3, 3 * d**2 * (f - 4 / 29))
    linear = _apply(np.linalg.inv(_XYZ / _WHITE[:, None]), xyz)
    curve = 1.055 * linear.clamp(min=0) ** (1 / 2.4) - 0.055
    return torch.where(linear > 0.0031308, curve, 12.92 * linear)
