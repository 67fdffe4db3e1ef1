"""What a run does, as one iterator: from a recipe to layers, without any window."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from napari_disentangle.detector.detector import Score
from napari_disentangle.image.field import Field
from napari_disentangle.layers.data import KEY, LINK, LayerData, Marking, layer_data
from napari_disentangle.layers.filed import Focus
from napari_disentangle.layers.style import Picked
from napari_disentangle.layers.values import too_large
from napari_disentangle.pipeline.follow import Failed, Step, follow
from napari_disentangle.pipeline.inputs import Inputs
from napari_disentangle.pipeline.kinds import SWAP
from napari_disentangle.pipeline.output import Output
from napari_disentangle.pipeline.recipe import Recipe, Source

_NO_REGIONS = "the map is too large to be searched for regions: crop what interests"


@dataclass(frozen=True, eq=False)
class Job:
    """Everything a run needs, taken from the window before it starts.

    With ``marking`` anomaly maps come with their regions.
    """

    recipe: Recipe
    picked: Sequence[Picked]
    donors: Sequence[Picked] = ()
    normals: Sequence[Field] = ()
    references: Sequence[Field] = ()
    batches: Sequence[str | None] = ()
    marking: Marking | None = None

    @property
    def inputs(self) -> Inputs:
        """The images of the recipe."""
        return Inputs(
            [one.field for one in self.picked],
            [one.field for one in self.donors],
            self.normals,
            self.references,
            self.batches,
        )


@dataclass(frozen=True, eq=False)
class Result:
    """An output, the layers that show it, its score, and regions of that.

    With a ``focus`` it is not finished: steps follow that fill its layers, what is near
    the focus first, and then :class:`Filled`.
    """

    output: Output
    picked: Picked
    layers: tuple[LayerData, ...]
    score: Score | None = None
    found: tuple[Any, dict[str, Any]] | None = None
    focus: Focus | None = None

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a person should know, in words."""
        none = (_NO_REGIONS,) if too_large(self.output) else ()
        return (*self.output.status, *none)

    @property
    def unfinished(self) -> bool:
        """Whether its layers are not filled."""
        return self.focus is not None and not self.focus.filled

    def bare(self) -> Result:
        """The same without its values, which may be large."""
        layers = tuple((None, known, kind) for _, known, kind in self.layers)
        return Result(self.output, self.picked, layers)

    def having(self, piece: LayerData | Score) -> Result:
        """The same with one more piece."""
        if isinstance(piece, tuple):
            return replace(self, layers=(*self.layers, piece))
        return replace(self, score=piece)

    def searched(self, marking: Marking | None) -> Result:
        """The same with its regions, which take long to find the first time."""
        if self.score is None or marking is None:
            return self
        found = self.score.regions(marking.alpha, marking.min_size)
        return replace(self, found=found)


class Filled:
    """The layers of the last result are filled, or nobody looks at them any more."""


def run_job(job: Job) -> Generator[Step | Failed | Result | Filled, None, None]:
    """Compute all outputs; the steps' ``done`` counts the whole run."""
    parts = len(job.picked) * len(job.recipe.outputs)
    finished = 0
    for part in follow(job.recipe, job.inputs):
        if isinstance(part, Step):
            yield replace(part, done=(finished + part.done / 2) / parts)
            continue
        if isinstance(part, Failed):
            yield part
            continue
        output = part.remembering()  # for the slider
        picked = next(one for one in job.picked if one.field is output.image)
        for piece in _shown(Result(output, picked, ()), job.marking):
            if isinstance(piece, Step):
                yield replace(piece, done=(finished + 0.5 + piece.done / 2) / parts)
            elif isinstance(piece, Result):
                own = (as_the_donor(*one, job) for one in enumerate(piece.layers))
                yield replace(piece, layers=tuple(own))
            else:
                yield piece
        finished += 1


def _shown(
    result: Result, marking: Marking | None = None
) -> Iterator[Step | Result | Filled]:
    """One result, as soon as it can be seen."""
    focus = Focus()
    for piece in layer_data(result.output, result.picked.styles, marking, focus):
        if not isinstance(piece, Step):
            result = result.having(piece)
            continue
        if result.layers and result.focus is None:
            result = replace(result, focus=focus)
            yield result
        yield piece
    yield Filled() if result.focus else result.searched(marking)


def as_the_donor(number: int, piece: LayerData, job: Job) -> LayerData:
    """A layer of a swap with the contrast limits of the donor, if there is one donor.

    So both look alike where they are alike.
    """
    if len(job.donors) != 1 or job.recipe.strength < 1:
        return piece
    styles, (data, attributes, kind) = job.donors[0].styles, piece
    swapped = attributes["metadata"][KEY]["output"] == SWAP
    limits = styles[min(number, len(styles) - 1)].look.get("contrast_limits")
    if limits is None or not swapped or attributes.get("rgb"):
        return piece
    link = {**attributes["metadata"][LINK], "limits": limits}
    known = {**attributes["metadata"], LINK: link}
    return data, {**attributes, "contrast_limits": limits, "metadata": known}, kind


def recomputed(
    swaps: Sequence[Result], strength: float
) -> Iterator[Step | Result | Filled]:
    """Swaps with another strength."""
    for swap in swaps:
        yield from _shown(Result(swap.output.at_strength(strength), swap.picked, ()))


def described(job: Job) -> dict[str, Any]:
    """The recipe with its images named, for a file."""
    inputs, batches = job.inputs, job.batches or [None] * len(job.picked)
    images = [
        Source.of(image).model_copy(update={"batch": batch})
        for image, batch in zip(inputs.images, batches, strict=True)
    ]
    update = {
        "images": tuple(images),
        "donors": tuple(map(Source.of, inputs.donors)),
        "normals": tuple(map(Source.of, inputs.normals)),
        "references": tuple(map(Source.of, inputs.references)),
    }
    return job.recipe.model_copy(update=update).to_json()


def recipe_hint(job: Job) -> str:
    """What to do with the recipe of a job."""
    inputs = job.inputs
    every = [*inputs.images, *inputs.donors, *inputs.normals, *inputs.references]
    missing = ", ".join(dict.fromkeys(one.name for one in every if not one.path))
    add = f", with paths for {missing}, which came from no file" if missing else ""
    return f"save it as recipe.json for the command line{add}"
