"""Settings of contrimix, and numbers that its parts share."""

from dataclasses import dataclass
from typing import Annotated, Literal

from napari_disentangle.model.settings import Settings

# How often the attribute is read by default.
PASSES = 3
# Edge in pixels of the least that the attribute encoder as published can see.
SMALLEST = 64

Preset = Literal["default", "published"]
Statistics = Literal["image", "frozen"]


@dataclass(frozen=True)
class Config(Settings):
    """Settings; all but the first are of the preset ``"published"`` only.

    Attributes
    ----------
    preset
        ``"published"`` is the paper's networks, losses and mixing; ``"default"`` what
        our study found to be best.
    attributes
        Content maps, and columns of the attribute's matrix (n).
    down
        Content has a pixel for every ``down`` x ``down`` of the image (k): 1, 2 or 4.
    mixings
        Looks of others that every image of a batch is shown under (M).
    statistics
        What normalisations use: ``"image"``, exact ones of the whole image, or
        ``"frozen"``, those of training.
    """

    preset: Preset = "default"
    attributes: Annotated[int, {"min": 1, "max": 64}] = 4
    down: Annotated[int, {"choices": [1, 2, 4]}] = 1
    mixings: Annotated[int, {"min": 1, "max": 16}] = 3
    statistics: Statistics = "image"
