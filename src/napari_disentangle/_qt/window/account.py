"""What is said of a run while it goes on: what happened, and remarks on images."""

from __future__ import annotations

from collections.abc import Sequence

from napari_disentangle._qt.window.parts import Message
from napari_disentangle._qt.window.wording import remarks
from napari_disentangle.errors import DisentangleError


class Account:
    """Lines in the place of messages, before the remarks on images.

    Parameters
    ----------
    message
        The place of messages.
    """

    def __init__(self, message: Message) -> None:
        self._message = message
        self.begin(0)

    def begin(self, images: int) -> None:
        """Forget the run before; this one has so many images."""
        self._images = images
        self._lines: list[str] = []
        self._notes: dict[str, list[str]] = {}

    def add(self, line: str) -> None:
        """Say one more line."""
        self._lines.append(line)
        self._say()

    def put_first(self, line: str) -> None:
        """Say a line before all others."""
        self._lines.insert(0, line)
        self._say()

    def fail(self, error: Exception) -> None:
        """Say why the run stopped."""
        known = isinstance(error, (DisentangleError, ValueError))
        text = str(error) if known else f"{type(error).__name__}: {error}"
        self.put_first(f"The run stopped: {text}")

    def remark(self, image: str, texts: Sequence[str]) -> None:
        """Say what is to be known of an image."""
        for text in texts:
            names = self._notes.setdefault(text, [])
            if image not in names:
                names.append(image)
        self._say()

    def _say(self) -> None:
        self._message.say([*self._lines, *remarks(self._notes, self._images)])
