"""Signal spaces: what models compute in, and the way back to the image's own type."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_disentangle.image.arrays import Array, Doubles
from napari_disentangle.image.field import Modality

if TYPE_CHECKING:
    import torch

Space = Literal["absorbance", "intensity", "lab"]

# Added to the transmittance, so that black has a finite absorbance (2.4) and the way
# back is exact for every integer (as in Macenko et al. 2009: (I + 1) / I0).
DARK = 1 / 255

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


def plane_to_signal(
    plane: Array,
    space: Space,
    full_scale: float,
    dtype: np.dtype[Any] | None = None,
    device: str = "cpu",
) -> torch.Tensor:
    """Turn pixels (C, ...) of any type into a signal.

    Parameters
    ----------
    plane
        Pixel values, channels first.
    space, full_scale
        As in :func:`to_signal`.
    dtype
        Floating point type to compute in; that of :func:`float_type` if ``None``.
    device
        Where to compute.
    """
    import torch

    chosen = float_type(plane.dtype) if dtype is None else dtype
    if space == "absorbance" and plane.dtype.str[1:] in ("u1", "u2"):
        table = _absorbance(plane.dtype.itemsize, full_scale, chosen)
        return torch.from_numpy(table[plane]).to(device)
    values = torch.from_numpy(plane.astype(chosen)).to(device)
    return to_signal(values, space, full_scale)


@lru_cache(maxsize=8)
def _absorbance(itemsize: int, full_scale: float, dtype: np.dtype[Any]) -> Array:
    """Absorbance of every value of an unsigned type."""
    import torch

    values = np.arange(256**itemsize).astype(dtype)
    return to_signal(torch.from_numpy(values), "absorbance", full_scale).numpy()


def from_signal(signal: torch.Tensor, space: Space, full_scale: float) -> torch.Tensor:
    """Undo :func:`to_signal`; values may leave the range of the image's type."""
    if space == "intensity":
        return signal
    if space == "lab":
        return _lab_to_rgb(signal) * full_scale
    return ((1 + DARK) * 10 ** (-signal) - DARK) * full_scale


def to_dtype(x: Array, dtype: np.dtype[Any]) -> Array:
    """Bring computed values to the image's type: integers are rounded and clipped."""
    if dtype.kind == "f":
        return x.astype(dtype, copy=False)
    out = np.empty(x.shape, dtype)
    use_up(x.copy(), out)
    return out


def use_up(x: Array, out: Array) -> None:
    """Like :func:`to_dtype` into an array, without a copy: ``x`` is changed."""
    if out.dtype.kind != "f":
        limits = np.iinfo(out.dtype)
        np.rint(x, out=x)
        if np.isnan(np.min(x, initial=0)):
            x[np.isnan(x)] = 0
        np.clip(x, limits.min, limits.max, out=x)
    np.copyto(out, x, casting="unsafe")


def float_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Type to compute in: float32 holds 8 and 16 bits, wider types need float64."""
    wide = dtype.itemsize > (2 if dtype.kind in "ui" else 4)
    return np.dtype(np.float64 if wide else np.float32)


# --- CIELAB -------------------------------------------------------------------------
def _matrix(values: Doubles, like: torch.Tensor) -> torch.Tensor:
    import torch

    return torch.as_tensor(values, dtype=like.dtype, device=like.device)


def _apply(matrix: Doubles, x: torch.Tensor) -> torch.Tensor:
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


def natural_space(modality: Modality) -> Space:
    """Absorbance for brightfield, intensity for fluorescence."""
    return "absorbance" if modality == "brightfield" else "intensity"
