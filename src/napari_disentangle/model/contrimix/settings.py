"""Settings of contrimix, and numbers that its parts share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, get_args

# How often the attribute is read by default.
PASSES = 3
# Edge in pixels of the least that the attribute encoder as published can see.
SMALLEST = 64

Preset = Literal["default", "published"]
Statistics = Literal["image", "frozen"]
_DOWN = (1, 2, 4)
_MOST = {"attributes": 64, "mixings": 16}


@dataclass(frozen=True)
class Config:
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

    Raises
    ------
    ValueError
        If one of them is out of range.
    """

    preset: Preset = "default"
    attributes: Annotated[int, {"min": 1, "max": _MOST["attributes"]}] = 4
    down: Annotated[int, {"choices": list(_DOWN)}] = 1
    mixings: Annotated[int, {"min": 1, "max": _MOST["mixings"]}] = 3
    statistics: Statistics = "image"

    def __post_init__(self) -> None:
        known = {"preset": Preset, "statistics": Statistics}
        for name, kind in known.items():
            if getattr(self, name) not in get_args(kind):
                raise ValueError(
                    f"{name} {getattr(self, name)!r} must be one of {get_args(kind)}"
                )
        if self.down not in _DOWN:
            raise ValueError(f"down {self.down} must be one of {_DOWN}")
        for name, most in _MOST.items():
            if getattr(self, name) not in range(1, most + 1):
                raise ValueError(
                    f"{name} {getattr(self, name)!r} must be one of 1 to {most}"
                )
