"""Kind of image: what pixels suggest where nobody said it."""

import numpy as np

from napari_disentangle.image.arrays import Array

# Percentiles between which light and dark objects differ, and how: in brightfield the
# background is bright, and what is brighter lies nearer to it than what is darker.
_ENDS, _NEARER, _BRIGHT = (1, 50, 99), 0.8, 0.6


def looks_brightfield(pixels: Array) -> bool:
    """Whether objects are dark on a bright background.

    Parameters
    ----------
    pixels
        Of one channel, any shape. Transmitted light and electron microscopes give such
        images; fluorescence does not, unless cells fill it.
    """
    finite = pixels[np.isfinite(pixels)]
    if not finite.size:
        return False
    low, middle, high = (float(v) for v in np.percentile(finite, _ENDS))
    darker, brighter = middle - low, high - middle
    return brighter < _NEARER * darker and middle > _BRIGHT * high
