"""The slider of the strength: the swaps of the last run follow it."""

from __future__ import annotations

from typing import Any

from superqt.utils import qdebounced, qthrottled

from napari_disentangle._qt.runs.growing import Growing
from napari_disentangle._qt.runs.job import Result, recomputed
from napari_disentangle._qt.runs.live import Live
from napari_disentangle._qt.runs.results import RESULT, SIDE
from napari_disentangle._qt.window.account import Account
from napari_disentangle.model.attribute import Attribute

_SLIDER_MS = 30
_REST_MS = 200


class Slider:
    """Swaps under the strength of the slider: at once, or by a run if that takes long.

    Parameters
    ----------
    widget
        Whose panel has the slider, and which runs what takes long.

    Attributes
    ----------
    running
        Whether a run follows the slider.
    """

    def __init__(self, widget: Any) -> None:
        self.running = False
        self._widget, self._live = widget, Live(widget.viewer)
        self._swaps: list[Result] = []
        # Whether it was moved on while something ran, and what the run is for.
        self._again, self._asked = False, 0.0
        self._follow_soon = qthrottled(self.follow, _SLIDER_MS, parent=widget)
        self._settle_soon = qdebounced(self.settle, _REST_MS, parent=widget)

    @property
    def strength(self) -> float:
        """What it says."""
        return float(self._widget.panel.strength.value() / 100)

    def add(self, result: Result) -> None:
        """Let one more result follow, if it is a swap."""
        if result.output.donor is not None:
            self._swaps.append(result.bare())

    def forget(self) -> None:
        """Let nothing follow."""
        self._swaps = []

    def given_look(self) -> Attribute | None:
        """The look that the last swap gave."""
        looks = [swap.output.donor for swap in self._swaps if swap.output.donor]
        return looks[0] if looks else None

    def moved(self, value: int) -> None:
        """Show another strength: what is seen soon, the rest when it rests."""
        self._widget.panel.show_strength()
        if self._swaps and self._widget.last.mode not in (RESULT, SIDE):
            self._widget.show_mode(RESULT)
        self._follow_soon()
        self._settle_soon()

    def follow(self) -> None:
        """Show the strength where it is seen."""
        self._live.follow(self._swaps, self.strength)

    def flush(self) -> None:
        """Bring swaps that go pixel by pixel to the strength."""
        self._live.settle(self._swaps, self.strength)

    def settle(self) -> None:
        """Bring all swaps to the strength, networks by a run."""
        self.flush()
        late, strength = self._live.late(self._swaps, self.strength), self.strength
        if late and self._widget.running:
            self._again |= not self.running or self._asked != strength
            if self.running and self._again:
                self._widget.cancel()
        elif late:
            self.running, self._asked = True, strength
            self._widget.launch(lambda: recomputed(late, strength))

    # --- the run that follows it --------------------------------------------------
    def show(self, result: Result, growing: Growing) -> None:
        """Show what the run gives."""
        layers = self._live.begin(result)
        if result.focus is not None:
            growing.begin(result, layers)

    def filled(self, result: Result | None) -> None:
        """What was shown last is whole."""
        if self.running:
            self._live.end()
        elif result is not None:
            self.add(result)

    def put_back(self) -> None:
        """Show what was there before a result that is not whole."""
        self._live.put_back()

    def say_cancelled(self, account: Account) -> None:
        """Say so, unless it is because the slider was moved on."""
        if not self._again:
            account.put_first("Cancelled: the swap keeps its strength.")

    def ended(self) -> None:
        """Go on where it was moved to while something ran."""
        again, self.running, self._again = self._again, False, False
        if again:
            self.settle()
