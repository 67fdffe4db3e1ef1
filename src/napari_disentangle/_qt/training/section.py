"""The section "Train on my images": settings, curve, preview, buttons."""

from typing import Any

import pyqtgraph as pg
from qtpy.QtCore import Qt
from qtpy.QtGui import QPixmap
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_disentangle._qt.numbers.drawing import dot, pixmap, quiet_plot
from napari_disentangle._qt.training.job import Kept, Preview
from napari_disentangle._qt.window.parts import Section, flow, named, words
from napari_disentangle._qt.window.wording import in_the_window
from napari_disentangle.model.train import SWAP, Progress

TITLE = "Train on my images"
_TIP = "Let the model learn from the checked images, and use what it learned"
_STEPS, _MOST_STEPS = 300, 100_000
_MOST_SEED = 2**31 - 1
_CURVE, _PICTURE = 130, 120
_BLUE, _GREEN, _ORANGE = "#7aa5d8", "#2fae66", "#e8912d"
# Share of the past in the smoothed curve.
_PAST = 0.9


class LossCurve(QWidget):  # type: ignore[misc]
    """Decibels against steps: batches (smoothed), held-out tiles, best closed form."""

    def __init__(self) -> None:
        super().__init__()
        kinds = {"learning": _BLUE, "held out": _GREEN, "standard model": _ORANGE}
        legend = QLabel(" &nbsp; ".join(dot(c, kind) for kind, c in kinds.items()))
        legend.setWordWrap(True)
        self._plot = quiet_plot("Decibels against steps: higher is better", _CURVE)
        self._plot.setLabel("left", "dB")
        self.swap = self._plot.plot(pen=pg.mkPen(_BLUE, width=1))
        self.held_out = self._plot.plot(pen=pg.mkPen(_GREEN, width=2))
        dashed = pg.mkPen(_ORANGE, width=2, style=Qt.PenStyle.DashLine)
        self.rival = pg.InfiniteLine(angle=0, pen=dashed)
        self._plot.addItem(self.rival)
        _stack(self, legend, self._plot)
        self.begin()

    def begin(self) -> None:
        """Empty the curve."""
        self._steps: list[int] = []
        self._swaps: list[float] = []
        self._held_out: list[float] = []
        self.swap.setData([], [])
        self.held_out.setData([], [])

    def add(self, progress: Progress) -> None:
        """Draw one more step, or what is new of the last one."""
        losses, rival = progress.losses, progress.rival
        if self._steps[-1:] == [progress.index]:
            for points in (self._steps, self._swaps, self._held_out):
                points.pop()
        before = self._swaps[-1] if self._swaps else losses[SWAP]
        self._steps.append(progress.index)
        self._swaps.append(_PAST * before + (1 - _PAST) * losses[SWAP])
        self._held_out.append(losses["held out"])
        self.swap.setData(self._steps, self._swaps)
        self.held_out.setData(self._steps, self._held_out)
        self.rival.setValue(losses[rival])
        self._plot.setXRange(0, progress.budget)
        seen = [*self._swaps, *self._held_out, losses[rival]]
        self._plot.setYRange(min(seen), max(seen))


