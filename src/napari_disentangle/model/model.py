"""Model: what fitting and loading return; it measures attributes and renders."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from napari_disentangle.compute.device import pick
from napari_disentangle.compute.lazy import LARGE_TILE, TILE, LazyImage, check_memory
from napari_disentangle.errors import ChannelError, DataError
from napari_disentangle.image.arrays import Array, Floats
from napari_disentangle.image.field import Field, Modality
from napari_disentangle.model.attribute import Attribute, average
from napari_disentangle.model.base import Method, Weights
from napari_disentangle.model.measure import Reader, measure
from napari_disentangle.model.registry import method
from napari_disentangle.model.render import Rendering
from napari_disentangle.model.settings import checked

Pool = Literal["image", "batch", "stack", "frame"]
Fields = Field | Sequence[Field | Attribute]
Donor = Fields | Attribute


@dataclass(frozen=True, eq=False)
class Model:
    """A fitted model.

    Attributes
    ----------
    name
        Name in :func:`napari_disentangle.models`.
    config
        Its settings.
    modality
        Kind of image it was fitted on.
    channels
        Channels it works on, matched by name; others are left alone.
    reference
        Attribute under which content-only is shown.
    weights
        What it has learned; ``None`` for closed forms.
    path
        Whole path of the file that holds it, or its name in
        :func:`napari_disentangle.zoo`; ``None`` if it was never saved.
    """

    name: str
    config: Any
    modality: Modality
    channels: tuple[str, ...]
    reference: Attribute = field(repr=False)
    weights: Weights | None = field(default=None, repr=False)
    path: str | None = None

    @cached_property
    def method(self) -> Method:
        """The mathematics behind it."""
        return method(self.name).learned(self.config, self.weights)

    @cached_property
    def hash(self) -> str:
        """Identifies model, settings and weights; attributes carry it."""
        return model_hash(self.name, self.config, self.weights)

    def __getstate__(self) -> dict[str, Any]:
        """Without what is cached: closed forms hold functions without a name."""
        return {known.name: getattr(self, known.name) for known in fields(self)}

    # --- attributes ---------------------------------------------------------------
    def attribute(self, fields: Fields, pool: Pool = "image") -> Attribute:
        """Measure how images look.

        Parameters
        ----------
        fields
            One image, or several; attributes measured before may be among them.
        pool
            ``"image"``: one attribute for the whole image. ``"batch"``: one for all
            images together, one vote each. ``"stack"``: one per time point;
            ``"frame"``: one per plane.

        Raises
        ------
        DataError
            If a channel is missing, or several images are given without
            ``pool="batch"``.
        """
        many = [fields] if isinstance(fields, Field) else list(fields)
        check_images(one for one in many if not isinstance(one, Attribute))
        if pool not in get_args(Pool):
            raise ValueError(f"pool {pool!r} is unknown: use one of {get_args(Pool)}")
        if not many:
            raise DataError("no image was given: a batch needs at least one")
        if len(many) > 1 and pool != "batch":
            raise DataError(
                f"{len(many)} images were given: use pool='batch' for several"
            )
        return average_or_one(
            [f if isinstance(f, Attribute) else self._measure(f, pool) for f in many]
        )

    def _measure(self, field: Field, pool: Pool) -> Attribute:
        *_, last = self.measuring(field, pool)
        assert last is not None
        return last

    def measuring(
        self, field: Field, pool: Pool = "image"
    ) -> Iterator[Attribute | None]:
        """Measure one image like :meth:`attribute`, so that it can be cancelled.

        Yields
        ------
        Attribute or None
            ``None`` after everything that takes long; at last the attribute.
        """
        axes = {"frame": field.lead_axes, "stack": field.lead_axes.replace("Z", "")}
        index = self.channel_index(field)
        reader = Reader(self.method, self.config, self.hash)
        found = yield from measure(reader, field, index, axes.get(pool, ""))
        named = enumerate(field.channel_names)
        extra = [name for i, name in named if i not in index]
        left = (f"left alone: {', '.join(extra)}",) if extra else ()
        yield Attribute(
            values=found.values,
            names=self.method.names(self.channels),
            spread=found.spread,
            n_tiles=found.n_tiles,
            channels=self.channels,
            model=self.name,
            model_hash=self.hash,
            axes=axes.get(pool, ""),
            status=found.status + left,
            empty=found.empty,
        )

    def channel_index(self, field: Field) -> list[int]:
        """Where this model's channels are in an image."""
        if field.modality != self.modality:
            raise ChannelError(
                f"{field.name!r} is {field.modality}, but the model was fitted on "
                f"{self.modality} images: fit another one"
            )
        colours = [i for i, c in enumerate(field.channel_names) if c != "alpha"]
        unnamed = self.channels == ("0",)  # what images are called that nobody named
        if unnamed and len(colours) == 1:
            return colours
        missing = [c for c in self.channels if c not in field.channel_names]
        if missing:
            cure = (
                f"make one for them with nd.fit(images, {self.path or self.name!r})"
                if unnamed
                else "choose an image with these channels"
            )
            raise ChannelError(
                f"{field.name!r} has channels {list(field.channel_names)}, but the "
                f"model needs {missing} too: {cure}"
            )
        return [field.channel_names.index(c) for c in self.channels]

    def doubt(self, look: Attribute, target: Attribute | None = None) -> float:
        """How far readings of a swap differ, as a share of the full scale.

        Parameters
        ----------
        look
            Of the image.
        target
            The look that it is given; the reference if ``None``.
        """
        other = self.reference if target is None else target
        rows = np.broadcast_arrays(look.values, other.values)
        n, size = math.prod(rows[0].shape[:-1]), rows[0].shape[-1]
        pairs = zip(*(row.reshape(n, size) for row in rows), strict=True)
        known = [pair for pair in pairs if np.isfinite(pair).all()]
        return max((self.method.doubt(*pair) for pair in known), default=0.0)

    def inspect(self, field: Field) -> tuple[str, ...]:
        """Say in words what a person should know before trusting the result."""
        return self.attribute(field).status

    # --- rendering ----------------------------------------------------------------
    def encode(self, field: Field) -> Floats:
        """Content maps, channels first (K, ..., Y, X), float32."""
        source = self.attribute(field)
        height, width = field.plane_shape
        n_values = len(self.channels) * math.prod(field.grid_shape)
        check_memory(4 * n_values, field.name)
        render = Rendering(
            self.method, self.channel_index(field), field, source, self.reference
        )
        maps = [render.content(field.plane(lead), lead) for lead in field.leads()]
        stacked = np.stack(maps, axis=1)
        return stacked.reshape(len(stacked), *field.lead_shape, height, width)

    def render(
        self,
        field: Field,
        attribute: Attribute,
        source: Attribute | None = None,
        device: str = "cpu",
    ) -> Array:
        """Show an image's content under an attribute: the one primitive.

        Parameters
        ----------
        field
            The image.
        attribute
            The look to be given.
        source
            The look to be taken away; measured on the image if ``None``.
        device
            ``"cpu"``, ``"cuda:0"``, ...

        Returns
        -------
        ndarray
            Same shape and type as ``field.data`` at full resolution.
        """
        return np.asarray(self.lazy(field, attribute, source, device))

    def lazy(
        self,
        field: Field,
        attribute: Attribute,
        source: Attribute | None = None,
        device: str = "cpu",
    ) -> LazyImage:
        """Like :meth:`render`, but computed where it is read."""
        rendering = self.rendering(field, attribute, source, device)
        tile = TILE if rendering.halo else LARGE_TILE
        return LazyImage(field, rendering, tile=tile)

    def rendering(
        self,
        field: Field,
        attribute: Attribute,
        source: Attribute | None = None,
        device: str = "cpu",
    ) -> Rendering:
        """The operation behind :meth:`lazy`, for regions of the image.

        Raises
        ------
        DataError
            If there is something to render, but the target has no foreground.
        """
        own = self.attribute(field) if source is None else source
        for one in (own, attribute):
            self.reference.check(one)
            one.check_rows(field.lead_axes, field.lead_shape)
        if own.found and not attribute.found:
            raise DataError(
                "the donor or reference has no foreground to measure: choose another"
            )
        index = self.channel_index(field)
        return Rendering(self.method, index, field, own, attribute, pick(device))

    def content(self, field: Field, reference: Attribute | None = None) -> Array:
        """Content-only: the image under the reference attribute."""
        return self.render(field, self.reference if reference is None else reference)

    def swap(self, field: Field, donor: Donor, strength: float = 1.0) -> Array:
        """The image with the look of a donor, from 0 (as it is) to 1 (the donor's)."""
        own = self.attribute(field)
        return self.render(field, self.between(own, self.look(donor), strength), own)

    def between(self, own: Attribute, look: Attribute, strength: float) -> Attribute:
        """The attribute between two; a blank image has none and takes the donor's."""
        return own.mix(look, strength) if own.found else look

    def look(self, donor: Donor) -> Attribute:
        """Attribute of a donor: an image, several, or an attribute itself."""
        if isinstance(donor, Attribute):
            return donor
        return self.attribute(donor, "image" if isinstance(donor, Field) else "batch")

    def save(self, path: str | Path) -> Model:
        """Write the model to a ``.safetensors`` file, for :func:`~fitting.load`.

        Returns the same model, whose recipes name that file.
        """
        from napari_disentangle.model.checkpoint import write_checkpoint

        header = {
            "model": self.name,
            "config": asdict(self.config),
            "modality": self.modality,
            "channels": list(self.channels),
            "reference": self.reference.to_json(),
            "card": dict(self.weights.card) if self.weights else None,
        }
        tensors = self.weights.tensors if self.weights else {}
        write_checkpoint(path, header, tensors)
        return replace(self, path=str(Path(path).absolute()))


def configure(model: str, config: dict[str, Any]) -> Any:
    """Settings of a model from plain values, checked."""
    return checked(model, method(model).config, config)


def check_images(images: Iterable[object]) -> None:
    """Refuse what is no image.

    Raises
    ------
    ValueError
        If one of them is no :class:`Field`.
    """
    for image in images:
        if not isinstance(image, Field):
            raise ValueError(
                f"{type(image).__name__!r} is no image here: make one with "
                "nd.Field(array, axes='YX'), or nd.read(path)"
            )


def model_hash(name: str, config: Any, weights: Weights | None = None) -> str:
    """Short hash of a model's name, settings and weights."""
    learned = [weights.hash] if weights else []
    text = json.dumps([name, asdict(config), *learned], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def average_or_one(attributes: Sequence[Attribute]) -> Attribute:
    """One attribute as it is (rows per plane included), several averaged."""
    return attributes[0] if len(attributes) == 1 else average(attributes)
