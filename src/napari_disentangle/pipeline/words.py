"""What a person should think of before an image is recoloured, in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from napari_disentangle.compute.device import memory_errors, one_thread
from napari_disentangle.image.field import Field
from napari_disentangle.model.attribute import Attribute
from napari_disentangle.model.measure import foresee
from napari_disentangle.model.remarks import NOTABLE, doubt_words, stain_words
from napari_disentangle.pipeline.inputs import Inputs
from napari_disentangle.pipeline.kinds import KINDS, Ingredients, Kind
from napari_disentangle.pipeline.recipe import Recipe

# A rise of contrast that a person should know of.
_STEEP = 3.0


def cautions(recipe: Recipe, inputs: Inputs) -> Iterator[str]:
    """What to think of before fluorescence images are given one look."""
    images = [*inputs.images, *inputs.donors]
    if not any(KINDS[kind].recoloured for kind in recipe.outputs):
        return
    if images[0].modality != "fluorescence":
        return
    scales = sorted({image.full_scale for image in images})
    if len(scales) > 1:
        yield (
            "images and donors have different full scales "
            f"({', '.join(f'{scale:g}' for scale in scales)}), but grey values are "
            "matched as they are: convert all to one type and range first"
        )
    if len(inputs.images) > 1 and recipe.pool == "image" and recipe.source is None:
        yield (
            "every image is matched by itself, which also removes differences between "
            "treatments: use pool='batch'"
        )


def of_donors(
    source: Attribute,
    donor: Attribute | None,
    images: Sequence[Field],
    looks: Sequence[Attribute],
) -> Iterator[str]:
    """What is odd about the donors, and about them beside an image."""
    if donor is not None:
        yield from filter(None, [stain_words(source, donor)])
    for image, look in zip(images, looks, strict=True):
        yield from (f"donor {image.name!r}: {words}" for words in look.status)


def losses(kind: Kind, given: Ingredients) -> Iterator[str]:
    """What the type of an image cannot hold of another look, at full strength."""
    if not KINDS[kind].recoloured:
        return
    image, look = given.image, KINDS[kind].target(replace(given, strength=1.0))
    if not (given.source.found and look.found):
        return
    rendering = given.model.rendering(image, look, given.source)
    with one_thread(), memory_errors(f"looking at {image.name!r}"):
        seen = foresee(rendering)
    if seen.lost > NOTABLE:
        yield (
            f"{seen.lost:.0%} of the values would leave the range of "
            f"{image.dtype.name} at full strength and are cut off there"
        )
    yield from filter(None, [doubt_words(given.model.doubt(given.source, look))])
    if seen.rise > _STEEP:
        yield (
            f"contrast rises {seen.rise:.1f}-fold at full strength, and noise with it: "
            "the image may be hardly stained, or dark"
        )


def told(attribute: Attribute, words: Iterable[str]) -> Attribute:
    """The attribute with more to say, and nothing twice."""
    return replace(attribute, status=tuple(dict.fromkeys([*attribute.status, *words])))