class FitSection(Section):
    """All inputs for a fit, and what is seen of it; no behaviour of its own."""

    def __init__(self) -> None:
        self.plan = words()
        self.steps, self.seed = _number(1, _MOST_STEPS), _number(0, _MOST_SEED)
        self.steps.setValue(_STEPS)
        named(self.steps, "steps", "At most; it ends where nothing is gained any more")
        named(self.seed, "seed", "The same seed and images give the same model")
        tip = "What the trained model is called, in the list of models and as a file"
        self.name = named(QLineEdit(), "name of the model", tip)
        self.fit = named(QPushButton("Train"), "Train", _TIP)
        tip = "Keep the model as it is now; Cancel throws it away"
        self.stop = named(QPushButton("Stop and use"), "Stop and use", tip)
        self.kept: Kept | None = None
        self.images = 0
        self.curve = LossCurve()
        self.verdict = words()
        tip = "Choose the model that did not help all the same"
        self.anyway = named(QPushButton("Use anyway"), "Use anyway", tip)
        self.before, self.after = QLabel(), QLabel()
        self.pictures = self._pictures()
        load, save = QPushButton("Load model ..."), QPushButton("Save model ...")
        self.load = named(load, "Load model", "A model that was trained and saved")
        self.save = named(save, "Save model", "The chosen model, if it was trained")
        super().__init__(TITLE, _TIP, *self._parts())
        self._seen = (self.curve, self.verdict, self.pictures)
        for part in (*self._seen, self.anyway):
            part.hide()
        self.set_running(running=False, fitting=False)

    def _pictures(self) -> QWidget:
        pictures = QWidget()
        columns = QHBoxLayout(pictures)
        columns.setContentsMargins(0, 0, 0, 0)
        for text, picture in (("as it is", self.before), ("preview", self.after)):
            picture.setFixedSize(_PICTURE, _PICTURE)
            picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
            column = QWidget()
            _stack(column, QLabel(text), picture)
            columns.addWidget(column)
        columns.addStretch()
        pictures.setToolTip("A part of the first checked image, as far as it is fitted")
        return pictures

    def _parts(self) -> list[Any]:
        buttons, files = flow(self.fit, self.stop), flow(self.load, self.save)
        seen = (self.curve, self.verdict, self.anyway, self.pictures)
        numbers = (("steps", self.steps), ("seed", self.seed), ("name", self.name))
        return [self.plan, *numbers, buttons, *seen, files]

    # --- what is shown ------------------------------------------------------------
    def show_plan(self, names: list[str], beginning: str) -> None:
        """Say what would be learned from, and where fitting would begin."""
        self.images = len(names)
        what = f"Learns from {', '.join(names)}" if names else "Check images to fit on"
        self.plan.setText(f"{what}; goes on from {beginning}." if names else f"{what}.")

    def set_running(self, running: bool, fitting: bool) -> None:
        """Enable what makes sense now."""
        self.fit.setEnabled(not running)
        self.load.setEnabled(not running)
        self.stop.setEnabled(fitting)

    def begin(self) -> None:
        """Make room for a new fit."""
        self.kept = None
        self.anyway.hide()
        self.curve.begin()
        self.before.clear()
        self.after.clear()
        self.verdict.setText("Preparing ...")
        for part in self._seen:
            part.show()

    def show_step(self, step: Progress | Preview | Kept) -> None:
        """Show where fitting is, how the image would look, or what came of it."""
        if isinstance(step, Preview):
            self._show_preview(step)
        elif isinstance(step, Kept):
            self.kept = step
            self.verdict.setText(_told(step, self.images))
            self.anyway.setVisible(not step.helped)
        else:
            self.curve.add(step)
            self.verdict.setText(f"So far {step.verdict}")

    def _show_preview(self, preview: Preview) -> None:
        for label, picture in (
            (self.before, preview.before),
            (self.after, preview.after),
        ):
            label.setPixmap(_pixmap(picture))

    def show_thrown_away(self) -> None:
        """Say that nothing came of the fit."""
        self.verdict.setText("The fit was thrown away.")


def _told(kept: Kept, images: int) -> str:
    """What came of training."""
    verdict = kept.verdict[0].upper() + kept.verdict[1:]
    if kept.helped:
        return f"{verdict}. Run now uses this model."
    few = f"{images} image{'s are' if images != 1 else ' is'} too few"
    text = f"Training did not help ({few}). The standard model stays. {verdict}."
    return in_the_window(text)


def _pixmap(picture: Any) -> QPixmap:
    return pixmap(picture).scaled(
        _PICTURE,
        _PICTURE,
        Qt.AspectRatioMode.KeepAspectRatio,
        Qt.TransformationMode.SmoothTransformation,
    )


def _number(low: int, high: int) -> QSpinBox:
    box = QSpinBox()
    box.setRange(low, high)
    return box


def _stack(parent: QWidget, *widgets: QWidget) -> None:
    column = QVBoxLayout(parent)
    column.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        column.addWidget(widget)
