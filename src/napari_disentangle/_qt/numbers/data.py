"""What is said of a run in numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_disentangle.image.arrays import Array, Doubles

# Shares of pixels whose value is drawn.
SHARES = np.linspace(0.005, 0.995, 67)
REFERENCE = "reference"


@dataclass(frozen=True, eq=False)
class Curve:
    """How bright the pixels of a batch are: values at :data:`SHARES`, before and after.

    Of the reference, both are the same.
    """

    name: str
    before: Doubles
    after: Doubles


@dataclass(frozen=True, eq=False)
class Figures:
    """What a run did to the looks.

    Attributes
    ----------
    before, after
        Mean difference between batches, or to the reference: of mean colours (CIELAB)
        of colour images, else of mean grey values as a share of them.
    colour
        Whether it is of colours.
    structure
        Median correlation of gradients before and after.
    cut
        Share of values that newly lie at an end of the type's range.
    curves
        One per batch, and that of the reference.
    palette
        Colours of classes before, of the reference, and after (Y, X, 3); ``None`` if
        the model has no classes.
    """

    before: float
    after: float
    colour: bool
    structure: float
    cut: float
    curves: tuple[Curve, ...]
    palette: Array | None

    def in_words(self) -> str:
        """One line."""
        unit = "{:.1f}" if self.colour else "{:.0%}"
        apart = " to ".join(unit.format(x) for x in (self.before, self.after))
        kind = "Colours" if self.colour else "Brightness"
        return (
            f"{kind} apart: {apart}. Structure kept: {self.structure:.0%}. "
            f"Values cut off: {self.cut:.1%}."
        )
