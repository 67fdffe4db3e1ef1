"""Asking, before a run, whether a learned model knows such images at all.

Measuring takes a second per image, so a worker does it, and what was found is
remembered.
"""

from collections.abc import Generator, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_disentangle._qt.common.worker import StepWorker
from napari_disentangle.errors import DisentangleError
from napari_disentangle.image.field import Field
from napari_disentangle.layers.style import Picked
from napari_disentangle.model.fit import unfitted
from napari_disentangle.model.remarks import unlike_words


@dataclass(frozen=True, eq=False)
class Question:
    """Whether a model knows images like this one.

    Attributes
    ----------
    key
        The image and the model; the same key has the same answer.
    model
        Name of the model, or the path of its file.
    field
        The image.
    """

    key: Hashable
    model: str
    field: Field


@dataclass(frozen=True)
class Answer:
    """What to think of before the image is given to the model; empty if nothing."""

    key: Hashable
    words: str


def about(picked: Picked, layers: Any, model: str, identity: str) -> Question:
    """Ask about an image; an answer holds while its layers keep their data."""
    own = [layers[style.name] for style in picked.styles]
    field = picked.field
    data = tuple((layer.unique_id, id(layer.data)) for layer in own)
    reading = (field.axes, field.modality, field.channel_names)
    return Question((identity, data, reading), model, field)


def answers(questions: Sequence[Question]) -> Generator[Answer | None, None, None]:
    """Answer one question after the other; ``None`` after whatever takes long."""
    for question in questions:
        words = yield from _words(question)
        yield Answer(question.key, words)


def _words(question: Question) -> Generator[None, None, str]:
    field, unlike = question.field, None
    try:
        for found in unfitted(field, question.model).measuring(field):
            unlike = found.unlike if found else None
            yield
    except (DisentangleError, ValueError) as error:
        return str(error)
    words = unlike_words(unlike)
    return f"{field.name}: {words}" if words else ""


class UnlikeCheck(QObject):  # type: ignore[misc]
    """Answers the questions of the moment in a worker, and remembers the answers."""

    changed = Signal()

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._questions: Sequence[Question] = ()
        self._known: dict[Hashable, str] = {}
        self._worker: StepWorker | None = None

    def ask(self, questions: Sequence[Question]) -> None:
        """Ask these questions, and those of before no more."""
        self.quit()
        self._questions = questions
        self.changed.emit()
        unknown = [one for one in questions if one.key not in self._known]
        if unknown:
            self._worker = StepWorker(lambda: answers(unknown))
            self._worker.yielded.connect(self._learn)
            self.destroyed.connect(self._worker.quit)
            self._worker.start()

    def quit(self) -> None:
        """Stop asking."""
        self._questions = ()
        if self._worker is not None:
            self._worker.quit()
            self._worker = None

    def words(self) -> list[str]:
        """The warnings that are known so far."""
        known = (self._known.get(one.key, "") for one in self._questions)
        return [words for words in known if words]

    def _learn(self, answer: Answer | None) -> None:
        if answer is None:
            return
        self._known[answer.key] = answer.words
        self.changed.emit()
