"""The contract of a detector: features of a plane, fitted to normal, then scored."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from napari_disentangle.image.arrays import Array, Doubles, Floats


class Judge(Protocol):
    """What every detector has to state: how features are compared with normal."""

    @property
    def description(self) -> str:
        """One sentence for a person who chooses a detector."""

    @property
    def config(self) -> type[Any]:
        """Frozen dataclass of settings: its fields are the form and the options."""

    def halo(self, config: Any) -> int:
        """How many pixels around a pixel its features see, at least 1.

        What is normal is learned at full resolution, and so it is scored there only.
        """

    def fit(self, features: Floats, config: Any) -> Mapping[str, Doubles]:
        """Learn normal from feature vectors (F, N)."""

    def score(self, features: Floats, normal: Mapping[str, Doubles]) -> Floats:
        """How far feature vectors (F, ...) are from normal, each for itself."""


class Scorer(Judge, Protocol):
    """A detector whose features are given."""

    def features(self, signal: Array, config: Any) -> Floats:
        """Features (F, h, w) of a signal (C, h, w)."""


@dataclass(frozen=True, eq=False)
class Seen:
    """What a detector sees in a signal.

    Attributes
    ----------
    features
        (F, h, w).
    expected
        (C, h, w) the signal that its surroundings let one expect; ``None`` from a
        detector that expects nothing.
    """

    features: Floats
    expected: Floats | None


@runtime_checkable
class Learner(Judge, Protocol):
    """A detector that learns to see: it expects a signal, from its surroundings."""

    def stride(self, config: Any) -> int:
        """Regions have to begin at multiples of this."""

    def learn(
        self, tiles: Sequence[Floats], config: Any, seed: int
    ) -> Iterator[float | Mapping[str, Array]]:
        """Learn to see, from normal tiles (C, h, w), NaN where nothing is known.

        Yields
        ------
        float or mapping
            The share that is done; at last what was learned.
        """

    def seeing(
        self, signal: Floats, config: Any, learned: Mapping[str, Array]
    ) -> Generator[None, None, Seen]:
        """Look at a signal (C, h, w) that begins at a multiple of ``step``.

        Yields
        ------
        None
            After every pass.
        """
