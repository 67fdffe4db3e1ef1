"""Measures of what a model did: small pure functions from arrays to numbers.

Images are channels first (C, Y, X); features are one row per image or tile (n, F).
"""

from napari_disentangle.audit.features import colour_features, convolution_features
from napari_disentangle.audit.fidelity import (
    Reconstruction,
    content_agreement,
    psnr,
    self_reconstruction,
    swap_fidelity,
)
from napari_disentangle.audit.leak import Leak, Recognised, probe, recognise
from napari_disentangle.audit.mixing import lisi, silhouette
from napari_disentangle.audit.palettes import Colours, palettes, picture
from napari_disentangle.audit.seams import seam_score
from napari_disentangle.audit.structure import (
    Gradients,
    gradient_correlation,
    nuclei,
    nucleus_dice,
)
from napari_disentangle.audit.turned import Turned, turned

__all__ = [
    "Colours",
    "Gradients",
    "Leak",
    "Recognised",
    "Reconstruction",
    "Turned",
    "colour_features",
    "content_agreement",
    "convolution_features",
    "gradient_correlation",
    "lisi",
    "nuclei",
    "nucleus_dice",
    "palettes",
    "picture",
    "probe",
    "psnr",
    "recognise",
    "seam_score",
    "self_reconstruction",
    "silhouette",
    "swap_fidelity",
    "turned",
]
