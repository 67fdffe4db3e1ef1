"""Study: which images belong together, and what they are made alike by."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import Field as Limits
from pydantic import ValidationInfo, field_validator, model_validator

from napari_disentangle.files.registry import FORMATS
from napari_disentangle.image.field import Modality
from napari_disentangle.pipeline.kinds import CONTENT, Kind, need
from napari_disentangle.pipeline.recipe import Frozen, Settings

# Columns that every image has, whatever else is said of it.
OWN_COLUMNS = ("name", "folder")
Share = Literal["group", "image"]


class Input(Frozen):
    """Where images come from: one of ``folder``, ``files``, ``table`` and ``plate``.

    Attributes
    ----------
    folder, glob
        A folder, and which files in it and below: all images, unless a pattern such as
        ``"*/DAPI/*.tif"`` is given.
    files
        Paths one by one.
    table
        A CSV file with a column ``path``, relative to the table; its other columns are
        known of every image, and ``axes``, ``modality`` and ``full_scale`` say how the
        image is to be read.
    plate
        An OME-Zarr plate; of every field are known ``plate``, ``well``, ``row``,
        ``column`` and ``field``.
    all_images
        Whether all images of files that hold several take part, or the first.
    axes, modality, full_scale
        What files do not say, or say wrongly.
    """

    folder: str | None = None
    glob: str = "**/*"
    files: tuple[str, ...] | None = None
    table: str | None = None
    plate: str | None = None
    all_images: bool = False
    axes: str | None = None
    modality: Modality | None = None
    full_scale: float | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        kinds = ("folder", "files", "table", "plate")
        said = [name for name in kinds if getattr(self, name) is not None]
        if len(said) != 1:
            raise ValueError(f"an input is one of {', '.join(kinds)}, not {said}")
        return self


class Target(Frozen):
    """A look: the mean of a group, that of an image, or one that was saved as JSON."""

    group: str | None = None
    image: str | None = None
    look: str | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        said = [name for name, one in self if one is not None]
        if len(said) != 1:
            raise ValueError(f"a look is one of group, image, look, not {said}")
        return self


class Study(Settings):
    """Images that are given one look, group by group; the rest is as in Settings.

    Paths are relative to the folder that the recipe is in, so that both can be moved.

    Attributes
    ----------
    inputs
        Where the images come from.
    labels
        Columns that are read from paths: a regular expression each, whose first group
        (or the whole of what it finds) is the value.
    group
        Column that tells which images were prepared and taken alike; all are alike
        without. There are ``name``, ``folder``, those of tables and plates, and
        ``labels``.
    controls
        Values (``*`` and ``?`` stand for any) of columns by which controls are known.
        Then the look of a group is that of its controls alone, so that what a
        treatment does stays.
    biology
        Column that tells what images should keep telling, such as a treatment or a
        diagnosis; only the report looks at it. Without, whether they are controls.
    normal
        What the outputs ``anomaly`` and ``expected`` are compared with, said as
        ``controls`` are; the controls without, and without those every image itself.
    look
        What shares a look: a ``"group"``, or every ``"image"`` by itself, which also
        removes what treatments do.
    reference
        The look that all are given: ``"study"``, the mean of the looks of all groups,
        or another one.
    donor
        The look of the output ``swap``.
    folder
        Where results go.
    suffix
        ``".ome.zarr"``, ``".ome.tif"``, ``".png"``, ...; that of the image if ``None``.
    workers
        Images that are worked on at once; as many as there are cores if ``None``.
    root
        The folder that paths are relative to.
    """

    inputs: Annotated[tuple[Input, ...], Limits(min_length=1)]
    labels: dict[str, str] = Limits(default_factory=dict)
    group: str | None = None
    controls: dict[str, tuple[str, ...]] = Limits(default_factory=dict)
    biology: str | None = None
    normal: dict[str, tuple[str, ...]] = Limits(default_factory=dict)
    look: Share = "group"
    reference: Literal["study"] | Target = "study"
    donor: Target | None = Limits(default=None, validate_default=True)
    outputs: Annotated[tuple[Kind, ...], Limits(min_length=1)] = (CONTENT,)
    folder: str = "normalised"
    suffix: str | None = None
    workers: Annotated[int, Limits(ge=1)] | None = None
    root: Path = Limits(default=Path(), exclude=True)

    @field_validator("labels")
    @classmethod
    def _patterns(cls, labels: dict[str, str]) -> dict[str, str]:
        for column, pattern in labels.items():
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(
                    f"{pattern!r} of {column!r} is no regular expression ({error}): "
                    r"write e.g. '_(leica|aperio)\.tif'"
                ) from error
        return labels

    @field_validator("suffix")
    @classmethod
    def _known(cls, suffix: str | None) -> str | None:
        if suffix is not None and suffix not in FORMATS:
            raise ValueError(f"{suffix!r} is none of {', '.join(FORMATS)}")
        return suffix

    @field_validator("donor")
    @classmethod
    def _there(cls, donor: Target | None, known: ValidationInfo) -> Target | None:
        if donor is None and need(known.data.get("outputs", ()), "donor"):
            raise ValueError("a swap needs one: say which group, image or look")
        return donor

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read YAML; paths in it are relative to where it is."""
        return super().load(path).at(Path(path).absolute().parent)

    def at(self, root: Path) -> Self:
        """The same study in a folder."""
        return self.model_copy(update={"root": root})

    def moved(self, root: Path) -> Self:
        """The same study with paths that are relative to another folder."""

        def there(path: str) -> str:
            return os.path.relpath(self.place(path), root)

        inputs = tuple(
            _moved(one, ("folder", "table", "plate"), there) for one in self.inputs
        )
        changed: dict[str, object] = {
            "inputs": inputs,
            "folder": there(self.folder),
            "donor": self.donor and _moved(self.donor, ("image", "look"), there),
            "root": root,
        }
        if isinstance(self.reference, Target):
            changed["reference"] = _moved(self.reference, ("image", "look"), there)
        if self.place(self.model).is_file():
            changed["model"] = there(self.model)
        return self.model_copy(update=changed)

    @property
    def target(self) -> Path:
        """The folder of results."""
        return self.place(self.folder)

    def place(self, path: str) -> Path:
        """Where something is that the recipe names."""
        return Path(os.path.normpath(self.root / path))


_Part = TypeVar("_Part", Input, Target)


def _moved(one: _Part, names: Sequence[str], there: Callable[[str], str]) -> _Part:
    """A part of a recipe with other paths."""
    known = {name: getattr(one, name) for name in names}
    changed: dict[str, object] = {
        k: there(v) for k, v in known.items() if v is not None
    }
    if isinstance(one, Input) and one.files is not None:
        changed["files"] = tuple(map(there, one.files))
    return one.model_copy(update=changed)
