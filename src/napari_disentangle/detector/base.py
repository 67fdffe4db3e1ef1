"""The contract of a detector: features of a plane, fitted to normal, then scored."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from napari_disentangle.image.arrays import Array, Doubles, Floats

Learned = Mapping[str, Array]


@dataclass(frozen=True, eq=False)
class Features:
    """What a detector extracts from a signal.

    Attributes
    ----------
    maps
        (F, h, w).
    expected
        (C, h, w) the signal that its surroundings let one expect; ``None`` from a
        detector that expects nothing.
    """

    maps: Floats
    expected: Floats | None = None


class Scorer:
    """What a detector has to state; the defaults are those of fixed features.

    Attributes
    ----------
    description
        One sentence for a person who chooses a detector.
    config
        Frozen dataclass of settings: its fields are the form and the options.
    expects
        Whether it predicts a signal from its surroundings, and learns to.
    """

    description: str
    config: type[Any]
    expects: bool = False

    def halo(self, config: Any) -> int:
        """How many pixels around a pixel its features see, at least 1.

        What is normal is learned at full resolution, and so it is scored there only.
        """
        raise NotImplementedError

    def stride(self, config: Any) -> int:
        """Regions have to begin at multiples of this."""
        return 1

    def learn(
        self, tiles: Sequence[Floats], config: Any, seed: int
    ) -> Iterator[float | Learned]:
        """Learn to extract, from normal tiles (C, h, w), NaN where nothing is known.

        Yields
        ------
        float or mapping
            The share that is done; at last what was learned.
        """
        raise NotImplementedError

    def features(self, signal: Array, config: Any) -> Floats:
        """Features (F, h, w) of a signal (C, h, w)."""
        raise NotImplementedError

    def extracting(
        self, signal: Floats, config: Any, learned: Learned
    ) -> Generator[None, None, Features]:
        """Extract features of a signal (C, h, w) that begins at a multiple of stride.

        Yields
        ------
        None
            After every pass.
        """
        yield from ()
        return Features(self.features(signal, config))

    def fit(self, features: Floats, config: Any) -> Mapping[str, Doubles]:
        """Learn normal from feature vectors (F, N)."""
        raise NotImplementedError

    def score(self, features: Floats, normal: Mapping[str, Doubles]) -> Floats:
        """How far feature vectors (F, ...) are from normal, each for itself."""
        raise NotImplementedError
