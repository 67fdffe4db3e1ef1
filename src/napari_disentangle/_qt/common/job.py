"""What a run does, as one iterator: from a recipe to layers, without any window."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from napari_disentangle.detector.detector import Score
from napari_disentangle.image.field import Field
from napari_disentangle.layers.data import LayerData, Marking, layer_data
from napari_disentangle.layers.style import Picked
from napari_disentangle.pipeline.follow import Failed, Step, follow
from napari_disentangle.pipeline.inputs import Inputs
from napari_disentangle.pipeline.kinds import need
from napari_disentangle.pipeline.output import Output
from napari_disentangle.pipeline.recipe import Recipe, Source


@dataclass(frozen=True, eq=False)
class Job:
    """Everything a run needs, taken from the window before it starts.

    With ``marking`` anomaly maps come with their regions.
    """

    recipe: Recipe
    picked: Sequence[Picked]
    donors: Sequence[Field] = ()
    normals: Sequence[Field] = ()
    marking: Marking | None = None

    @property
    def inputs(self) -> Inputs:
        """The images of the recipe."""
        return Inputs([one.field for one in self.picked], self.donors, self.normals)


@dataclass(frozen=True, eq=False)
class Result:
    """A finished output, the layers that show it, and what their regions are of."""

    output: Output
    picked: Picked
    layers: tuple[LayerData, ...]
    score: Score | None = None

    def having(self, piece: LayerData | Score) -> Result:
        """The same with one more piece."""
        if isinstance(piece, tuple):
            return replace(self, layers=(*self.layers, piece))
        return replace(self, score=piece)


def run_job(job: Job) -> Generator[Step | Failed | Result, None, None]:
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
        result = Result(output, picked, ())
        for piece in layer_data(output, picked.styles, job.marking):
            if isinstance(piece, Step):
                yield replace(piece, done=(finished + 0.5 + piece.done / 2) / parts)
            else:
                result = result.having(piece)
        finished += 1
        yield result


def recomputed(result: Result, strength: float) -> list[LayerData]:
    """The layers of a swap with another strength."""
    output = result.output.at_strength(strength)
    pieces = layer_data(output, result.picked.styles)
    return [piece for piece in pieces if isinstance(piece, tuple)]


def described(job: Job) -> dict[str, Any]:
    """The recipe with its images named, for a file."""
    update = {
        "images": tuple(Source.of(one.field) for one in job.picked),
        "donors": tuple(Source.of(field) for field in job.donors),
        "normals": tuple(Source.of(field) for field in job.normals),
    }
    return job.recipe.model_copy(update=update).to_json()


def recipe_hint(job: Job) -> str:
    """What to do with the recipe of a job."""
    inputs = job.inputs
    every = [*inputs.images, *inputs.donors, *inputs.normals]
    missing = ", ".join(dict.fromkeys(one.name for one in every if not one.path))
    add = f", with paths for {missing}, which came from no file" if missing else ""
    return f"save it as recipe.json for the command line{add}"


# --- the same as a script -------------------------------------------------------------
@dataclass(frozen=True)
class Names:
    """Names of the layers of a job; channels of one image are kept together.

    ``marks`` is the layer that says which parts of the normals are normal, if any;
    ``where`` the one that says where the looks are measured.
    """

    images: Sequence[Sequence[str]]
    donors: Sequence[Sequence[str]] = ()
    normals: Sequence[Sequence[str]] = ()
    marks: str = ""
    where: str = ""


def python_code(job: Job, names: Names) -> str:
    """A script for napari's console that does what the run does."""
    recipe = job.recipe
    lines = [
        "import napari_disentangle as nd",
        "",
        "layers = viewer.layers",
        f"images = {_fields(names.images, job.inputs.images, names.where)}",
        *_donor_lines(job, names),
        f"model = nd.fit({_fitted(recipe, names)}, {recipe.model!r}{_config(recipe)})",
    ]
    if names.normals and _detects(recipe):
        lines += [
            f"normals = {_fields(names.normals, job.normals, names.marks)}",
            f"detector = nd.fit_detector(normals, {_detector(recipe)})",
        ]
    if recipe.pool == "batch":
        lines.append('source = model.attribute(images, pool="batch")')
    return "\n".join([*lines, *_loop(job, names)]) + "\n"


