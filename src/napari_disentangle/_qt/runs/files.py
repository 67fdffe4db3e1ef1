"""Files that the widget reads and writes: looks and models; errors become sentences."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QWidget

from napari_disentangle._qt.window.model_box import ModelFile
from napari_disentangle.errors import ModelFileError
from napari_disentangle.files.text import write_text
from napari_disentangle.image.field import Modality
from napari_disentangle.model.attribute import Attribute

LOOKS, MODELS = "*.json", "*.safetensors"
RECIPES = "*.json *.yaml *.yml"


def ask_to_open(
    parent: QWidget,
    title: str,
    pattern: str,
    use: Callable[[str], None],
    start: str | Path = "",
) -> None:
    """Let a person choose a file to be used."""
    path, _ = QFileDialog.getOpenFileName(parent, title, str(start), pattern)
    if path:
        use(path)


def ask_to_save(
    parent: QWidget, title: str, pattern: str, save: Callable[[str], None]
) -> None:
    """Let a person choose where to save."""
    path, _ = QFileDialog.getSaveFileName(parent, title, "", pattern)
    if path:
        save(path)


def read_look(path: str) -> Attribute:
    """Read a saved attribute.

    Raises
    ------
    ModelFileError
        If the file is something else.
    """
    try:
        return Attribute.from_json(json.loads(Path(path).read_text(encoding="utf-8")))
    except (OSError, ValueError, ModelFileError) as error:
        raise ModelFileError(
            f"{Path(path).name} cannot be used as a donor: {error}"
        ) from error


def write_look(look: Attribute, path: str) -> Path:
    """Save an attribute; returns where.

    Raises
    ------
    DataError
        If it cannot be written there.
    """
    place, given = with_suffix(path, ".json")
    write_text(place, json.dumps(look.to_json(), indent=1), given)
    return place


def read_model(path: str, modality: Modality | None) -> ModelFile:
    """Open a model for the kind of image at hand.

    Raises
    ------
    ModelFileError
        If the file is no model, or one for other images.
    """
    file = ModelFile.read(path)
    if modality is not None and file.modality != modality:
        raise ModelFileError(
            f"{Path(path).name} is for {file.modality} images: check such images first"
        )
    return file


def copy_model(file: ModelFile, path: str) -> None:
    """Copy a model; the name gets the ending that model files have.

    Raises
    ------
    ModelFileError
        If it cannot be written.
    """
    target = Path(path)
    if target.suffix != ".safetensors":
        target = target.with_name(f"{target.name}.safetensors")
    try:
        shutil.copyfile(file.path, target)
    except OSError as error:
        raise ModelFileError(f"{target.name} cannot be written ({error})") from error


def with_suffix(path: str, suffix: str) -> tuple[Path, bool]:
    """Where to write; and whether that very name was given, and so may be replaced."""
    place = Path(path)
    if place.suffix.lower() == suffix:
        return place, True
    return place.with_name(place.name + suffix), False
