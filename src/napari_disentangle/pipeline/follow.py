"""Following a recipe: the one path behind the widget, the console and the CLI."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from napari_disentangle.compute.device import pick
from napari_disentangle.compute.iterators import changed
from napari_disentangle.detector.detector import Detector, same_image
from napari_disentangle.detector.fit import learning
from napari_disentangle.detector.registry import check_expects, named, settings
from napari_disentangle.errors import DataError, DisentangleError
from napari_disentangle.image.field import Field
from napari_disentangle.model.attribute import Attribute, average
from napari_disentangle.model.fit import place, unfitted
from napari_disentangle.model.model import Model, Pool
from napari_disentangle.objects.codes import Codes
from napari_disentangle.pipeline import words
from napari_disentangle.pipeline.inputs import Inputs
from napari_disentangle.pipeline.kinds import KINDS, Ingredients, Kind, counting, need
from napari_disentangle.pipeline.output import Output, made_of
from napari_disentangle.pipeline.recipe import Recipe, Source

# Share of what comes before an output after which looks are measured.
_MEASURED = 0.1


@dataclass(frozen=True)
class Step:
    """A sign of life of a long run.

    Attributes
    ----------
    text
        What is being done, in words.
    done
        Share that is done of what comes before the next output, 0 to 1.
    """

    text: str
    done: float


@dataclass(frozen=True)
class Failed:
    """An image that nothing could be made of; the others are done.

    Attributes
    ----------
    image
        Its name.
    reason
        Why, in one sentence.
    """

    image: str
    reason: str


def follow(
    recipe: Recipe,
    inputs: Inputs,
    detector: Detector | None = None,
    model: Model | None = None,
    wanted: Callable[[Field, Kind], bool] = lambda image, kind: True,
) -> Iterator[Step | Failed | Output]:
    """Follow a recipe up to lazy outputs; nothing but samples is read.

    Parameters
    ----------
    recipe
        What to do.
    inputs
        The images that it names.
    detector
        A fitted detector, instead of one fitted as the recipe says.
    model
        A fitted model, instead of the one that the recipe names. What it learned is
        found again only if the recipe names the file that it was saved to.
    wanted
        Which outputs of which images are made, of those that the recipe names.

    Yields
    ------
    Step, Failed or Output
        Signs of life, what became of images that cannot be used beside others, then
        one output per image and kind, in the recipe's order.

    Raises
    ------
    DataError
        If the images do not go together, none can be used, or a swap has no donor.
    """
    if not inputs.images:
        raise DataError("no image is chosen: choose at least one")
    if detector is not None:
        recipe, inputs = _naming(detector, recipe, inputs)
    if need(recipe.outputs, "prediction"):
        check_expects(recipe.detector)
    if model is None:
        model = unfitted(inputs.images[0], recipe.model, **recipe.config)
    sources = yield from _sources(model, recipe, inputs)
    inputs = inputs.having(sources)
    looks = yield from _looks(model, inputs.donors)
    donor = _donor(recipe, looks)
    sources = {
        image: words.told(source, words.of_donors(source, donor, inputs.donors, looks))
        for image, source in sources.items()
    }
    reference = yield from _reference(model, recipe, inputs, sources, looks)
    model = replace(model, reference=reference)
    for image, source in sources.items():
        given = Ingredients(
            model, image, source, donor, recipe.strength, detector, pick(recipe.device)
        )
        kinds = [kind for kind in recipe.outputs if wanted(image, kind)]
        given, refused = yield from _outputs(recipe, inputs, given, kinds)
        if refused and len(sources) == 1:
            raise refused[0]  # once all that can be made is made
        for reason in dict.fromkeys(map(str, refused)):
            yield Failed(image.name, reason)
        detector = given.detector if inputs.normals else detector


def _outputs(
    recipe: Recipe, inputs: Inputs, given: Ingredients, kinds: Sequence[Kind]
) -> Generator[Step | Output, None, tuple[Ingredients, list[DisentangleError]]]:
    """Outputs of an image; returns what they were made from, and what refused some."""
    refused = []
    for kind in kinds:
        try:
            given = yield from _output(recipe, inputs, given, kind)
        except DisentangleError as error:
            refused.append(error)
    return given, refused


def _output(
    recipe: Recipe, inputs: Inputs, given: Ingredients, kind: Kind
) -> Generator[Step | Output, None, Ingredients]:
    """One output of an image; returns what it was made from."""
    model, image, source = given.model, given.image, given.source
    resolved = _resolved(recipe, inputs, model, image, source, given.donor).to_json()
    if KINDS[kind].detects and given.detector is None:
        fitted = yield from _learn(model, recipe, inputs, image, source)
        given = replace(given, detector=fitted)
    if KINDS[kind].needs == "objects":
        given = replace(given, codes=(yield from _objects(recipe, given)))
    told = replace(given, source=words.told(source, words.losses(kind, given)))
    yield made_of(kind, told, resolved)
    return given


def _objects(recipe: Recipe, given: Ingredients) -> Generator[Step, None, Codes]:
    """Objects of an image and what is measured of them."""
    steps = counting(given, recipe.cell, recipe.seed)
    return (yield from changed(steps, partial(Step, "finding objects")))


# --- parts of a run -----------------------------------------------------------------
def _sources(
    model: Model, recipe: Recipe, inputs: Inputs
) -> Generator[Step | Failed, None, dict[Field, Attribute]]:
    """The attribute of every image, with what to think of before they are used."""
    if recipe.source is not None:
        sources = dict.fromkeys(inputs.images, Attribute.from_json(recipe.source))
    else:
        batch = recipe.pool == "batch"
        pool: Pool = "image" if batch else recipe.pool
        sources = yield from _usable(model, inputs.images, pool)
        if batch:
            sources = _shared(sources, inputs)
    yield Step("measuring", _MEASURED)
    cautions = tuple(words.cautions(recipe, inputs))
    return {image: words.told(source, cautions) for image, source in sources.items()}


def _shared(
    sources: Mapping[Field, Attribute], inputs: Inputs
) -> dict[Field, Attribute]:
    """The mean attribute of the batch of every image."""
    looks: dict[Field, Attribute] = {}
    for images in inputs.batched():
        usable = [image for image in images if image in sources]
        if usable:
            mean = average([sources[image] for image in usable])
            looks |= dict.fromkeys(usable, mean)
    return {image: looks[image] for image in sources}


def _usable(
    model: Model, images: Sequence[Field], pool: Pool
) -> Generator[Step | Failed, None, dict[Field, Attribute]]:
    """Attributes of the images that can be measured.

    Raises
    ------
    DisentangleError
        If none can.
    """
    sources: dict[Field, Attribute] = {}
    reasons: dict[Field, DisentangleError] = {}
    for i, image in enumerate(images):
        done = partial(replace, done=_MEASURED * i / len(images))
        try:
            (look,) = yield from changed(_looks(model, [image], pool), done)
            sources[image] = look
        except DisentangleError as error:
            reasons[image] = error
    if not sources:
        raise next(iter(reasons.values()))
    for image, reason in reasons.items():
        yield Failed(image.name, str(reason))
    return sources


def _looks(
    model: Model, images: Sequence[Field], pool: Pool = "image"
) -> Generator[Step, None, list[Attribute]]:
    """Measure images one by one; a sign of life after whatever takes long."""
    looks: list[Attribute] = []
    for image in images:
        for part in model.measuring(image, pool):
            if part is None:
                yield Step(f"measuring {image.name}", _MEASURED)
            else:
                looks.append(part)
    return looks


def _donor(recipe: Recipe, looks: Sequence[Attribute]) -> Attribute | None:
    if recipe.donor is not None:
        return Attribute.from_json(recipe.donor)
    if looks:
        return average(looks)
    if need(recipe.outputs, "donor"):
        raise DataError("a swap needs a donor: choose a layer or a saved attribute")
    return None


def _reference(
    model: Model,
    recipe: Recipe,
    inputs: Inputs,
    sources: Mapping[Field, Attribute],
    looks: Sequence[Attribute],
) -> Generator[Step, None, Attribute]:
    """The given one, that of the reference images, or the mean look of all.

    Every batch has one vote, if batches are named.
    """
    if recipe.reference is not None:
        reference = Attribute.from_json(recipe.reference)
        model.reference.check(reference)
        return reference
    if inputs.references:
        return average((yield from _looks(model, inputs.references)))
    if recipe.pool == "batch" and any(inputs.batches) and recipe.source is None:
        return average([sources[images[0]] for images in inputs.batched()])
    measured = recipe.pool == "image" and recipe.source is None
    own = sources.values() if measured else (yield from _looks(model, inputs.images))
    others = [
        look
        for donor, look in zip(inputs.donors, looks, strict=True)
        if all(donor.levels[0] is not image.levels[0] for image in inputs.images)
    ]
    saved = [Attribute.from_json(recipe.donor)] if recipe.donor else []
    return average([*own, *others, *saved])


def _naming(
    detector: Detector, recipe: Recipe, inputs: Inputs
) -> tuple[Recipe, Inputs]:
    """A recipe that would fit this detector again."""
    known = {
        "detector": detector.name,
        "detector_config": asdict(detector.config),
        "seed": detector.seed,
        "cell": detector.cell,
    }
    normals = () if _of_itself(detector, inputs) else detector.fitted_on
    return recipe.model_copy(update=known), replace(inputs, normals=normals)


def _of_itself(detector: Detector, inputs: Inputs) -> bool:
    """Whether a detector was fitted on nothing but the whole image that it scores."""
    both = [*inputs.images, *detector.fitted_on]
    return len(both) == 2 and same_image(*both) and both[1].where is both[0].where


def _resolved(
    recipe: Recipe,
    inputs: Inputs,
    model: Model,
    image: Field,
    source: Attribute,
    donor: Attribute | None,
) -> Recipe:
    """A recipe for one image, with everything filled in that was measured.

    Of several images, each keeps its source: alone it would not say what they shared.
    """
    shared = recipe.pool == "batch" or (
        recipe.pool == "image" and len(inputs.images) > 1
    )
    return recipe.model_copy(
        update={
            "images": (Source.of(image),),
            "donors": tuple(Source.of(f) for f in inputs.donors),
            "normals": tuple(Source.of(f) for f in inputs.normals),
            "references": tuple(Source.of(f) for f in inputs.references),
            "model": place(recipe.model),
            "config": asdict(model.config),
            "device": pick(recipe.device),
            **_detector(recipe, inputs, image),
            "source": source.to_json() if shared else recipe.source,
            "donor": donor.to_json() if donor else None,
            "reference": model.reference.to_json(),
        }
    )


def _detector(recipe: Recipe, inputs: Inputs, image: Field) -> dict[str, Any]:
    """Name and all settings of the detector."""
    name = _name(recipe, inputs, image)
    chosen = settings(name, recipe.detector_config)
    return {"detector": name, "detector_config": asdict(chosen)}


def _name(recipe: Recipe, inputs: Inputs, image: Field) -> str:
    """Which detector the recipe means for an image."""
    return named(recipe.detector, not inputs.normals and image.where is None)


def _learn(
    model: Model, recipe: Recipe, inputs: Inputs, image: Field, source: Attribute
) -> Generator[Step, None, Detector]:
    """Fit the detector on the normals, or else on the very image."""
    steps = learning(
        list(inputs.normals) or [image],
        _name(recipe, inputs, image),
        model,
        recipe.seed,
        [] if inputs.normals else [source],
        recipe.cell,
        recipe.detector_config,
    )
    return (
        yield from changed(
            steps,
            lambda share: Step("learning normal", _MEASURED + (1 - _MEASURED) * share),
        )
    )
