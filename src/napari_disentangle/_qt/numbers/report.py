"""The report of a model on the images at hand: a table, in the window and as a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_disentangle._qt.runs.files import ask_to_save
from napari_disentangle._qt.runs.job import Job
from napari_disentangle._qt.window.parts import named, words
from napari_disentangle.audit.report import Report, Row, report
from napari_disentangle.model.fit import fit
from napari_disentangle.pipeline.follow import Step

# What the columns say, in the order of the table.
_COLUMNS = {
    "model": ("model", "raw: the images as they are"),
    "colour_leak": ("batch told by colour", "of content-only: 0 at chance, 1 all"),
    "texture_leak": ("batch told by texture", "of content-only: 0 at chance, 1 all"),
    "by_batch": ("grouped by batch", "silhouette of content-only: lower is better"),
    "by_biology": ("grouped by biology", "silhouette of content-only"),
    "batches_near": ("batches near", "effective number among the neighbours of a tile"),
    "gradients": ("structure kept", "correlation of gradients"),
    "clipped": ("cut off", "share of values outside of the range of the type"),
    "nuclei": ("nuclei kept", "Dice overlap, segmented anew"),
    "colours_left": ("colours left", "distance to the look after a swap: 0 is none"),
    "seconds": ("seconds", "per megapixel on one thread"),
}
_SIZE = (900, 420)


@dataclass(frozen=True, eq=False)
class Reported:
    """A finished report."""

    report: Report


def report_steps(job: Job) -> Generator[Step | Reported, None, None]:
    """Audit the model of a job on its images, next to every closed form."""
    images = [one.field for one in job.picked]
    yield Step("measuring the model", 0.1)
    model = fit(images, job.recipe.model, **job.recipe.config)
    yield Step("auditing it, and every closed form (cannot be cancelled)", 0.3)
    yield Reported(report(model, images, batch=_labels(job)))


def _labels(job: Job) -> list[str] | None:
    """Batches of the images, if there are two at least of two images each."""
    batches = [one or "" for one in job.batches]
    counted = Counter(batches)
    enough = len(counted) > 1 and min(counted.values()) > 1
    return batches if enough else None


class ReportDialog(QDialog):  # type: ignore[misc]
    """Shows a report, and saves it."""

    def __init__(self, parent: QWidget, made: Report) -> None:
        super().__init__(parent)
        self.made = made
        self.setWindowTitle("Report")
        self.resize(*_SIZE)
        known = [f.name for f in fields(Row) if _known(made, f.name)]
        self.table = named(QTableWidget(len(made.rows), len(known)), "report")
        self.table.setHorizontalHeaderLabels([_COLUMNS[name][0] for name in known])
        for column, name in enumerate(known):
            self.table.horizontalHeaderItem(column).setToolTip(_COLUMNS[name][1])
            for place, one in enumerate(made.rows):
                item = QTableWidgetItem(_text(getattr(one, name)))
                self.table.setItem(place, column, item)
        self.table.resizeColumnsToContents()
        kinds = QDialogButtonBox.StandardButton
        buttons = QDialogButtonBox(kinds.Save | kinds.Close)
        buttons.accepted.connect(self._save)
        buttons.rejected.connect(self.reject)
        rows = QVBoxLayout(self)
        said = f"{made.n_images} images, {made.n_tiles} parts of them."
        batches = (
            ""
            if "colour_leak" in known
            else (" Of batches nothing is said: that takes two of two images each.")
        )
        rows.addWidget(words(said + batches))
        rows.addWidget(self.table)
        rows.addWidget(buttons)

    def _save(self) -> None:
        ask_to_save(self, "Save report", "*.csv *.md", self.save)

    def save(self, path: str) -> None:
        """Write the table, as CSV or as Markdown."""
        place = Path(path)
        if place.suffix not in (".csv", ".md"):
            place = place.with_name(f"{place.name}.csv")
        text = str(self.made) if place.suffix == ".md" else _csv(self.made)
        place.write_text(f"{text}\n", encoding="utf-8")


def _known(made: Report, name: str) -> bool:
    values = [getattr(row, name) for row in made.rows]
    return name == "model" or not all(np.isnan(value) for value in values)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if np.isnan(value) else f"{value:.3g}"


def _csv(made: Report) -> str:
    names = [f.name for f in fields(Row)]
    rows = ([_text(getattr(row, name)) for name in names] for row in made.rows)
    return "\n".join(",".join(line) for line in (names, *rows))
