"""What is chosen in the panel, taken on the main thread before a worker starts."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from napari.utils.notifications import show_error

from napari_disentangle._qt.common.panel import BasePanel
from napari_disentangle._qt.common.picking import LayerList, groups, pick
from napari_disentangle.errors import DataError, DisentangleError
from napari_disentangle.image.field import Field
from napari_disentangle.layers.marks import marked
from napari_disentangle.layers.style import Picked


@contextmanager
def errors_said() -> Iterator[None]:
    """Show what a person can act on as one sentence."""
    try:
        yield
    except (DisentangleError, ValueError, OSError) as error:
        show_error(str(error))


def picked(panel: BasePanel, choice: LayerList) -> list[Picked]:
    """Snapshot of a list; layers with other axes than the images keep their own."""
    layers, images = choice.checked(), panel.images.checked()
    alike = choice is panel.images or all(a.ndim == images[0].ndim for a in layers)
    axes = panel.axes.text().strip().upper() if alike else ""
    scaled = all(layer.dtype == images[0].dtype for layer in layers if images)
    return pick(
        layers,
        panel.as_channels.isChecked(),
        axes=axes or None,
        modality=panel.chosen_modality(),
        full_scale=panel.full_scale.value() or None if scaled else None,
    )


def measured(panel: BasePanel, choice: LayerList, marks: Any | None) -> list[Picked]:
    """Snapshot of a list, with the look measured where a layer is painted on it.

    What it paints nothing on is measured as a whole.
    """
    found = picked(panel, choice)
    if marks is None:
        return found
    grouped = groups(choice.checked(), panel.as_channels.isChecked())
    return [
        replace(one, field=painted_on(marks, one.field, group))
        for one, group in zip(found, grouped, strict=True)
    ]


def check_marks(marks: Any | None, fields: Sequence[Field]) -> None:
    """Refuse a layer that paints nothing on any image."""
    if marks is not None and all(field.where is None for field in fields):
        raise DataError(
            f"{marks.name!r} marks nothing on the images: paint there where their look "
            "is to be measured"
        )


def painted_on(marks: Any, field: Field, group: Sequence[Any]) -> Field:
    """A Field of some layers with what is painted on it, if anything is."""
    axes = field.axes[1:] if len(group) > 1 else field.grid_axes
    mask = marked(marks, group, axes)
    return replace(field, where=mask) if mask.any() else field


def preferred_device() -> str:
    """The device of napari's preferences (Plugins > Disentangle)."""
    from napari.settings import get_plugin_settings

    return str(get_plugin_settings("napari-disentangle").processing.device)


def readable_images(panel: BasePanel) -> list[Picked]:
    """The checked images; none if one cannot be read, which the summary says."""
    try:
        return picked(panel, panel.images)
    except (DisentangleError, ValueError):
        return []


def names_in(panel: BasePanel, choice: LayerList) -> list[list[str]]:
    grouped = groups(choice.checked(), panel.as_channels.isChecked())
    return [[layer.name for layer in group] for group in grouped]


def check_images(panel: BasePanel) -> None:
    if not panel.images.checked():
        raise DataError("no image is checked: check at least one image layer")
