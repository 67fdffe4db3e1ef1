"""The box that models are chosen from: those with a name, and those kept in files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qtpy.QtWidgets import QComboBox

from napari_disentangle.image.field import Modality
from napari_disentangle.model.fit import load
from napari_disentangle.model.model import Model
from napari_disentangle.model.registry import DEFAULT, MODELS, models

# Names of images that are spelled out in a description.
_SPELLED = 3


@dataclass(frozen=True)
class ModelFile:
    """A model in a file.

    Attributes
    ----------
    label
        What it is called in the box.
    path
        Where it is; this is what recipes name.
    hash
        Identifies it.
    modality
        Kind of image it is for.
    learned
        Whether it has anything learned, so that fitting can go on from it.
    description
        What it was fitted on, and how good it is.
    """

    label: str
    path: Path
    hash: str
    modality: Modality
    learned: bool
    description: str

    @classmethod
    def of(cls, model: Model, path: Path, label: str) -> ModelFile:
        """Describe a model that was saved there."""
        return cls(
            label,
            path,
            model.hash,
            model.modality,
            model.weights is not None,
            _described(model),
        )

    @classmethod
    def read(cls, path: str | Path) -> ModelFile:
        """Open a model file.

        Raises
        ------
        ModelFileError
            If it is none.
        """
        return cls.of(load(path), Path(path).resolve(), Path(path).stem)


class ModelBox(QComboBox):  # type: ignore[misc]
    """Models that can be chosen for a kind of image."""

    def __init__(self) -> None:
        super().__init__()
        self._files: dict[str, ModelFile] = {}
        self.modality: Modality | None = None
        self._offer()

    @property
    def chosen(self) -> str:
        """What a recipe calls the chosen model: its name, or the path of its file."""
        return str(self.currentData() or "")

    @property
    def file(self) -> ModelFile | None:
        """The chosen file, if it is one."""
        return self._files.get(self.chosen)

    @property
    def learned(self) -> bool:
        """Whether the chosen model has learned anything."""
        if self.file:
            return self.file.learned
        return self.chosen in MODELS and bool(MODELS[self.chosen].learns)

    @property
    def beginning(self) -> str:
        """The model that fitting begins with."""
        return self.chosen if self.learned else DEFAULT

    @property
    def start(self) -> str:
        """What :attr:`beginning` is called in the box."""
        return str(self.currentText()) if self.learned else DEFAULT

    @property
    def description(self) -> str:
        """One sentence on the chosen model."""
        return self.file.description if self.file else models()[self.chosen].description

    def show_for(self, modality: Modality | None) -> None:
        """Offer the models for a kind of image; the chosen one stays if it can."""
        if modality != self.modality:
            self.modality = modality
            self._offer()

    def offer(self, file: ModelFile) -> None:
        """Offer a file that is not offered yet."""
        self._files.setdefault(str(file.path), file)
        self._offer()

    def add(self, file: ModelFile) -> None:
        """Offer a file, and choose it if it is for the kind of image at hand."""
        path = str(file.path)
        self.offer(file)
        self.setCurrentIndex(max(self.findData(path), self.currentIndex()))

    def next_label(self) -> str:
        """What the next fitted model is called."""
        taken = {file.label for file in self._files.values()}
        count = range(1, len(taken) + 2)
        return next(f"fitted {n}" for n in count if f"fitted {n}" not in taken)

    def _offer(self) -> None:
        fitting = [*self._names(), *self._labels()]
        shown = [(self.itemText(i), self.itemData(i)) for i in range(self.count())]
        if fitting == shown:
            return
        chosen = self.chosen
        self.clear()
        for label, value in fitting:
            self.addItem(label, value)
        self.setCurrentIndex(max(0, self.findData(chosen)))

    def _names(self) -> list[tuple[str, str]]:
        known = models().items()
        return [(name, name) for name, entry in known if self._fits(*entry.modalities)]

    def _labels(self) -> list[tuple[str, str]]:
        files = self._files.items()
        return [(f.label, path) for path, f in files if self._fits(f.modality)]

    def _fits(self, *modalities: str) -> bool:
        return self.modality is None or self.modality in modalities


def _described(model: Model) -> str:
    card: Any = model.weights.card if model.weights else {}
    names = [image["name"] for group in card.get("images", []) for image in group]
    if not names:
        return f"A saved {model.name!r} model."
    more = len(names) - _SPELLED
    spelled = ", ".join(names[:_SPELLED]) + (f" and {more} more" if more > 0 else "")
    return f"Fitted on {spelled}: {card['verdict']}."