def _reading(group: Sequence[str], field: Field) -> str:
    axes = field.axes[1:] if len(group) > 1 else field.grid_axes
    own = replace(field, full_scale=None).full_scale  # type: ignore[arg-type]
    scale = f", full_scale={field.full_scale:g}" if field.full_scale != own else ""
    return f"axes={axes!r}, modality={field.modality!r}{scale}"


def _layer(group: Sequence[str]) -> str:
    found = [f"layers[{name!r}]" for name in group]
    return found[0] if len(found) == 1 else f"[{', '.join(found)}]"


def _detects(recipe: Recipe) -> bool:
    return need(recipe.outputs, "detector", "prediction")


def _detector(recipe: Recipe) -> str:
    """Arguments of the fit of a detector, but for what is normal."""
    name = [] if recipe.detector == "default" else [repr(recipe.detector)]
    cell = [f"cell={recipe.cell!r}"] if recipe.cell else []
    config = [f"{key}={value!r}" for key, value in recipe.detector_config.items()]
    return ", ".join([*name, "on=model", f"seed={recipe.seed}", *cell, *config])


def _where(group: Sequence[str], field: Field, marks: str) -> str:
    """What is marked on an image, if anything."""
    axes = field.axes[1:] if len(group) > 1 else field.grid_axes
    found = f"nd.painted(layers[{marks!r}], {_layer(group)}, axes={axes!r})"
    return f", where={found}" if marks and field.where is not None else ""


def _fields(
    groups: Sequence[Sequence[str]], fields: Sequence[Field], marks: str = ""
) -> str:
    made = (
        f"nd.Field.from_layer{'s' * (len(group) > 1)}"
        f"({_layer(group)}, {_reading(group, field)}{_where(group, field, marks)})"
        for group, field in zip(groups, fields, strict=True)
    )
    return f"[{', '.join(made)}]"


def _donor_lines(job: Job, names: Names) -> list[str]:
    if names.donors:
        return [f"donors = {_fields(names.donors, job.donors, names.where)}"]
    if job.recipe.donor:
        return [f"donors = nd.Attribute.from_json({job.recipe.donor!r})"]
    return []


def _fitted(recipe: Recipe, names: Names) -> str:
    if names.donors:
        fresh = [i for i, donor in enumerate(names.donors) if donor not in names.images]
        everything = len(fresh) == len(names.donors)
        others = "*donors" if everything else ", ".join(f"donors[{i}]" for i in fresh)
        return f"[*images, {others}]" if others else "images"
    return "[*images, donors]" if recipe.donor else "images"


def _config(recipe: Recipe) -> str:
    return "".join(f", {key}={value!r}" for key, value in recipe.config.items())


def _loop(job: Job, names: Names) -> list[str]:
    recipe, first = job.recipe, job.inputs.images[0]
    given = [f"outputs={recipe.outputs!r}", _reading(names.images[0], first)]
    if need(recipe.outputs, "donor"):
        given += ["donor=donors", f"strength={recipe.strength!r}"]
    alone = _detects(recipe) and not names.normals and _special(recipe)
    if (names.normals and _detects(recipe)) or alone:
        given.append("detector=detector")
    if need(recipe.outputs, "detector"):
        given.append(_marking(job.marking))
    if recipe.pool == "batch":
        given.append("source=source")
    elif recipe.pool != "image":
        given.append(f"pool={recipe.pool!r}")
    if recipe.device != "auto":
        given.append(f"device={recipe.device!r}")
    groups = ", ".join(_layer(group) for group in names.images)
    if names.where:
        given.append("where=image.where")
    added = f"    nd.add_layers(viewer, model, layer, {', '.join(given)})"
    if not (alone or names.where):
        return [f"for layer in [{groups}]:", added]
    fitted = f"    detector = nd.fit_detector(image, {_detector(recipe)})"
    zipped = f"for image, layer in zip(images, [{groups}]):"
    return [zipped, *[fitted] * alone, added]


def _special(recipe: Recipe) -> bool:
    """Whether a detector is not what :func:`nd.add_layers` fits by itself."""
    chosen = recipe.detector != "default" or recipe.detector_config
    return bool(chosen or recipe.cell or recipe.seed)


def _marking(marking: Marking | None) -> str:
    if marking is None:
        return "alpha=None"
    return f"alpha={marking.alpha!r}, min_size={marking.min_size!r}"
