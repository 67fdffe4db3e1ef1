"""The outputs of the one idea, as lazy arrays: content-only, swapped, anomaly, ..."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from napari_disentangle._version import __version__
from napari_disentangle.compute.iterators import finished
from napari_disentangle.compute.lazy import LazyImage
from napari_disentangle.detector.detector import Detector
from napari_disentangle.errors import DataError
from napari_disentangle.files.text import TABLE
from napari_disentangle.image.arrays import Array
from napari_disentangle.image.field import Field
from napari_disentangle.model.attribute import Attribute
from napari_disentangle.model.model import Donor, Model
from napari_disentangle.model.render import Contents, Rendering
from napari_disentangle.objects.codes import Codes
from napari_disentangle.objects.table import features
from napari_disentangle.objects.table import recipe as told
from napari_disentangle.pipeline.kinds import KINDS, USUAL, Ingredients, Kind, counting

# p values of pixels whose z is kept with an anomaly map.
_ALPHAS = (0.05, 0.01, 0.001)


@dataclass(frozen=True, eq=False)
class Output:
    """One output of one image, not computed yet.

    Attributes
    ----------
    kind
        ``"content"``, ``"swap"``, ``"anomaly"``, ``"expected"``, ``"maps"``,
        ``"classes"`` or ``"objects"``.
    lazy
        The array; ``lazy.provenance`` says how it came about.
    donor
        Attribute that a swap moves to.
    detector
        What scored an anomaly map, or expected an image.
    codes
        Objects that labels are of, and what was measured of them.
    """

    kind: Kind
    lazy: LazyImage
    donor: Attribute | None = None
    detector: Detector | None = None
    codes: Codes | None = None

    @property
    def image(self) -> Field:
        """The image it belongs to."""
        return self.codes.objects.images[0] if self.codes else self.lazy.field

    @property
    def table(self) -> Mapping[str, Array] | None:
        """The row of every object, columns (n,) by name; ``None`` if it has none."""
        return features(self.codes.objects, 0, [self.codes]) if self.codes else None

    @property
    def status(self) -> tuple[str, ...]:
        """What a person should know, in words."""
        return tuple(self.lazy.provenance["status"])

    def remembering(self) -> Output:
        """The same; with another strength a swap need not look for content again."""
        operation = self.lazy.operation
        if self.donor is None or not isinstance(operation, Rendering):
            return self
        keeping = replace(operation, contents=Contents())
        return replace(self, lazy=replace(self.lazy, operation=keeping))

    def at_strength(self, strength: float) -> Output:
        """The same swap with another strength; nothing is measured again."""
        operation = self.lazy.operation
        if self.donor is None or not isinstance(operation, Rendering):
            raise DataError(f"{self.kind} has no strength: only a swap has one")
        target = operation.source.mix(self.donor, strength)
        known = self.lazy.provenance
        fresh = dict(known) | {"attribute": attributes(operation.source, target)}
        if "recipe" in known:
            fresh["recipe"] = dict(known["recipe"]) | {"strength": strength}
        lazy = replace(
            self.lazy, operation=replace(operation, target=target), provenance=fresh
        )
        return replace(self, lazy=lazy)


def apply(
    model: Model,
    field: Field,
    output: Kind = USUAL[0],
    donor: Donor | None = None,
    strength: float = 1.0,
    detector: Detector | None = None,
    source: Attribute | None = None,
    device: str = "cpu",
) -> LazyImage:
    """Make an output that is computed only where it is read.

    Parameters
    ----------
    model
        A fitted model.
    field
        The image; its pyramid is kept (``.levels``), but for what a detector makes,
        which is computed at full resolution.
    output
        ``"content"``, ``"swap"``, ``"anomaly"``, ``"expected"``, the pseudo-normal
        image that a detector predicts, ``"maps"``, the content maps that a model
        works with, for other programs, ``"classes"``, what ``affine`` takes the pixels
        of a colour image for, or ``"objects"``, labels of what is found in
        content-only, which is computed at once.
    donor, strength
        For a swap: image, images or attribute, and how far to go (0 to 1).
    detector
        For an anomaly map and a pseudo-normal image: a fitted detector.
    source
        The image's attribute if it is known, e.g. that of its batch.
    device
        ``"cpu"``, ``"cuda:0"``, ...

    Returns
    -------
    LazyImage
        Of the image's shape and type; float32 without channels for an anomaly map,
        int32 for objects;
        float32 with one channel per content map, the channels before Y and X unless
        the image has its own there or further in front.

    Examples
    --------
    >>> import numpy as np
    >>> import napari_disentangle as nd
    >>> rng = np.random.default_rng(0)
    >>> dark = nd.Field(rng.integers(0, 90, (64, 64)).astype("uint8"), "YX")
    >>> bright = nd.Field(rng.integers(90, 250, (64, 64)).astype("uint8"), "YX")
    >>> model = nd.fit([dark, bright], "meanstd")
    >>> lazy = nd.apply(model, dark, "swap", donor=bright)
    >>> lazy.shape, lazy.dtype
    ((64, 64), dtype('uint8'))
    """
    return make(model, field, output, donor, strength, detector, source, device).lazy


def make(
    model: Model,
    field: Field,
    output: Kind = USUAL[0],
    donor: Donor | None = None,
    strength: float = 1.0,
    detector: Detector | None = None,
    source: Attribute | None = None,
    device: str = "cpu",
) -> Output:
    """Make an :class:`Output`; arguments are those of :func:`apply`."""
    if output not in KINDS:
        raise ValueError(f"output {output!r} is unknown: use one of {', '.join(KINDS)}")
    own = model.attribute(field) if source is None else source
    look = None
    if donor is not None and KINDS[output].needs == "donor":
        look = model.look(donor)
    given = Ingredients(model, field, own, look, strength, detector, device)
    return made_of(output, given)


def made_of(
    name: Kind, given: Ingredients, recipe: Mapping[str, Any] | None = None
) -> Output:
    """Make an :class:`Output`, perhaps as a recipe says."""
    kind = KINDS[name]
    if kind.needs == "objects" and given.codes is None:
        given = replace(given, codes=finished(counting(given)))
    lazy = kind.make(given)
    provenance = _provenance(name, given, recipe)
    return Output(
        name,
        replace(lazy, provenance=provenance),
        given.donor if kind.needs == "donor" else None,
        given.detector if kind.detects else None,
        given.codes if kind.needs == "objects" else None,
    )


def _provenance(
    name: Kind, given: Ingredients, recipe: Mapping[str, Any] | None
) -> dict[str, Any]:
    """How an output came about, in plain JSON types."""
    kind, source = KINDS[name], given.source
    target = kind.target(given)
    same = bool(source.names) and np.array_equal(source.values, target.values)
    provenance: dict[str, Any] = {
        "software": f"napari-disentangle {__version__}",
        "output": name,
        "synthetic": True,
        "image": given.image.name,
        "model_hash": source.model_hash,
        "attribute": attributes(source, target),
        "status": [*source.status, *([kind.alike] if same and kind.alike else [])],
    }
    if recipe is not None:
        provenance["recipe"] = dict(recipe)
    if given.detector is not None and kind.detects:
        provenance |= _scored_by(given.detector, given.image)
        provenance["status"] += given.detector.doubts(given.image, source)
    if given.codes is not None and kind.needs == "objects":
        provenance |= _found(given.codes)
        provenance["status"] += given.codes.objects.said
    return provenance


def _scored_by(detector: Detector, image: Field) -> dict[str, Any]:
    """Which detector, compared with what, and how its z is to be read."""
    return {
        "detector": detector.name,
        "detector_hash": detector.hash,
        "basis": detector.basis(image),
        "cell": detector.diameter,
        "calibration": detector.calibrated(image).figures(_ALPHAS),
    }


def _found(codes: Codes) -> dict[str, Any]:
    """How objects were found and measured, and that their table lies beside them."""
    known = told(codes.objects, codes)
    return {"objects": known["objects"], "codes": known["codes"], TABLE: True}


def attributes(source: Attribute, target: Attribute) -> dict[str, Any]:
    """Source and target attribute in plain JSON types."""
    return {"source": source.to_json(), "target": target.to_json()}
