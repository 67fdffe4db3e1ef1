"""What results look like as napari layers: arrays, names, geometry, provenance."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import numpy as np

from napari_disentangle.detector.detector import Score
from napari_disentangle.detector.export import named
from napari_disentangle.files.stored import OnDisk, Plane
from napari_disentangle.layers.filed import Focus
from napari_disentangle.layers.style import Style
from napari_disentangle.layers.values import (
    pyramid,
    scored,
    shown_alike,
    too_large,
    values,
)
from napari_disentangle.model.encode import limits
from napari_disentangle.model.sorting import Sorting
from napari_disentangle.objects.codes import Codes
from napari_disentangle.pipeline.follow import Step
from napari_disentangle.pipeline.kinds import KINDS
from napari_disentangle.pipeline.output import Output

KEY = "napari-disentangle"
# Beside it: which layer of the viewer a result belongs to. No file keeps this.
LINK = "napari-disentangle layer"
# Less than expected is blue, typical clear, more than expected orange.
SURPRISE = {
    "name": "surprise",
    "colors": [
        [0.75, 0.95, 1, 1],
        [0, 0.5, 1, 0.9],
        [0, 0, 0, 0],
        [1, 0.4, 0, 0.9],
        [1, 1, 0.7, 1],
    ],
    "controls": [0, 0.2, 0.5, 0.8, 1],
}
# A colour means the same z in every image.
REACH = 10.0
LayerData = tuple[Any, dict[str, Any], str]


@dataclass(frozen=True, eq=False)
class Marking:
    """How anomalous regions are found.

    Attributes
    ----------
    alpha
        Largest p value of a pixel in a region.
    min_size
        Smallest number of pixels of a region.
    expected
        What was expected of images, as far as it has been computed.
    """

    alpha: float = 0.01
    min_size: int = 16
    expected: dict[int, Any] = field(default_factory=dict)

    def keep(self, output: Output, values: Any) -> None:
        """Remember what was expected, if it is in the image's own units."""
        if values.dtype == output.image.dtype:
            self.expected[id(output.image)] = values


def layer_data(
    output: Output,
    styles: Sequence[Style],
    marking: Marking | None = None,
    focus: Focus | None = None,
) -> Iterator[Step | LayerData | Score]:
    """Compute an output as far as napari needs it, and put it into layer tuples.

    A layer may come before all of its values are computed; the steps that follow it
    compute them, what is near the ``focus`` first.

    Yields
    ------
    Step, tuple or Score
        Signs of life, then ``(data, attributes, "image")`` once per layer; with
        ``marking`` also the score behind an anomaly map, and its regions as
        ``(data, attributes, "labels")``, which objects are as well.
    """
    kind = KINDS[output.kind]
    if marking and kind.shown == "score" and not too_large(output):
        yield from _marked(output, styles, marking)
        return
    if output.codes is not None:
        yield _labels(output, output.codes, styles[0])
        return
    looked_at = focus or Focus()
    shown = yield from values(output, kind.title, looked_at)
    data = shown.data
    yield from _SHOWN[kind.shown](output, data, styles)
    yield from shown.rest
    if marking and looked_at.wanted and kind.needs == "prediction":
        marking.keep(output, data[0] if isinstance(data, list) else data)


def _marked(
    output: Output, styles: Sequence[Style], marking: Marking
) -> Iterator[Step | LayerData | Score]:
    """An anomaly map, its score, and its regions."""
    known = marking.expected.get(id(output.image))
    score = yield from scored(output, KINDS[output.kind].title, known)
    yield from _anomaly(output, pyramid(output.lazy, score.z), styles)
    yield score
    found = score.regions(marking.alpha, marking.min_size)
    yield region_data(output, styles[0], found, score.units, marking)


def _rendered(
    output: Output, data: Any, styles: Sequence[Style]
) -> Iterator[LayerData]:
    """One layer per source layer, looking as it does."""
    before = output.image.levels
    for i, style in enumerate(styles):
        part, source = data, before
        if len(styles) > 1:
            part, source = _part(data, 0, i), _part([*before], 0, i)
        own = style.geometry | style.look
        if KINDS[output.kind].recoloured and "contrast_limits" in own:
            ends = shown_alike(own["contrast_limits"], source, part)
            own |= {"contrast_limits": ends}
        yield part, _linked(_attributes(output, part, style) | own, style), "image"


