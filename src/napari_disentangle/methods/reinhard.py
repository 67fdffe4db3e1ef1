"""reinhard: mean and standard deviation in CIELAB, on foreground.

Reinhard, Adhikhmin, Gooch, Shirley 2001, "Color transfer between images", IEEE CG&A
21(5), section 2; in CIELAB instead of l-alpha-beta, as stain tools use it.
"""

from __future__ import annotations

from dataclasses import replace

from napari_disentangle.methods import meanstd
from napari_disentangle.methods.base import per_channel

_LAB = ("L*", "a*", "b*")

METHOD = replace(
    meanstd.METHOD,
    description="Matches mean and spread in CIELAB colours, measured on foreground.",
    names=lambda channels: per_channel("mean", "log std")(_LAB),
    space=lambda modality: "lab",
    modalities=("brightfield",),
)
