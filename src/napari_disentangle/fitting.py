"""Where models come from: fitted on images, or read from a file."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from napari_disentangle.attribute import Attribute
from napari_disentangle.bundled import bundled, path_of, zoo
from napari_disentangle.device import pick
from napari_disentangle.errors import DataError, ModelFileError
from napari_disentangle.field import Field, Modality
from napari_disentangle.methods import DEFAULT, MODELS, method
from napari_disentangle.methods.base import Weights
from napari_disentangle.model import Model, configure, model_hash, trained
from napari_disentangle.tiles import gather
from napari_disentangle.train import Progress, train

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from napari_disentangle.model import Donor

    # Images, images that share a look, and looks that were measured before.
    Given = Field | Sequence[Field | Sequence[Field] | Attribute]

# Budget of fitting, unless another is given.
STEPS = 400


@dataclass(frozen=True, eq=False)
class FitStep:
    """One micro-batch of fitting.

    Attributes
    ----------
    progress
        Where fitting is, and how good the model is on tiles it does not learn from.
    start
        The model that fitting began with.
    fields
        Images it learns from.
    """

    progress: Progress
    start: Model
    fields: Sequence[Field]

    @property
    def losses(self) -> Mapping[str, float]:
        """Decibels of swaps, by what they were measured on."""
        return self.progress.losses

    def model(self) -> Model:
        """The model as it is now: stopping here loses nothing.

        It corrects the closed form only if that was better on held-out tiles.
        """
        blank = _learned(self)
        return replace(blank, reference=blank.look(list(self.fields)))


def _learned(step: FitStep) -> Model:
    """The model of a step with a reference that is still to be measured."""
    weights = step.progress.weights() or step.start.weights
    return no_look(replace(step.start, weights=weights))


def fit_steps(
    fields: Field | Sequence[Field | Sequence[Field]],
    model: str | Path = DEFAULT,
    seed: int = 0,
    steps: int = STEPS,
    device: str = "cpu",
    **config: Any,
) -> Iterator[FitStep]:
    """Fit a model on images, step by step; closing the iterator cancels.

    Parameters
    ----------
    fields
        Images of one modality. Images that share a look, such as parts of one slide,
        may be put together in a list: looks are learned by comparing parts.
    model
        Name in :func:`napari_disentangle.models` or :func:`napari_disentangle.zoo`, or
        the path of a saved model: where fitting begins.
    seed
        Decides every random choice; the same seed gives the same bytes on one thread.
    steps
        Budget. Fitting stops earlier when held-out tiles gain nothing any more.
    device
        ``"cpu"``, ``"cuda:0"``, ..., or ``"auto"``.
    **config
        Settings of the model.

    Yields
    ------
    FitStep
        One per micro-batch.

    Raises
    ------
    DataError
        If there is too little to learn from.
    ValueError
        If the model has nothing to learn.
    """
    groups = _groups(fields)
    images = _flat(groups)
    start = _learner(images, model, steps, **config)
    weights, device = start.weights, pick(device)
    assert weights is not None
    bank = gather(groups, start.modality == "fluorescence", seed)
    card = {
        "images": [[_seen(image) for image in group] for group in groups],
        "seen before": _memory(weights.card),
        "tiles": bank.n_tiles,
        "seed": seed,
        "budget": steps,
        "device": device,
        "began as": weights.hash,
    }
    for progress in train(bank, start.modality, weights, seed, steps, device, card):
        yield FitStep(progress, start, images)


def _learner(
    images: Sequence[Field], model: str | Path, steps: int, **config: Any
) -> Model:
    """The model that fitting begins with, if it can learn from these images."""
    start = unfitted(images[0], model, **config)
    if start.weights is None:
        raise ValueError(
            f"model {start.name!r} has nothing to learn: use nd.fit without steps"
        )
    if steps < 1:
        raise ValueError(f"the budget must be at least 1 step, but it is {steps}")
    for image in images:
        start.channel_index(image)
    return start


def fit(
    fields: Given,
    model: str | Path = DEFAULT,
    reference: Donor | None = None,
    seed: int = 0,
    steps: int | None = None,
    device: str = "cpu",
    **config: Any,
) -> Model:
    """Fit a model on images.

    Parameters
    ----------
    fields
        Images of one modality; attributes may be among them, and lists of images that
        share a look. Content-only shows every image under the mean of their attributes.
    model
        Name in :func:`napari_disentangle.models` or :func:`napari_disentangle.zoo`, or
        the path of a saved model.
    reference
        Image, images or attribute to be the reference instead.
    seed, steps, device
        For a model that learns: see :func:`fit_steps`. Without ``steps`` it stays as it
        came, and only the reference is measured.
    **config
        Settings of the model.

    Raises
    ------
    ValueError
        If the model or one of its settings is unknown.
    DataError
        If the images cannot be used together.
    """
    given = [fields] if isinstance(fields, Field) else list(fields)
    looks = [one for one in given if isinstance(one, Attribute)]
    groups = _groups([one for one in given if not isinstance(one, Attribute)])
    images = _flat(groups)
    if steps is None:
        blank = unfitted(images[0], model, **config)
    else:
        for step in fit_steps(groups, model, seed, steps, device, **config):
            last = step
        blank = _learned(last)
    shown = blank.look([*images, *looks] if reference is None else reference)
    blank.reference.check(shown)
    return replace(blank, reference=shown)


def fit_without(
    model: Model,
    /,
    fields: Field | Sequence[Field | Sequence[Field]],
    forget: Field | Sequence[Field],
    **how: Any,
) -> Model:
    """Fit again as if some images had never been seen; exact, not approximate.

    Parameters
    ----------
    model
        The model to be fitted again. It keeps which images it was fitted on, and how.
    fields
        These images, with or without those to be forgotten; they are known by name and
        path. Which of them share a look is kept as it was.
    forget
        Images to leave out.
    **how
        As in :func:`fit`; what is not given is as the model was fitted. If that began
        with a saved model, ``model`` must be its path.

    Returns
    -------
    Model
        Byte for byte what fitting on the other images alone would have given.

    Raises
    ------
    DataError
        If the model was not fitted on these images, or did not begin with these
        weights, or nothing is left.
    """
    card = model.weights.card if model.weights else {}
    if "began as" not in card:
        raise DataError(
            f"this {model.name!r} model was not fitted on images: there is nothing "
            "that it could forget"
        )
    groups = _remaining(card, _flat(fields), _flat(forget))
    known = {"seed": card["seed"], "steps": card["budget"], "device": card["device"]}
    settings = {"model": model.name, **known, **asdict(model.config), **how}
    start = unfitted(groups[0][0], settings["model"]).weights
    if start is None or start.hash != card["began as"]:
        raise DataError(
            f"fitting did not begin with the weights of {settings['model']!s}: give "
            "the path of the model that it began with as model=..."
        )
    return fit(groups, **settings)


def _remaining(
    card: Mapping[str, Any], given: Sequence[Field], forget: Sequence[Field]
) -> list[list[Field]]:
    """The images that a model was fitted on, group by group, without some."""
    here = {(image.name, image.path): image for image in given}
    gone = {(image.name, image.path) for image in forget}
    groups = [[(i["name"], i["path"]) for i in group] for group in card["images"]]
    seen = {key for group in groups for key in group}
    before = {(i["name"], i["path"]) for i in card["seen before"]}
    if len(seen) < sum(map(len, groups)):
        raise DataError("some images have the same name and path: fit with other names")
    if strange := gone - seen:
        raise DataError(f"the model was not fitted on {_names(strange)}: forget others")
    if missing := seen - gone - here.keys():
        raise DataError(
            f"the model was fitted on {_names(missing)} too: give these images as well"
        )
    if earlier := gone & before:
        raise DataError(
            f"the model that fitting began with had seen {_names(earlier)} too: fit "
            "that one without them first, and go on from it with nd.fit"
        )
    kept = [[here[key] for key in group if key not in gone] for group in groups]
    return _groups([group for group in kept if group])


def _names(images: Iterable[tuple[str, str | None]]) -> str:
    return ", ".join(sorted(name for name, _ in images))


def load(path: str | Path) -> Model:
    """Read a model that :meth:`Model.save` wrote, or a bundled one by its name.

    Raises
    ------
    ModelFileError
        If the file is not a model of this package, or damaged.
    """
    from napari_disentangle.checkpoint import read_checkpoint

    file = path_of(str(path)) if str(path) in zoo() else Path(path)
    header, tensors = read_checkpoint(file)
    try:
        return _from_header(header, tensors)
    except (KeyError, TypeError, ValueError, ModelFileError) as error:
        reason = " ".join(str(error).split())
        raise ModelFileError(
            f"{file.name!r} does not hold a whole model ({reason})"
        ) from error


def _from_header(header: dict[str, Any], tensors: dict[str, Any]) -> Model:
    if header["modality"] not in get_args(Modality):
        raise ValueError(f"modality {header['modality']!r} is unknown")
    card = header["card"]
    model = Model(
        header["model"],
        configure(header["model"], header["config"]),
        header["modality"],
        tuple(header["channels"]),
        Attribute.from_json(header["reference"]),
        None if card is None else Weights(tensors, dict(card)),
    )
    known = no_look(model).reference
    if (known.names, known.model_hash) != (
        model.reference.names,
        model.reference.model_hash,
    ):
        raise ValueError("its parts do not belong together")
    return model


def unfitted(field: Field, model: str | Path, **config: Any) -> Model:
    """A model for images like this one that has no reference yet."""
    modality = field.modality
    assert modality is not None
    name = str(model)
    known = None if name in MODELS else saved(name)
    modalities = (known.modality,) if known else method(name).modalities
    if modality not in modalities:
        raise DataError(
            f"model {Path(model).name!r} works on {' and '.join(modalities)} images, "
            f"but {field.name!r} is {modality}: choose another model"
        )
    channels = tuple(c for c in field.channel_names if c != "alpha")
    if known is None:
        weights = bundled(name, modality)
        nothing = Attribute(np.empty(0), (), np.empty(0), 0, channels, name, "")
        settings = configure(name, config)
        return no_look(Model(name, settings, modality, channels, nothing, weights))
    settings = configure(known.name, asdict(known.config) | config)
    own = channels if name in zoo() else known.channels
    return no_look(replace(known, config=settings, channels=own))


def saved(model: str) -> Model:
    """A bundled model by its name, or one from a file.

    Raises
    ------
    ValueError
        If there is none of that name.
    """
    if model in zoo() or _is_file(model):
        return load(model)
    raise ValueError(
        f"model {model!r} is unknown: use one of {', '.join([*MODELS, *zoo()])}, or "
        "the path of a .safetensors file"
    )


def _is_file(model: str) -> bool:
    return Path(model).suffix == ".safetensors"


def place(model: str) -> str:
    """The whole path of a saved model; names stay names."""
    return str(Path(model).absolute()) if _is_file(model) else model


def no_look(model: Model) -> Model:
    """The same model with a reference that is still to be measured."""
    names = trained(model.name, model.weights).names(model.channels)
    nothing = np.full(len(names), np.nan)
    known = model_hash(model.name, model.config, model.weights)
    reference = Attribute(nothing, names, nothing, 0, model.channels, model.name, known)
    return replace(model, reference=reference)


def _groups(fields: Field | Sequence[Field | Sequence[Field]]) -> list[list[Field]]:
    many = [fields] if isinstance(fields, Field) else list(fields)
    groups = [[one] if isinstance(one, Field) else list(one) for one in many]
    if not any(groups):
        raise DataError("there is no image to fit on: give at least one")
    return [group for group in groups if group]


def _flat(fields: Field | Sequence[Field | Sequence[Field]]) -> list[Field]:
    return [image for group in _groups(fields) for image in group]


def _seen(image: Field) -> dict[str, str | None]:
    """What the model remembers of an image."""
    return {"name": image.name, "path": image.path}


def _memory(card: Mapping[str, Any]) -> list[dict[str, str | None]]:
    """All images that a model has seen, since it was bundled."""
    now = [image for group in card.get("images", ()) for image in group]
    every = [*card.get("seen before", ()), *now]
    return list({(i["name"], i["path"]): i for i in every}.values())
