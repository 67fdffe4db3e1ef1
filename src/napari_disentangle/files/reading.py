"""How an image is to be read, kept in its file beside what the format has room for."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, FiniteFloat, PositiveInt, ValidationError

from napari_disentangle.compute.lazy import LazyImage
from napari_disentangle.files.stored import Turned
from napari_disentangle.image.field import Modality
from napari_disentangle.image.units import PIXEL, unit_name

KEY = "reading"


class Reading(BaseModel):
    """What a Field is made of, but for its pixels.

    ``modality`` and ``full_scale`` are missing where values are no intensities.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    axes: str
    shape: tuple[PositiveInt, ...]
    scale: tuple[FiniteFloat, ...]
    translate: tuple[FiniteFloat, ...]
    units: tuple[str, ...]
    channels: tuple[str, ...]
    modality: Modality | None = None
    full_scale: FiniteFloat | None = None

    @classmethod
    def of(cls, lazy: LazyImage) -> "Reading":
        """How a result is to be read."""
        field = lazy.field
        same = lazy.operation.own_channels is None
        colour = lazy.axes.endswith("C") and lazy.shape[-1] in (3, 4)
        own = zip(field.scale, field.translate, field.units, strict=True)
        known = dict(zip(field.grid_axes, own, strict=True))
        grid = lazy.axes[:-1] if colour else lazy.axes
        geometry = [(axis, *known.get(axis, (1.0, 0.0, PIXEL))) for axis in grid]
        return cls(
            axes=lazy.axes,
            shape=lazy.shape,
            scale=tuple(scale for _, scale, _, _ in geometry),
            translate=tuple(shift for _, _, shift, _ in geometry),
            units=tuple(unit_name(unit, axis) for axis, _, _, unit in geometry),
            channels=lazy.channel_names,
            modality=field.modality if same else None,
            full_scale=field.full_scale if same else None,
        )

    @property
    def sizes(self) -> dict[str, int]:
        """Sizes by axis."""
        return dict(zip(self.axes, self.shape, strict=True))

    def said(self) -> dict[str, Any]:
        """Arguments of a Field."""
        said = {
            "axes": self.axes,
            "scale": self.scale,
            "translate": self.translate,
            "units": self.units,
            "channel_names": self.channels,
            "modality": self.modality,
            "full_scale": self.full_scale,
        }
        return {name: value for name, value in said.items() if value}


def restored(found: Mapping[str, Any], kept: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of a Field with what was kept when its file was written.

    What does not fit is left: another program has changed the file since.

    Parameters
    ----------
    found
        Arguments as the file has them.
    kept
        Provenance from the file.
    """
    try:
        known = Reading.model_validate(kept.get(KEY))
        sizes = known.sizes
    except (ValidationError, ValueError):
        return dict(found)
    many = isinstance(found["data"], list)
    levels = found["data"] if many else [found["data"]]
    there = dict(zip(found["axes"], levels[0].shape, strict=True))
    if there != {axis: n for axis, n in sizes.items() if axis in there or n > 1}:
        return dict(found)
    if known.axes != found["axes"]:
        at = {axis: place for place, axis in enumerate(found["axes"])}
        places = tuple(at.get(axis) for axis in known.axes)
        levels = [Turned(level, places) for level in levels]
    data = levels if many else levels[0]
    return {**found, **known.said(), "data": data}
