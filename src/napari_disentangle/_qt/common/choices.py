"""What is chosen in the panel, taken on the main thread before a worker starts."""

from collections.abc import Iterator
from contextlib import contextmanager

from napari.utils.notifications import show_error

from napari_disentangle._qt.common.panel import BasePanel
from napari_disentangle._qt.common.picking import LayerList, groups, pick
from napari_disentangle.errors import DataError, DisentangleError
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
    return pick(layers, panel.as_channels.isChecked(), axes, panel.chosen_modality())


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
