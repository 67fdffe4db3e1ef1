"""Saving the layers of a run: which, where, and in which format."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_disentangle._qt.window.parts import column, named, row, words
from napari_disentangle._qt.window.wording import in_the_window
from napari_disentangle.errors import DataError
from napari_disentangle.files.registry import read_provenance
from napari_disentangle.files.text import table_of
from napari_disentangle.layers.data import KEY
from napari_disentangle.layers.save import has_table, writing
from napari_disentangle.layers.values import as_it_is
from napari_disentangle.pipeline.follow import Step
from napari_disentangle.pipeline.kinds import KINDS

FORMATS = {
    ".ome.tif": "OME-TIFF (.ome.tif)",
    ".ome.zarr": "OME-Zarr (.ome.zarr)",
    ".png": "PNG, maps as OME-TIFF (.png)",
}
_UNSAFE = '<>:"/\\|?*'


@dataclass(frozen=True, eq=False)
class Saved:
    """A file that was written."""

    path: Path


@dataclass(frozen=True, eq=False)
class Saving:
    """Layers to be saved, taken from the viewer before a worker starts."""

    files: Sequence[tuple[Path, tuple[Any, dict[str, Any], str]]]

    @classmethod
    def of(
        cls, layers: Sequence[Any], folder: Path, suffix: str, replace: bool = False
    ) -> Saving:
        """Layers as files of a folder, named as they are.

        Raises
        ------
        DataError
            If the folder is not there, or a file of it would be replaced that is no
            result, or may not be.
        """
        if not folder.is_dir():
            raise DataError(f"there is no folder {str(folder)!r}: choose another")
        pairs = [(folder / _name(one, suffix), one) for one in layers]
        names = [path.name for path, _ in pairs]
        for path, _ in pairs:
            if names.count(path.name) > 1:
                raise DataError(
                    f"two layers would be called {path.name!r}: rename one of them"
                )
            _check_free(path, replace)
        return cls([(path, _as_it_is(one)) for path, one in pairs])

    def steps(self) -> Generator[Step | Saved, None, None]:
        """Write all files, one by one."""
        for number, (path, (data, attributes, _)) in enumerate(self.files):
            told = Step(f"saving {path.name}", number / len(self.files))
            yield told
            for _ in writing(str(path), data, attributes):
                yield told
            yield Saved(path)


def _as_it_is(layer: Any) -> tuple[Any, dict[str, Any], str]:
    """The layer now: napari changes the metadata that a layer has in its place."""
    data, attributes, kind = layer.as_layer_data_tuple()
    return (
        as_it_is(data),
        {**attributes, "metadata": dict(attributes["metadata"])},
        kind,
    )


def _check_free(path: Path, replace: bool) -> None:
    """Refuse to replace what is no result of ours, or may not be replaced."""
    there = path if path.exists() else table_of(path)
    if not there.exists():
        return
    if not replace:
        raise DataError(
            f"{there.name!r} exists already: tick 'replace earlier results', choose "
            "another folder, or rename the layer"
        )
    if _is_ours(path):
        there = table_of(path)
        if not there.exists() or has_table(path):
            return
    raise DataError(
        f"{there.name!r} is no result of this plugin and is left alone: choose another "
        "folder, or rename the layer"
    )


def _is_ours(path: Path) -> bool:
    try:
        return path.exists() and "output" in read_provenance(path)
    except DataError:
        return False


def _name(layer: Any, suffix: str) -> str:
    plain = "".join("_" if letter in _UNSAFE else letter for letter in layer.name)
    output = layer.metadata[KEY]["output"]
    picture = output in KINDS and KINDS[output].pixels
    return f"{plain}{suffix if picture or suffix != '.png' else '.ome.tif'}"


class SaveDialog(QDialog):  # type: ignore[misc]
    """Asks what of the results is saved, and where.

    Attributes
    ----------
    last
        The folder of the last time.
    """

    last = Path.home()

    def __init__(self, parent: QWidget, layers: Sequence[Any]) -> None:
        super().__init__(parent)
        self.setWindowTitle("Save results")
        self._layers = list(layers)
        self.problem = words()
        self.folder = named(QLineEdit(str(self.last)), "folder", "Where files go")
        browse = named(QPushButton("Browse ..."), "Browse", "Choose a folder")
        browse.clicked.connect(self._browse)
        self.format = named(QComboBox(), "format", "What kind of file")
        for suffix, text in FORMATS.items():
            self.format.addItem(text, suffix)
        tip = "Files of earlier results that have these names are written anew"
        self.replace = named(QCheckBox("replace earlier results"), "replace", tip)
        self.names = named(QListWidget(), "layers", "Check what is saved")
        for layer in self._layers:
            item = QListWidgetItem(layer.name)
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
            item.setCheckState(Qt.CheckState.Checked)
            self.names.addItem(item)
        kinds = QDialogButtonBox.StandardButton
        buttons = QDialogButtonBox(kinds.Save | kinds.Cancel)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        top = QWidget()
        column(top, ("folder", row(self.folder, browse)), ("format", self.format))
        rows = QVBoxLayout(self)
        for part in (top, words("Files are named as their layers:"), self.names):
            rows.addWidget(part)
        rows.addWidget(self.replace)
        rows.addWidget(self.problem)
        rows.addWidget(buttons)

    def accept(self) -> None:
        """Close, unless something could not be saved so."""
        try:
            Saving.of(*self.chosen())
        except DataError as error:
            self.problem.setText(in_the_window(str(error)))
            return
        SaveDialog.last = self.chosen()[1]
        super().accept()

    def _browse(self) -> None:
        found = QFileDialog.getExistingDirectory(self, "Folder", self.folder.text())
        if found:
            self.folder.setText(found)

    def chosen(self) -> tuple[list[Any], Path, str, bool]:
        """Layers, folder, ending, and whether earlier results are replaced."""
        checked = [
            layer
            for i, layer in enumerate(self._layers)
            if self.names.item(i).checkState() == Qt.CheckState.Checked
        ]
        folder = Path(self.folder.text()).expanduser()
        ending = str(self.format.currentData())
        return checked, folder, ending, self.replace.isChecked()
