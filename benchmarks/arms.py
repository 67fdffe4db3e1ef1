"""Ways to show pictures that are compared: content-only of every model, and controls.

Controls need no model. ``raw`` leaves a picture as it is, ``flat grey`` has no look and
nothing else either, and ``blur`` is raw without what is finer than some pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from leak import FLAT, RAW, channels_first
from looks import Array, as_type
from scipy.ndimage import gaussian_filter
from swap import field_of

import napari_disentangle as nd
from napari_disentangle.errors import DisentangleError
from napari_disentangle.image.signal import from_signal
from napari_disentangle.model.render import Rendering

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

BLUR, SIGMA = "blur", 3.0


@dataclass(frozen=True, eq=False)
class Shown:
    """A picture as it is shown.

    Attributes
    ----------
    picture
        Axes and type as the original.
    unclipped
        Its values (C, Y, X) before they were rounded and clipped; ``None`` where that
        cannot be said.
    """

    picture: Array
    unclipped: Array | None = None

    @property
    def values(self) -> Array:
        """The best known values (C, Y, X)."""
        if self.unclipped is None:
            return channels_first(self.picture)
        return self.unclipped


Show = Callable[[Array], Shown]


@dataclass(frozen=True)
class Arms:
    """How pictures can be shown, by name, and why some models cannot show them."""

    shows: Mapping[str, Show]
    refusals: Mapping[str, str]


def arms(pictures: Sequence[Array]) -> Arms:
    """Controls, and every model for such pictures under their mean look.

    A model that learns is taken as it comes, and left out if it does not come trained.
    """
    fields = [field_of(picture) for picture in pictures]
    shows: dict[str, Show] = controls(pictures[0].mean())
    refusals = {}
    for name, entry in nd.models().items():
        if name == "identity" or fields[0].modality not in entry.modalities:
            continue
        try:
            shows[name] = partial(content, nd.fit(fields, name))
        except (DisentangleError, ValueError) as error:
            refusals[name] = str(error)
    return Arms(shows, refusals)


def controls(grey: float) -> dict[str, Show]:
    """Ways to show pictures without any model."""
    return {
        RAW: _whole,
        FLAT: lambda picture: _whole(np.full_like(picture, grey)),
        BLUR: lambda picture: _whole(_blurred(picture)),
    }


def _whole(picture: Array) -> Shown:
    return Shown(picture, channels_first(picture))


def _blurred(picture: Array) -> Array:
    y, x = (0, 1) if picture.dtype == np.uint8 else (1, 2)
    smooth = gaussian_filter(picture.astype(float), SIGMA, axes=(y, x))
    return as_type(smooth, picture.dtype)


def content(model: nd.Model, picture: Array) -> Shown:
    """A picture under the model's reference, measured by itself."""
    field = field_of(picture)
    lazy = model.lazy(field, model.reference)
    shown, render = np.asarray(lazy), lazy.operation
    if not isinstance(render, Rendering):
        return Shown(shown)
    space = model.method.space(model.modality)
    signal = render.signal(field.plane(()), ())
    values = from_signal(signal, space, float(field.full_scale or 1.0))
    return Shown(shown, values.double().numpy())
