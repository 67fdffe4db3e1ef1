"""What a napari Image layer says of its image: duck-typed, nothing from a shape."""

from collections.abc import Sequence
from typing import Any

from napari_disentangle.errors import AxesError, DataError
from napari_disentangle.image.axes import letter
from napari_disentangle.image.channels import RGBA, ChannelStack, split_names


def axes_of_labels(labels: Sequence[str]) -> str:
    """Read axes from napari's axis labels; unnamed leading axes become P, T, Z.

    Only position tells for an unnamed axis: the last two are Y and X, those before
    them Z, T and P in that order. A channel axis is never assumed.
    """
    spare = iter("XYZTPQUVW")
    read = [letter(label) for label in labels]
    if all(len(axis) == 1 and axis.isalpha() for axis in read):
        return "".join(read)
    return "".join(next(spare) for _ in labels)[::-1]


def of_layer(layer: Any, axes: str | None = None) -> dict[str, Any]:
    """Arguments of :class:`~napari_disentangle.Field` for a layer as it stands.

    Raises
    ------
    AxesError
        If it keeps colours in its last axis and does not say so.
    """
    named = axes or axes_of_labels(layer.axis_labels)
    if layer.rgb and not named.endswith("C"):
        named += "C"
    levels = _levels(layer)
    if named.endswith("C") and levels[0].shape[-1] in (3, 4) and not layer.rgb:
        raise AxesError(
            f"{layer.name!r} keeps 3 or 4 channels in its last axis, but is not "
            "RGB: open it as RGB, or move that axis to the front"
        )
    return {
        "data": levels if layer.multiscale else levels[0],
        "axes": named,
        "scale": tuple(float(s) for s in layer.scale),
        "translate": tuple(float(t) for t in layer.translate),
        "units": tuple(str(u) for u in layer.units),
        "channel_names": RGBA[: levels[0].shape[-1]] if layer.rgb else (),
        "name": layer.name,
        "path": getattr(layer.source, "path", None),
    }


def of_layers(
    layers: Sequence[Any], axis: str = "C", axes: str | None = None
) -> dict[str, Any]:
    """Arguments of a Field of which every layer is a channel.

    Raises
    ------
    DataError
        If the layers differ in shape, type or pyramid, or are colour images.
    """
    first = of_layer(layers[0], axes)
    if any(layer.rgb for layer in layers):
        raise DataError("colour layers cannot be channels of one image")
    if len({len(_levels(layer)) for layer in layers}) > 1:
        raise DataError("channels must have pyramids of the same number of levels")
    every = zip(*(_levels(layer) for layer in layers), strict=True)
    stacked = [ChannelStack(arrays) for arrays in every]
    channels, name = split_names([layer.name for layer in layers])
    return {
        "data": stacked if layers[0].multiscale else stacked[0],
        "axes": axis + first["axes"],
        "scale": (1.0, *first["scale"]),
        "translate": (0.0, *first["translate"]),
        "units": ("pixel", *first["units"]),
        "channel_names": channels,
        "name": name,
    }


def _levels(layer: Any) -> list[Any]:
    return list(layer.data) if layer.multiscale else [layer.data]
