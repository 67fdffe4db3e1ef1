"""The options of ``napari-disentangle apply``, and how they become a recipe."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, get_type_hints
from urllib.parse import parse_qsl

import numpy as np
from pydantic import TypeAdapter, ValidationError
from typer import Argument, Option

import napari_disentangle as nd
from napari_disentangle.detector.registry import ALONE, named
from napari_disentangle.detector.registry import DEFAULT as DETECTOR
from napari_disentangle.detector.registry import scorer as scorer_of
from napari_disentangle.errors import DisentangleError, ModelFileError
from napari_disentangle.files.registry import FORMATS
from napari_disentangle.image.arrays import Mask
from napari_disentangle.image.field import Modality
from napari_disentangle.model.fit import place, saved
from napari_disentangle.model.model import Pool
from napari_disentangle.model.registry import DEFAULT
from napari_disentangle.model.registry import method as method_of
from napari_disentangle.pipeline.kinds import KINDS, usual
from napari_disentangle.pipeline.recipe import RecipeError, Source

File = partial(Option, metavar="FILE")
Value = partial(Option, metavar="NAME=VALUE")

Folder = Annotated[
    Path, Option("--folder", "-o", metavar="FOLDER", help="Where the outputs go.")
]
Inputs = Annotated[
    list[Path] | None,
    Argument(metavar="IMAGE", help="Images; they replace those of --recipe."),
]
Model = Annotated[
    str | None,
    Option(
        metavar="NAME|FILE",
        help=f"A model, see `models`, or a saved one. Default: {DEFAULT}.",
    ),
]
Learn = Annotated[list[Path], Argument(metavar="IMAGE", help="Images to learn from.")]
Out = Annotated[
    Path, File("--out", "-o", help="Where the model goes; ends in .safetensors.")
]
Begin = Annotated[
    str,
    Option(
        "--model",
        metavar="NAME|FILE",
        help="What to begin with: a model that learns, or a saved one to go on with.",
    ),
]
Steps = Annotated[int, Option(help="Budget; stops earlier when nothing is gained.")]
FitSeed = Annotated[int, Option("--seed", help="Seed of all random choices.")]
FitDevice = Annotated[str, Option("--device", help="auto, cpu, cuda:0, ...")]
Setting = Annotated[
    list[str] | None, Value("--set", help="A setting of the model. Repeatable.")
]
Output = Annotated[
    list[str] | None,
    Option(
        metavar="|".join(KINDS),
        help="Repeatable. Default: content, swap if there is a donor, and anomaly.",
    ),
]
Donor = Annotated[
    list[Path] | None, File(help="Image that gives its look. Repeatable: mean look.")
]
DonorAttribute = Annotated[
    Path | None, File(help="Saved attribute (JSON) instead of --donor.")
]
Reference = Annotated[
    Path | None,
    File(help="Look of content-only: an image, or .json. Default: mean of the images."),
]
Normal = Annotated[
    list[Path] | None, File(help="Image of what is normal. Repeatable. Default: self.")
]
Strength = Annotated[
    float | None, Option(help="How far a swap goes, 0 to 1. Default: 1.")
]
Pooling = Annotated[
    Pool | None, Option("--pool", help="What shares a look. Default: image.")
]
Axes = Annotated[str | None, Option(help="Axes of the images, e.g. CZYX.")]
ImageKind = Annotated[
    Modality | None, Option("--modality", help="Default: what the file says.")
]
FullScale = Annotated[
    float | None,
    Option("--full-scale", help="Value of full transmittance, e.g. 4095 for 12 bits."),
]
Where = Annotated[
    Path | None, File(help="Measure the images' look where this image is not 0.")
]
Detector = Annotated[
    str | None,
    Option(
        help=f"A detector, see `models`. Default: {DETECTOR}, {ALONE} without --normal."
    ),
]
DetectorSetting = Annotated[
    list[str] | None, Value("--detector-set", help="A setting of the detector.")
]
Cell = Annotated[
    float | None,
    Option(help="Diameter of a typical cell in pixels. Default: measured."),
]
Alpha = Annotated[
    float, Option(help="Largest p value of a pixel in a region, above 0 and below 1.")
]
MinSize = Annotated[int, Option(help="Smallest number of pixels of a region.")]
Csv = Annotated[Path | None, File("--csv", help="Write a table of the regions here.")]
Geojson = Annotated[
    Path | None, File("--geojson", help="Write their outlines here, for QuPath.")
]
Seed = Annotated[int | None, Option(help="Seed of all sampling. Default: 0.")]
Device = Annotated[str | None, Option(help="auto, cpu, cuda:0, ... Default: auto.")]
Suffix = Annotated[
    str | None,
    Option(
        "--format",
        help=".ome.tif, .ome.zarr, .png, ... Default: the image's; .png for JPEG.",
    ),
]
SkipExisting = Annotated[
    bool, Option("--skip-existing", help="Leave files that are there as they are.")
]
RecipeFile = Annotated[
    Path | None, File("--recipe", help="Recipe (YAML), or an output that keeps one.")
]
SaveRecipe = Annotated[Path | None, File(help="Write this call's recipe here (YAML).")]

Changes = Mapping[str, Any]
# What can be said of a file behind its name, and what it is to Python.
_SAID = {
    "axes": "axes",
    "full_scale": "full_scale",
    "kind": "modality",
    "channels": "channel_names",
    "where": "where",
}


def amend(recipe: nd.Recipe, *changes: Changes) -> nd.Recipe:
    """Change a recipe and check it as a whole."""
    changed = recipe.to_json()
    for some in changes:
        changed |= some
    return nd.Recipe.from_json(changed)


def given(**options: Any) -> Changes:
    """The options that are given at all."""
    return {name: value for name, value in options.items() if value is not None}


def load_recipe(path: Path) -> nd.Recipe:
    """Read a recipe file, or the recipe that an output file keeps.

    Raises
    ------
    RecipeError
        If there is none in it.
    """
    if not path.name.lower().endswith(tuple(FORMATS)):
        return nd.Recipe.load(path)
    origin = nd.read_provenance(path)
    if "recipe" not in origin:
        raise RecipeError(
            f"{path.name!r} keeps no recipe: give a file that a recipe has made"
        )
    return nd.Recipe.from_json(origin)


def method(name: str | None, settings: list[str] | None, start: nd.Recipe) -> Changes:
    """Another model or other settings; what was measured for the old ones goes."""
    if name is None and settings is None:
        return {}
    known = place(name or start.model)
    return {
        "model": known,
        "config": settings_of(known, settings),
        "source": None,
        "donor": None,
        "reference": None,
    }


def settings_of(model: str, settings: Sequence[str] | None) -> Changes:
    """Settings of a model that are given as ``name=value`` texts."""
    known = model in nd.models()
    config = method_of(model).config if known else type(saved(model).config)
    return parse(config, settings or (), f"model {model!r}")


def scorer(
    name: str | None,
    settings: list[str] | None,
    normal: list[Path] | None,
    start: nd.Recipe,
) -> Changes:
    """Another detector or other settings."""
    if name is None and settings is None:
        return {}
    known = named(name or start.detector, not (normal or start.normals))
    config = parse(scorer_of(known).config, settings or (), f"detector {known!r}")
    return {"detector": known, "detector_config": config}


def parse(config: type[Any], settings: Sequence[str], owner: str) -> Changes:
    """Read ``name=value`` texts as the fields of a settings dataclass.

    Raises
    ------
    ValueError
        If a name is unknown, or a value is not of the field's type or range.
    """
    kinds = {f.name: get_type_hints(config)[f.name] for f in fields(config)}
    parsed = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals or name not in kinds:
            raise ValueError(
                f"{setting!r} is no setting of {owner}: "
                f"use name=value with {' or '.join(kinds) or 'nothing: it has none'}"
            )
        try:
            parsed[name] = TypeAdapter(kinds[name]).validate_strings(text)
        except ValidationError as error:
            reason = error.errors()[0]["msg"]
            raise ValueError(
                f"{text!r} cannot be {name} of {owner}: {reason}"
            ) from error
    config(**parsed)
    return parsed


def images(
    flags: Changes, inputs: list[Path] | None, normals: list[Path] | None
) -> Changes:
    """The images, and those of what is normal; an earlier batch's look goes."""
    changed: dict[str, Any] = {}
    if inputs:
        changed |= {"images": [_source(flags, p) for p in inputs], "source": None}
    if normals:
        changed |= {"normals": _sources(flags, normals)}
    return changed


