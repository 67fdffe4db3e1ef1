"""Foreground: what tells objects from background in one image."""

from dataclasses import dataclass

import numpy as np

from napari_disentangle.image.arrays import Array, Doubles, Mask, chosen, finite, varies
from napari_disentangle.image.field import Modality

# A slide is empty where it absorbs no more than this beyond its white level: 0.15 in
# natural units (Macenko et al. 2009, section 2.1), here in units of log10.
TISSUE = 0.15 / np.log(10)
# Foreground is what absorbs more than this share of the darkest hundredth of the
# tissue. A share, unlike a fixed absorbance, finds the same pixels when an image is
# stained more strongly or lit otherwise; 0.1 is about TISSUE on a common H&E slide.
SHARE = 0.1
# Otsu's threshold splits noise as well. Where it finds objects, bright pixels lie side
# by side; in noise they lie anywhere. Measured as the correlation of the mask with
# itself one pixel on: above 0.3 in real channels, within 0.06 of 0 in 32 x 32 pixels of
# noise and closer to it in more.
COHERENT = 0.1


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
    white: Doubles
    threshold: Doubles

    def mask(self, signal: Array) -> Mask:
        """Foreground among pixels (C, ...), in absorbance or intensity."""
        found = finite(signal)
        if self.modality == "brightfield":
            most = self.threshold[0] + self.white.mean()
            found &= signal.sum(axis=0) > len(signal) * most
            return found
        bright = np.zeros_like(found)
        thresholds = np.broadcast_to(self.threshold, len(signal))
        for channel, threshold in zip(signal, thresholds, strict=True):
            bright |= channel > threshold
        return found & bright


def find_foreground(signal: Array, modality: Modality) -> Foreground:
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
    known = chosen(signal, finite(signal))
    channels = len(signal)
    if known.size == 0 or not varies(known):
        return Foreground(modality, np.zeros(channels), np.array([np.inf]))
    if modality == "brightfield":
        white = np.percentile(known, 1, axis=1)
        return Foreground(modality, white, _tissue(known.mean(axis=0) - white.mean()))
    thresholds = np.array([_otsu(channel) for channel in known])
    return Foreground(modality, np.zeros(channels), thresholds)


def _tissue(beyond: Array) -> Doubles:
    tissue = beyond[beyond > TISSUE]
    return np.array([SHARE * np.percentile(tissue, 99) if tissue.size else np.inf])


def _otsu(values: Array) -> float:
    from skimage.filters import threshold_otsu

    if not np.ptp(values) > 0:
        return np.inf
    threshold = float(threshold_otsu(values))
    return threshold if coherence(values > threshold) > COHERENT else np.inf


def coherence(mask: Mask) -> float:
    """Correlation of a mask (N,) with itself one pixel on; 0 for noise."""
    share = mask.mean()
    both = np.logical_and(mask[1:], mask[:-1]).mean()
    return float((both - share**2) / (share - share**2)) if 0 < share < 1 else 0.0
