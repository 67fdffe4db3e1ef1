"""What a ContriMix is built from: as published, and what a processor can afford."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Factor = Literal[1, 2, 4]
Norm = Literal["image", "frozen", "none"]
Stem = Literal["published", "unshuffle"]
AttributeNet = Literal["published", "small"]
Padding = Literal["reflect", "zero"]


@dataclass(frozen=True)
class Architecture:
    """What a ContriMix is built from; the defaults are those of the paper.

    Attributes
    ----------
    channels
        Channels of the image (C).
    attributes
        Content maps, and columns of the attribute (n).
    down
        Content has a pixel for every ``down`` x ``down`` of the image (k).
    norm
        ``"image"`` normalises every image by itself, ``"frozen"`` by what was usual in
        training, ``"none"`` not at all. The last two are OUR CHOICE.
    layer_norm
        Whether the attribute is brought to zero mean and unit variance.
    stem
        ``"unshuffle"`` works at half the resolution and gives content at the full one,
        OUR CHOICE.
    attribute_encoder
        ``"small"`` needs a tenth of the time, OUR CHOICE.
    padding
        What convolutions do at borders, see the module.

    Raises
    ------
    ValueError
        If there is no such network.
    """

    channels: int = 3
    attributes: int = 4
    down: Factor = 1
    norm: Norm = "image"
    layer_norm: bool = True
    stem: Stem = "published"
    attribute_encoder: AttributeNet = "published"
    padding: Padding = "reflect"

    def __post_init__(self) -> None:
        for name, known in _KNOWN.items():
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {known}: {self}")
        if min(self.channels, self.attributes) < 1:
            raise ValueError(f"channels and attributes must be at least 1: {self}")
        if self.stem == "unshuffle" and self.down != 1:
            raise ValueError(f"stem 'unshuffle' gives content at down=1 only: {self}")

    @property
    def step(self) -> int:
        """Sizes, and where tiles begin, must be multiples of this."""
        return 2 if self.stem == "unshuffle" else self.down

    @property
    def n_values(self) -> int:
        """Rows of an attribute: what a content pixel becomes."""
        return self.channels * self.down**2


_KNOWN = {
    "down": get_args(Factor),
    "norm": get_args(Norm),
    "stem": get_args(Stem),
    "attribute_encoder": get_args(AttributeNet),
    "padding": get_args(Padding),
}

PUBLISHED = Architecture()
# OUR CHOICE: what a fit on two cores within minutes can afford.
CHEAP = Architecture(
    layer_norm=False, stem="unshuffle", attribute_encoder="small", padding="zero"
)
