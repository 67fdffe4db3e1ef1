"""fader: as context, but what is odd in the surroundings is not handed on.

OUR READING of FADeR (Park et al. 2024, arXiv 2407.04597), of which we could read the
abstract only: a predictor with one deterministic mask per pass is frozen, and a module
of two layers, trained on its reconstruction errors, attenuates features while they are
decoded (nets.attenuator, detection.attenuation). It is not the authors' code. If the
attenuator is of no use on normal tiles that it was not trained with, the predictor goes
without it: ``attenuated`` among what is learned tells. Features and score are those of
context, OUR CHOICE.
"""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

from napari_disentangle.detector import context
from napari_disentangle.detector.base import Features
from napari_disentangle.detector.masked import attenuation, prediction
from napari_disentangle.detector.masked.prediction import Learned
from napari_disentangle.image.arrays import Floats

# Steps of the attenuator per step of the predictor.
_SHARE = 0.2
# Share of the work that they are, about.
_WORK = 0.3


@dataclass(frozen=True)
class Fader(context.Context):
    """The detector."""

    description: str = "As context, and what is odd around is kept from explaining it."

    def learn(
        self, tiles: Sequence[Floats], config: context.Config, seed: int
    ) -> Iterator[float | Learned]:
        """Train the predictor, then the attenuator."""
        learned: Learned = {}
        for part in prediction.learn(tiles, config.steps, seed):
            if isinstance(part, float):
                yield part * (1 - _WORK)
            else:
                learned = part
        (masks,), steps = config.policy, max(1, round(_SHARE * config.steps))
        for part in attenuation.learn(tiles, learned, masks, steps, seed):
            if isinstance(part, float):
                yield 1 - _WORK + _WORK * part
            else:
                yield {**learned, **part}

    def extracting(
        self, signal: Floats, config: context.Config, learned: Learned
    ) -> Generator[None, None, Features]:
        """Features of context, with the attenuated predictor."""
        build = attenuation.attenuated
        steps = prediction.predicting(signal, learned, config.policy, build=build)
        return context.extracted(signal, (yield from steps))


SCORER = Fader()
