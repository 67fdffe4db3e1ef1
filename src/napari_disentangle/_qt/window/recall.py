"""Loading a recipe: the panel then shows what it says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from napari_disentangle._qt.images.table import IMAGE, NORMAL, REFERENCE
from napari_disentangle._qt.window.model_box import ModelFile
from napari_disentangle._qt.window.normal import ITSELF, OTHERS
from napari_disentangle._qt.window.panel import Panel
from napari_disentangle._qt.window.tasks import COMPARABLE, ODD, SWAP
from napari_disentangle.errors import DataError
from napari_disentangle.model.attribute import Attribute
from napari_disentangle.model.registry import models
from napari_disentangle.pipeline.kinds import CLASSES, KINDS, MAPS
from napari_disentangle.pipeline.recipe import Recipe, Source


def recall(panel: Panel, recipe: Recipe) -> tuple[Attribute | None, list[str]]:
    """Choose what a recipe says: the look it carries, and what the panel cannot show.

    The look of images that are not open is taken from the recipe, if it was measured.

    Parameters
    ----------
    panel
        Is changed.
    recipe
        From a file.

    Raises
    ------
    DataError
        If none of its images is open.
    """
    layers = panel.images.table.layers()
    task = task_of(recipe)
    others = {SWAP: recipe.donors, COMPARABLE: recipe.references}.get(task, ())
    groups = (recipe.images, others, recipe.normals)
    found = [[_open(source, layers) for source in group] for group in groups]
    if recipe.images and not any(found[0]):
        names = ", ".join(source.name for source in recipe.images)
        raise DataError(f"open {names} first: the recipe is for these images")
    panel.choose_task(task)
    _choose_model(panel, recipe)
    _choose_detector(panel, recipe)
    panel.pool.setCurrentIndex(max(0, panel.pool.findData(recipe.pool)))
    panel.strength.setValue(round(100 * recipe.strength))
    panel.maps.setChecked(MAPS in recipe.outputs)
    panel.classes.setChecked(CLASSES in recipe.outputs)
    panel.choose_device(recipe.device)
    panel.normal.choose(OTHERS if recipe.normals else ITSELF)
    _choose_images(panel, recipe, found)
    kept = {SWAP: recipe.donor, COMPARABLE: recipe.reference}.get(task)
    look = Attribute.from_json(kept) if kept and not any(found[1]) else None
    return look, [*_missing(groups, found), *_not_shown(panel, recipe)]


def _missing(
    groups: Sequence[Sequence[Source]], found: Sequence[list[Any]]
) -> Iterator[str]:
    pairs = (zip(*one, strict=True) for one in zip(groups, found, strict=True))
    names = [source.name for group in pairs for source, layer in group if layer is None]
    if names:
        yield f"Not open: {', '.join(names)}."


def _not_shown(panel: Panel, recipe: Recipe) -> Iterator[str]:
    """What else the recipe says."""
    rest = [KINDS[k].label for k in recipe.outputs if k not in panel.outputs()]
    if rest:
        yield f"The panel does one job at a time, so it leaves out: {', '.join(rest)}."
    if recipe.source is not None:
        yield (
            "The recipe carries the look of the batch of its image; the panel measures "
            "it anew: choose all images of the batch, or use the command line."
        )


def task_of(recipe: Recipe) -> str:
    """The job that makes the outputs of a recipe."""
    if any(KINDS[kind].detects for kind in recipe.outputs):
        return ODD
    return SWAP if SWAP in recipe.outputs else COMPARABLE


def _open(source: Source, layers: Sequence[Any]) -> Any | None:
    """The layer of an image: by its file, or else by its name."""
    for layer in layers:
        path = getattr(layer.source, "path", None)
        if path and source.path and Path(path).name == Path(source.path).name:
            return layer
    return next((layer for layer in layers if layer.name == source.name), None)


def _choose_images(panel: Panel, recipe: Recipe, found: Sequence[list[Any]]) -> None:
    table = panel.images.table
    named = [[one for one in group if one is not None] for group in found]
    table.check([layer for group in named for layer in group])
    for layers, role in zip(named, (IMAGE, REFERENCE, NORMAL), strict=True):
        table.set_role(layers, role)
    for source, layer in zip(recipe.images, found[0], strict=True):
        if layer is not None and source.batch:
            table.set_batch([layer], source.batch)


def _choose_model(panel: Panel, recipe: Recipe) -> None:
    if recipe.model not in models():
        panel.model.add(ModelFile.read(recipe.model))
        return
    panel.model.setCurrentIndex(panel.model.findData(recipe.model))
    for name, value in recipe.config.items():
        if name in [widget.name for widget in panel.form]:
            panel.form[name].value = value


def _choose_detector(panel: Panel, recipe: Recipe) -> None:
    if recipe.detector != "default":
        panel.detector.name.setCurrentText(recipe.detector)
    names = [widget.name for widget in panel.detector.form]
    for name, value in recipe.detector_config.items():
        if name in names:
            panel.detector.form[name].value = value
    panel.detector.cell.setValue(recipe.cell or 0)
