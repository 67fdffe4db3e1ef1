"""What the file behind a layer says of it, where napari has lost it."""

from typing import Any

from napari_disentangle.errors import DisentangleError
from napari_disentangle.files.registry import read
from napari_disentangle.image.axes import letter


def axes_in_file(layer: Any) -> str | None:
    """Axes of the file that an unnamed layer was opened from, colour excluded.

    ``None`` if the layer names its axes, or shows something else than the whole file.
    """
    named = [letter(label) for label in layer.axis_labels]
    path = getattr(layer.source, "path", None)
    lost = layer.ndim > len("YX") and any(len(axis) > 1 for axis in named)
    if path is None or layer.multiscale or not lost:
        return None
    try:
        field = read(path)
    except (DisentangleError, OSError):
        return None
    alike = field.shape == tuple(layer.data.shape)
    return field.grid_axes if alike and not field.rgb else None
