"""What a run does, as a script for napari's console."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from napari_disentangle._qt.runs.job import Job
from napari_disentangle.image.field import Field
from napari_disentangle.layers.data import Marking
from napari_disentangle.pipeline.kinds import need
from napari_disentangle.pipeline.recipe import Recipe


@dataclass(frozen=True)
class Names:
    """Names of the layers of a job; channels of one image are kept together.

    ``marks`` is the layer that says which parts of the normals are normal, if any;
    ``where`` the one that says where the looks are measured.
    """

    images: Sequence[Sequence[str]]
    donors: Sequence[Sequence[str]] = ()
    normals: Sequence[Sequence[str]] = ()
    references: Sequence[Sequence[str]] = ()
    marks: str = ""
    where: str = ""


def python_code(job: Job, names: Names) -> str:
    """A script for napari's console that does what the run does."""
    recipe = job.recipe
    lines = [
        "import napari_disentangle as nd",
        "",
        "layers = viewer.layers",
        f"images = {fields_code(names.images, job.inputs.images, names.where)}",
        *_donor_lines(job, names),
        *_reference_lines(job, names),
        f"model = nd.fit({_fitted(recipe, names)}, {recipe.model!r}{_config(recipe)})",
        *_batch_lines(job),
    ]
    if recipe.reference:
        lines += _replaced(f"nd.Attribute.from_json({recipe.reference!r})")
    if names.normals and _detects(recipe):
        lines += [
            f"normals = {fields_code(names.normals, job.normals, names.marks)}",
            f"detector = nd.fit_detector(normals, {_detector(recipe)})",
        ]
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


def fields_code(
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
        return [f"donors = {fields_code(names.donors, job.inputs.donors, names.where)}"]
    if job.recipe.donor:
        return [f"donors = nd.Attribute.from_json({job.recipe.donor!r})"]
    return []


def _reference_lines(job: Job, names: Names) -> list[str]:
    if not names.references:
        return []
    return [
        f"references = {fields_code(names.references, job.references, names.where)}"
    ]


def _batch_lines(job: Job) -> list[str]:
    """Looks of batches, and the mean of them as the reference if no other is given."""
    if job.recipe.pool != "batch":
        return []
    lines = [
        f"batches = {list(_batch_names(job))!r}",
        "looks = {}",
        "for batch in dict.fromkeys(batches):",
        "    alike = [i for i, name in zip(images, batches) if name == batch]",
        '    looks[batch] = model.attribute(alike, pool="batch")',
    ]
    if job.references or job.recipe.reference:
        return lines
    mean = 'model.attribute(list(looks.values()), pool="batch")'
    return [*lines, *_replaced(mean)]


def _replaced(reference: str) -> list[str]:
    """Lines that give the model another reference."""
    return [
        "from dataclasses import replace",
        f"model = replace(model, reference={reference})",
    ]


def _batch_names(job: Job) -> Iterator[str]:
    """A name for every batch, also for that of an image that is its own."""
    for number, batch in enumerate(job.batches):
        yield batch or f"image {number + 1}"


def _fitted(recipe: Recipe, names: Names) -> str:
    if names.references:
        return "references"
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
        given.append("source=looks[batch]")
    elif recipe.pool != "image":
        given.append(f"pool={recipe.pool!r}")
    elif len(job.picked) > 1:  # else each would forget what it shared
        given.append("source=model.attribute(image)")
    if recipe.device != "auto":
        given.append(f"device={recipe.device!r}")
    groups = ", ".join(_layer(group) for group in names.images)
    if names.where:
        given.append("where=image.where")
    added = f"    nd.add_layers(viewer, model, layer, {', '.join(given)})"
    if recipe.pool == "batch":
        return [f"for image, layer, batch in zip(images, [{groups}], batches):", added]
    if not (alone or names.where or "source=model.attribute(image)" in given):
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
