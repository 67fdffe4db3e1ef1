"""Kind of image: what pixels suggest where nobody said it."""

from dataclasses import replace

import numpy as np

from napari_disentangle.image.arrays import Array
from napari_disentangle.image.channels import RGB
from napari_disentangle.image.field import Field

# Half the edge of what is looked at.
_LOOKED_AT = 256
# Percentiles between which light and dark objects differ, and how: in brightfield the
# background is bright, and what is brighter lies nearer to it than what is darker.
_ENDS, _NEARER, _BRIGHT = (1, 50, 99), 0.8, 0.6
# Where the median lies between the ends if objects are as often darker as brighter than
# the background, at most how far from it (benchmarks/kinds.py).
_MIDDLE, _ABOUT = 0.5, 0.1
# Colours whose median and lowest percentile are below these shares of the highest are
# of fluorescence: in stained tissue the median is above 0.34 (benchmarks/kinds.py).
_DARK, _BLACK = 0.3, 0.1
# No light microscope has smaller pixels, in micrometres.
_ELECTRONS_UM = 0.02
_UM = {"nanometer": 1e-3, "micrometer": 1.0, "micron": 1.0, "\u00b5m": 1.0}


def proposed(field: Field) -> Field:
    """An image of which nobody said the kind, as the kind that it looks like.

    What was taken for what, or that it is of no kind, is among its remarks.
    """
    plane = _some(field)
    named = tuple(name.lower() for name in field.channel_names)
    colours = named == ("red", "green", "blue")
    if field.rgb:
        return _dark_colours(field, plane)
    one_look = colours or field.n_channels == 1
    if one_look and all(looks_brightfield(channel) for channel in plane):
        return _bright(field, colours)
    grey = [n for n, c in zip(field.channel_names, plane, strict=True) if _grey(c)]
    if not grey:
        return field
    which = f"channel {', '.join(grey)}: " if field.n_channels > 1 else ""
    return _told(
        field,
        f"{which}objects are as dark as they are bright on a grey background, as with "
        f"phase contrast or electrons: {_NEITHER}",
    )


_NEITHER = "that is neither brightfield nor fluorescence, and a look means little there"


def looks_brightfield(pixels: Array) -> bool:
    """Whether objects are dark on a bright background.

    Parameters
    ----------
    pixels
        Of one channel, any shape. Transmitted light and electron microscopes give such
        images; fluorescence does not, unless cells fill it.
    """
    low, middle, high = _ends(pixels)
    return high - middle < _NEARER * (middle - low) and middle > _BRIGHT * high


def _grey(pixels: Array) -> bool:
    low, middle, high = _ends(pixels)
    return high > low and abs((middle - low) / (high - low) - _MIDDLE) <= _ABOUT


def _ends(pixels: Array) -> tuple[float, float, float]:
    finite = pixels[np.isfinite(pixels)]
    if not finite.size:
        return 0.0, 0.0, 0.0
    low, middle, high = (float(v) for v in np.percentile(finite, _ENDS))
    return low, middle, high


def _some(field: Field) -> Array:
    """The middle of the middle plane (C, h, w), transparency excluded."""
    leads = list(field.leads())
    y, x = (
        slice(max(0, n // 2 - _LOOKED_AT), n // 2 + _LOOKED_AT)
        for n in field.plane_shape
    )
    return field.plane(leads[len(leads) // 2], y, x)[: field.n_channels]


def _bright(field: Field, colours: bool) -> Field:
    """As brightfield, unless its pixels are too small for light."""
    at = field.grid_axes.index("X")
    size = abs(field.scale[at]) * _UM.get(field.units[at], np.inf)
    if size < _ELECTRONS_UM:
        return _told(field, f"pixels of {1000 * size:.3g} nm, electrons: {_NEITHER}")
    told = _told(
        field,
        "objects are dark on a bright background: taken for brightfield; say so "
        "(--modality) if it is another kind",
    )
    names = RGB if colours else field.channel_names
    return replace(told, modality="brightfield", channel_names=names)


def _dark_colours(field: Field, plane: Array) -> Field:
    """As fluorescence, if the background of all colours is dark."""
    ends = [_ends(channel) for channel in plane[:3]]
    dark = all(m <= _DARK * high and low <= _BLACK * high for low, m, high in ends)
    if not dark or not any(high for _, _, high in ends):
        return field
    told = _told(
        field,
        "colours are bright on a dark background: taken for fluorescence; say so "
        "(--modality) if it is another kind",
    )
    return replace(told, modality="fluorescence")


def _told(field: Field, words: str) -> Field:
    return replace(field, remarks=(*field.remarks, words))
