"""reinhard: mean and standard deviation in CIELAB, on foreground.

Reinhard, Adhikhmin, Gooch, Shirley 2001, "Color transfer between images", IEEE CG&A
21(5), section 2; in CIELAB instead of l-alpha-beta, as stain tools use it.
"""

from dataclasses import replace

from napari_disentangle.model.base import per_channel
from napari_disentangle.model.closed import meanstd

_LAB = ("L*", "a*", "b*")

METHOD = replace(
    meanstd.METHOD,
    description="Matches mean and spread in CIELAB colours, measured on foreground.",
    names=lambda channels: per_channel("mean", "log std")(_LAB),
    space=lambda modality: "lab",
    modalities=("brightfield",),
)