def donors(flags: Changes, paths: list[Path] | None, attribute: Path | None) -> Changes:
    """The donor: images, or a saved attribute.

    Raises
    ------
    ValueError
        If both are given.
    """
    if paths and attribute:
        raise ValueError("--donor and --donor-attribute exclude each other: give one")
    if paths:
        return {"donors": _sources(flags, paths), "donor": None}
    return {"donors": [], "donor": load_attribute(attribute)} if attribute else {}


def possible_outputs(plan: nd.Recipe) -> Changes:
    """The usual outputs; a swap only if there is a donor.

    An anomaly map takes longer than the rest, and comes if something is said of it.
    """
    known = usual(donor=bool(plan.donors or plan.donor))
    asked = plan.normals or plan.detector != "default" or plan.cell
    return {"outputs": [kind for kind in known if asked or not KINDS[kind].detects]}


def look(plan: nd.Recipe, flags: Changes, path: Path) -> dict[str, Any]:
    """The attribute in a JSON file, or that of an image under the recipe's model."""
    if path.suffix.lower() == ".json":
        return load_attribute(path)
    return nd.fit(
        opened(_kind(flags), path), plan.model, **plan.config
    ).reference.to_json()


def load_attribute(path: Path) -> dict[str, Any]:
    """Read a saved attribute.

    Raises
    ------
    ModelFileError
        If the file is something else.
    """
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelFileError(
            f"{path.name!r} is not a saved attribute ({error})"
        ) from error
    return nd.Attribute.from_json(saved).to_json()