def _anomaly(output: Output, data: Any, styles: Sequence[Style]) -> Iterator[LayerData]:
    """One layer for all channels."""
    own = _geometry(output, styles[0])
    own |= {"colormap": SURPRISE, "contrast_limits": (-REACH, REACH)}
    own["blending"] = "translucent_no_depth"
    known = _attributes(output, data, styles[0]) | own
    yield data, _linked(known, styles[0]), "image"


def region_data(
    output: Output,
    style: Style,
    found: tuple[Any, dict[str, Any]],
    units: Sequence[str],
    marking: Marking,
) -> LayerData:
    """The regions of an anomaly map, with their table as features."""
    labels, table = found
    kept = dict(output.lazy.provenance) | {"output": "regions", "layer": style.name}
    kept |= {"alpha": marking.alpha, "min_size": marking.min_size}
    own = {
        "name": f"{style.name} [anomalous regions]",
        "metadata": {KEY: kept},
        "features": {"index": table["label"], **named(table, units)},
    }
    return labels, _linked(own | _geometry(output, style), style), "labels"


def made_of(labels: Any) -> int:
    """What tells whether labels were painted since they were made."""
    return crc32(np.ascontiguousarray(labels).data)


def _labels(output: Output, codes: Codes, style: Style) -> LayerData:
    """Objects, with their table as features."""
    known = {
        "name": f"{style.name} [{KINDS[output.kind].title}]",
        "metadata": {KEY: dict(output.lazy.provenance) | {"layer": style.name}},
        "features": dict(output.table or {}),
    }
    labels = codes.objects.labels[0]
    linked = _linked(known | _geometry(output, style), style)
    linked["metadata"][LINK]["made"] = made_of(labels)
    return labels, linked, "labels"


def _maps(output: Output, data: Any, styles: Sequence[Style]) -> Iterator[LayerData]:
    """One grey layer per content map."""
    place = output.lazy.axes.index("C")
    own = _geometry(output, styles[0]) | {"colormap": "gray"}
    for i, ends in enumerate(limits(output.lazy)):
        part = _part(data, place, i)
        known = _attributes(output, part, styles[0], i + 1)
        shown = known | own | {"contrast_limits": ends}
        yield part, _linked(shown, styles[0]), "image"


def _classes(output: Output, data: Any, styles: Sequence[Style]) -> Iterator[LayerData]:
    """Numbers of classes in their own colours, each with how much it fills."""
    sorting = output.lazy.operation
    assert isinstance(sorting, Sorting)
    known = _attributes(output, data, styles[0]) | _geometry(output, styles[0])
    del known["rgb"]
    numbers = np.arange(1, len(sorting.rgb) + 1)
    pairs = zip(numbers.tolist(), np.insert(sorting.rgb, 3, 1, axis=1), strict=True)
    known["colormap"] = {None: np.zeros(4), **dict(pairs)}
    colours = dict(zip(("red", "green", "blue"), sorting.rgb.T, strict=True))
    known["features"] = {"index": numbers, "share": sorting.shares, **colours}
    yield data, _linked(known, styles[0]), "labels"


_SHOWN = {"image": _rendered, "score": _anomaly, "channels": _maps, "classes": _classes}


def _part(data: Any, place: int, number: int) -> Any:
    """One of what lies along an axis of an array, or of the arrays of a pyramid."""
    if isinstance(data, list):
        return [_part(level, place, number) for level in data]
    if isinstance(data, OnDisk):
        return Plane(data, place, number)
    return data[(*(slice(None),) * place, number)]


def _attributes(
    output: Output, data: Any, style: Style, number: int = 0
) -> dict[str, Any]:
    """Name and provenance; content maps are numbered from 1."""
    kept = dict(output.lazy.provenance) | {"layer": style.name}
    title = KINDS[output.kind].title
    if number:
        kept["map"] = number
        title = f"{title} {number}"
    return {
        "name": f"{style.name} [{title}]",
        "metadata": {KEY: kept},
        "multiscale": isinstance(data, list),
        "rgb": output.lazy.rgb,
    }


def _linked(attributes: dict[str, Any], style: Style) -> dict[str, Any]:
    """The same with what tells to which layer of the viewer they belong."""
    link = {"source": style.layer, "limits": attributes.get("contrast_limits")}
    return attributes | {"metadata": {**attributes["metadata"], LINK: link}}


def _geometry(output: Output, style: Style) -> dict[str, Any]:
    """Geometry of a map: that of its image without the channel axis."""
    axes, ndim = output.image.grid_axes, len(style.world) - 1
    own_channels = "C" in axes and ndim == len(axes)
    return style.without(axes.index("C")) if own_channels else dict(style.geometry)
