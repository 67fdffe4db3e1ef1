"""The table of outputs: what each is called, needs, and is made and shown like."""

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Literal

from napari_disentangle.compute.lazy import LazyImage
from napari_disentangle.compute.operation import Unchanged
from napari_disentangle.detector.detector import Detector
from napari_disentangle.errors import DataError
from napari_disentangle.image.field import Field
from napari_disentangle.model.attribute import Attribute
from napari_disentangle.model.encode import encoded
from napari_disentangle.model.model import Model
from napari_disentangle.model.sorting import sorted_by
from napari_disentangle.objects.codes import Codes
from napari_disentangle.objects.telling import telling_in

Kind = Literal["content", "swap", "anomaly", "expected", "maps", "classes", "objects"]
Need = Literal["nothing", "donor", "detector", "prediction", "objects"]
Shown = Literal["image", "score", "channels", "classes", "labels"]

# The one that has regions, and the one that is compared with the image in their table.
CONTENT: Kind = "content"
SWAP: Kind = "swap"
MAPS: Kind = "maps"
CLASSES: Kind = "classes"
ANOMALY: Kind = "anomaly"
EXPECTED: Kind = "expected"
OBJECTS: Kind = "objects"

NO_OTHER_LOOK = (
    "content-only has the look of the image, because that is the reference, or no "
    "other look takes part: add images, a donor or a reference"
)


@dataclass(frozen=True, eq=False)
class Ingredients:
    """What an output of one image is made from.

    Attributes
    ----------
    model, image
        The model and the image.
    source
        The image's attribute.
    donor, strength
        Attribute of the donor, and how far to go there (0 to 1).
    detector
        A fitted detector.
    device
        ``"cpu"``, ``"cuda:0"``, ...
    codes
        Objects that were found in the image, and what was measured of them.
    """

    model: Model
    image: Field
    source: Attribute
    donor: Attribute | None = None
    strength: float = 1.0
    detector: Detector | None = None
    device: str = "cpu"
    codes: Codes | None = None


@dataclass(frozen=True)
class OutputKind:
    """A kind of output.

    Attributes
    ----------
    title
        In names of layers and messages.
    label
        Where it can be chosen.
    make
        The output, not computed yet.
    needs
        What it cannot be made without. A detector that predicts is one as well.
    shown
        ``"image"``: as the image is; ``"score"``: one signed map that has regions;
        ``"channels"``: a grey layer per channel; ``"classes"``: numbers of classes in
        their colours; ``"labels"``: numbers of objects.
    usual
        Whether it is made unless something else is asked for.
    pixels
        Whether it has the image's type, so that a picture file can hold it.
    target
        The attribute under which the image is rendered.
    alike
        What to say where that is the image's own.
    """

    title: str
    label: str
    make: Callable[[Ingredients], LazyImage]
    needs: Need = "nothing"
    shown: Shown = "image"
    usual: bool = False
    pixels: bool = True
    target: Callable[[Ingredients], Attribute] = lambda given: given.model.reference
    alike: str = ""

    @property
    def detects(self) -> bool:
        """Whether a detector makes it."""
        return self.needs in ("detector", "prediction")

    @property
    def recoloured(self) -> bool:
        """Whether it is the image under another look, so that values may be cut off."""
        return self.shown == "image" and not self.detects


def _rendered(given: Ingredients) -> LazyImage:
    reference = given.model.reference
    return given.model.lazy(given.image, reference, given.source, given.device)


def _swapped(given: Ingredients) -> LazyImage:
    target = _mixed(given)
    return given.model.lazy(given.image, target, given.source, given.device)


def _mixed(given: Ingredients) -> Attribute:
    if given.donor is None:
        raise DataError("a swap needs a donor: choose a layer or a saved attribute")
    return given.model.between(given.source, given.donor, given.strength)


def _scored(given: Ingredients) -> LazyImage:
    detector = _detector(given, "an anomaly map")
    return detector.lazy(given.image, given.source, given.device)


def _predicted(given: Ingredients) -> LazyImage:
    detector = _detector(given, "a pseudo-normal image")
    return detector.expected(given.image, given.source, given.device)


def _labels(given: Ingredients) -> LazyImage:
    if given.codes is None:
        raise DataError("objects have to be found first: use nd.apply")
    return LazyImage(given.codes.objects.drawn(0), Unchanged(labels=True))


def counting(
    given: Ingredients, diameter: float | None = None, seed: int = 0
) -> Generator[float, None, Codes]:
    """Find and measure the objects of an image; yield the share that is done."""
    model = given.model
    shown = model.rendering(given.image, model.reference, given.source, given.device)
    return (yield from telling_in(shown, model, diameter, seed))


def _detector(given: Ingredients, one: str) -> Detector:
    if given.detector is None:
        raise DataError(f"{one} needs a detector: use nd.fit_detector")
    return given.detector


KINDS: dict[Kind, OutputKind] = {
    CONTENT: OutputKind(
        "content-only", "content-only", _rendered, usual=True, alike=NO_OTHER_LOOK
    ),
    SWAP: OutputKind(
        "swapped", "attribute-swapped", _swapped, "donor", usual=True, target=_mixed
    ),
    ANOMALY: OutputKind(
        "anomaly",
        "anomaly map",
        _scored,
        "detector",
        shown="score",
        usual=True,
        pixels=False,
    ),
    EXPECTED: OutputKind(
        "pseudo-normal SYNTHETIC", "pseudo-normal image", _predicted, "prediction"
    ),
    MAPS: OutputKind(
        "content map",
        "content maps",
        lambda given: encoded(_rendered(given)),
        shown="channels",
        pixels=False,
    ),
    CLASSES: OutputKind(
        "classes",
        "class map",
        lambda given: sorted_by(_rendered(given)),
        shown="classes",
        pixels=False,
    ),
    OBJECTS: OutputKind(
        "objects", "objects", _labels, "objects", shown="labels", pixels=False
    ),
}
USUAL: tuple[Kind, ...] = tuple(name for name, kind in KINDS.items() if kind.usual)


def usual(donor: bool) -> tuple[Kind, ...]:
    """What is made unless something else is asked for, with or without a donor."""
    return tuple(name for name in USUAL if donor or KINDS[name].needs != "donor")


def need(outputs: Iterable[Kind], *needs: Need) -> bool:
    """Whether any of some outputs needs one of these."""
    return any(KINDS[name].needs in needs for name in outputs)
