"""Recipe: one typed description of a run, for widget, console, CLI and files."""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)
from pydantic import Field as Limits

from napari_disentangle.errors import DataError, DisentangleError
from napari_disentangle.image.arrays import Mask
from napari_disentangle.image.field import Field, Modality
from napari_disentangle.model.model import Pool
from napari_disentangle.model.registry import DEFAULT
from napari_disentangle.pipeline.kinds import USUAL, Kind

# Marked pixels of larger images are not kept in a recipe.
_MOST_MARKED = 2**24
_TOO_MANY = ""


class RecipeError(DisentangleError):
    """The recipe cannot be followed as it is written."""


class Frozen(BaseModel):
    """A part of a recipe: nothing in it changes, and nothing unknown is in it."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(Frozen):
    """An image by name, and how it is to be read: as its file says, where ``None``.

    ``batch`` is shared by images that were prepared and taken alike. ``where`` are its
    marked pixels, if a part is marked: packed bits, compressed, as base64; empty if
    there are more than 16 million pixels.
    """

    name: str
    path: str | None = None
    axes: str | None = None
    modality: Modality | None = None
    channels: tuple[str, ...] | None = None
    full_scale: float | None = None
    where: str | None = None
    batch: str | None = None

    @classmethod
    def of(cls, field: Field) -> Source:
        """Describe a Field."""
        return cls(
            name=field.name,
            path=field.path,
            axes=field.axes,
            modality=field.modality,
            channels=field.channel_names,
            full_scale=field.full_scale,
            where=None if field.where is None else _packed(field.where),
        )

    def marks(self, shape: tuple[int, ...]) -> Mask | None:
        """The marked pixels of an image of this shape without channels, if any.

        Raises
        ------
        DataError
            If they were too many to be kept, or do not fit.
        """
        if self.where is None:
            return None
        n, bits = int(np.prod(shape)), _unpacked(self.where)
        if len(bits) != 8 * -(-n // 8):
            raise DataError(
                f"what is marked on {self.name!r} is not in the recipe, or belongs to "
                "an image of another size: mark it again"
            )
        return bits[:n].reshape(shape)


class Settings(Frozen):
    """What is done to images, whichever they are; kept as YAML or JSON.

    Attributes
    ----------
    model, config
        Model and its settings.
    outputs
        Any of ``"content"``, ``"swap"``, ``"anomaly"``, ``"expected"``, ``"maps"``,
        ``"classes"``, ``"objects"``.
    strength
        How far a swap goes.
    detector, detector_config
        Detector and its settings; outputs name the one that ``"default"`` was.
    cell
        Diameter of a typical cell in pixels, for the detector and for objects; measured
        if ``None``.
    seed
        Seed of everything that samples.
    device
        ``"cpu"``, ``"cuda:0"``, ..., or ``"auto"``.

    Raises
    ------
    RecipeError
        If something in it is unknown, missing or out of range.
    """

    format: Literal[1] = 1
    model: str = DEFAULT
    config: dict[str, Any] = {}
    outputs: tuple[Kind, ...] = USUAL
    strength: Annotated[float, Limits(ge=0, le=1)] = 1.0
    detector: str = "default"
    detector_config: dict[str, Any] = {}
    cell: Annotated[float, Limits(gt=0, allow_inf_nan=False)] | None = None
    seed: int = 0
    device: str = "auto"

    @model_validator(mode="wrap")
    @classmethod
    def _in_one_sentence(
        cls, data: Any, check: ModelWrapValidatorHandler[Self]
    ) -> Self:
        try:
            return check(data)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"]) or "the whole"
            raise RecipeError(
                f"the recipe cannot be followed: {place}: {first['msg']}"
            ) from error

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        plain: dict[str, Any] = json.loads(self.model_dump_json())
        return plain

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Read :meth:`to_json`.

        Raises
        ------
        RecipeError
            If something in it is unknown or missing.
        """
        return cls.model_validate(data)

    def save(self, path: str | Path) -> None:
        """Write YAML."""
        text = yaml.safe_dump(self.to_json(), sort_keys=False)
        Path(path).write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read YAML, or JSON from a file that ends in ``.json``."""
        try:
            text = Path(path).read_text(encoding="utf-8")
            # YAML reads some numbers of JSON, such as 1e-05, as text.
            is_json = Path(path).suffix == ".json"
            data = json.loads(text) if is_json else yaml.load(text, _Plain)
        except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
            reason = " ".join(str(error).split())
            raise RecipeError(
                f"{Path(path).name!r} cannot be read as a recipe ({reason})"
            ) from error
        return cls.from_json(data)


class Recipe(Settings):
    """What is done to which images; what is not listed here is as in Settings.

    Attributes
    ----------
    images
        Images that get outputs.
    donors
        Images whose look is given; none if ``donor`` holds an attribute.
    references
        Images whose mean look content-only gets, instead of that of all images.
    normals
        Images that show what is normal; each image itself if there are none.
    pool
        What shares an attribute; see :meth:`Model.attribute`. A batch is what
        :attr:`Source.batch` says; images without are one together if none says it,
        and each its own beside others that do.
    source, donor, reference
        Attributes (:meth:`Attribute.to_json`): of all images, if they share one; of
        the donor; and for content-only. Outputs carry the recipe of their own image
        with all of them filled in that were measured over several images.
    """

    images: tuple[Source, ...] = ()
    donors: tuple[Source, ...] = ()
    references: tuple[Source, ...] = ()
    normals: tuple[Source, ...] = ()
    pool: Pool = "image"
    source: dict[str, Any] | None = None
    donor: dict[str, Any] | None = None
    reference: dict[str, Any] | None = None

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Read :meth:`to_json`, or the provenance of an output that carries it.

        Raises
        ------
        RecipeError
            If something in it is unknown or missing.
        """
        return super().from_json(
            data.get("recipe", data) if isinstance(data, dict) else data
        )


class _Plain(yaml.SafeLoader):
    """YAML without aliases: a few of them can stand for more than any memory holds."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("it refers to a part of itself: write it out")
        return super().compose_node(parent, index)


def _packed(marked: Any) -> str:
    if np.prod(marked.shape) > _MOST_MARKED:
        return _TOO_MANY
    bits = np.packbits(np.asarray(marked).astype(bool))
    return base64.b64encode(zlib.compress(bits.tobytes())).decode()


def _unpacked(text: str) -> Mask:
    """All that is there; nothing if the text is no such thing."""
    try:
        compressed = base64.b64decode(text, validate=True)
        packed = zlib.decompressobj().decompress(compressed, _MOST_MARKED // 8)
    except (ValueError, zlib.error):
        return np.zeros(0, bool)
    return np.unpackbits(np.frombuffer(packed, np.uint8)).astype(bool)
