"""Settings of contrimix, and numbers that its parts share."""

from dataclasses import dataclass
from typing import Annotated, Literal

from napari_disentangle.model.settings import Settings

# Edge in pixels of the least that the attribute encoder as published can see.
SMALLEST = 64

Preset = Literal["published"]
Statistics = Literal["image", "frozen"]


@dataclass(frozen=True)
class Config(Settings):
    """Settings of the model as its authors have it.

    Attributes
    ----------
    preset
        The paper's networks, losses and mixing are the only one.
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

    preset: Preset = "published"
    attributes: Annotated[int, {"min": 1, "max": 64}] = 4
    down: Annotated[int, {"choices": [1, 2, 4]}] = 1
    mixings: Annotated[int, {"min": 1, "max": 16}] = 3
    statistics: Statistics = "image"

    def __post_init__(self) -> None:
        if str(self.preset) == "default":
            raise ValueError(
                "the preset 'default' of contrimix is no more: model 'affine' has "
                "taken its place"
            )
        super().__post_init__()