def opened(flags: Changes, path: Path) -> nd.Field:
    """Open ``FILE[#number][?axes=TYX&full_scale=4095&kind=brightfield&where=MASK]``.

    ``channels=DNA,actin`` names channels, so that those of a donor find theirs. What is
    said behind the name goes before the flags.
    """
    place, own = _spelled(path)
    said = {**flags, **own}
    where = said.pop("where", None)
    field = nd.read(place, **said)
    return field if where is None else replace(field, where=_marked(Path(where)))


def _marked(path: Path) -> Mask:
    """Where a mask is not zero, in any of its channels."""
    mask = nd.read(path)
    marked = np.asarray(mask.levels[0]) != 0
    if "C" in mask.axes:
        marked = marked.any(axis=mask.axes.index("C"))
    return np.asarray(marked, bool)


def _spelled(path: Path) -> tuple[str, dict[str, Any]]:
    """A file, and what is said of it behind a question mark.

    Raises
    ------
    ValueError
        If it is said in other words.
    """
    text, sign, query = str(path).rpartition("?")
    if not sign or path.exists():
        return str(path), {}
    said: dict[str, Any] = dict(parse_qsl(query, keep_blank_values=True))
    if unknown := said.keys() - _SAID:
        raise ValueError(
            f"{path.name!r} says {', '.join(sorted(unknown))}: use "
            f"{', '.join(_SAID)}, e.g. {Path(text).name}?axes=TYX&full_scale=4095"
        )
    if "full_scale" in said:
        try:
            said["full_scale"] = float(said["full_scale"])
        except ValueError as error:
            raise ValueError(f"{path.name!r}: full_scale must be a number") from error
    if "channels" in said:
        said["channels"] = tuple(said["channels"].split(","))
    return text, {_SAID[name]: value for name, value in said.items()}


def _kind(flags: Changes) -> Changes:
    """The flag that holds for all: of another kind a donor could not be used."""
    return {name: value for name, value in flags.items() if name == "modality"}


def _source(flags: Changes, path: Path) -> dict[str, Any]:
    """An image as a recipe has it; one that cannot be read fails alone, later."""
    place, own = _spelled(path)
    try:
        return Source.of(opened(flags, path)).model_dump()
    except DisentangleError:
        said = {**flags, **own, "channels": own.get("channel_names")}
        said = {k: v for k, v in said.items() if k not in ("where", "channel_names")}
        known = Source(name=Path(place).name, path=place, **said)
        return known.model_dump()


def _sources(flags: Changes, paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Donors or normals: their axes and full scale are their own."""
    return [Source.of(opened(_kind(flags), path)).model_dump() for path in paths]
