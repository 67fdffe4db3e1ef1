"""What a camera adds to normal crops: noise, and focus that is not quite right.

A predictor that is trained under them finds them in what it sees around a hole, and
foresees the errors that they make, so that a new camera does not surprise it. The
amounts are OUR CHOICE.
"""

import numpy as np

from napari_disentangle.image.arrays import Floats

# Largest blur in pixels of the score, and largest noise in standard deviations of the
# signal; there is little noise more often than much.
_BLUR, _NOISE, _RARELY = 1.0, 0.5, 3


def photographed(crops: Floats, rng: np.random.Generator) -> Floats:
    """Standardised crops (N, C, h, w), every other one blurred, all with noise."""
    blurred = [_blurred(crop, rng) if i % 2 else crop for i, crop in enumerate(crops)]
    amounts = _NOISE * rng.uniform(size=(len(crops), 1, 1, 1)) ** _RARELY
    noise = rng.standard_normal(crops.shape, np.float32)
    noisy: Floats = np.stack(blurred) + amounts.astype(np.float32) * noise
    return noisy


def _blurred(crop: Floats, rng: np.random.Generator) -> Floats:
    from scipy.ndimage import gaussian_filter

    sigma = rng.uniform(0, _BLUR)
    blurred: Floats = gaussian_filter(crop, (0, sigma, sigma))
    return blurred
