"""Where models come from: fitted on images, or read from a file."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np

from napari_disentangle.compute.device import pick
from napari_disentangle.errors import DataError, ModelFileError
from napari_disentangle.image.field import Field, Modality
from napari_disentangle.model.attribute import Attribute
from napari_disentangle.model.base import Weights
from napari_disentangle.model.model import (
    Donor,
    Model,
    check_images,
    configure,
    model_hash,
)
from napari_disentangle.model.registry import DEFAULT, MODELS, method
from napari_disentangle.model.tiles import gather
from napari_disentangle.model.train import Progress, preparing, train
from napari_disentangle.model.zoo import bundled, path_of, zoo

Given = Field | Sequence[Field | Sequence[Field] | Attribute]

# Budget of fitting, unless another is given.
STEPS = 400
# Looks of brightfield images are drawn for red, green and blue.
_COLOURS = 3


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
        blank = learned(self)
        return replace(blank, reference=blank.look(list(self.fields)))


def learned(step: FitStep) -> Model:
    """The model of a step with a reference that is still to be measured."""
    weights = step.progress.weights() or step.start.weights
    return no_look(replace(step.start, weights=weights, path=None))


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
        One per micro-batch, and more of the same while the model is examined.

    Raises
    ------
    DataError
        If there is too little to learn from.
    ValueError
        If the model has nothing to learn.
    """
    groups = grouped(fields)
    images = flat(groups)
    start = _learner(images, model, steps, **config)
    weights, device = start.weights, pick(device)
    looking = FitStep(preparing(steps, {}), start, images)
    smallest = start.method.smallest_tile
    for found in gather(groups, seed, smallest):
        bank = found
        yield looking
    assert bank is not None
    card = {
        "images": [[_seen(image) for image in group] for group in groups],
        "seen before": _memory(weights.card) if weights else [],
        "tiles": bank.n_tiles,
        "seed": seed,
        "budget": steps,
        "device": device,
        "began as": weights.hash if weights else None,
    }
    lesson = start.method.lesson(weights)
    for progress in train(bank, lesson, seed, steps, device, card):
        yield FitStep(progress, start, images)


def _learner(
    images: Sequence[Field], model: str | Path, steps: int, **config: Any
) -> Model:
    """The model that fitting begins with, if it can learn from these images."""
    start = beginning(images[0], model, **config)
    if start.modality not in start.method.learns:
        raise ValueError(
            f"model {start.name!r} has nothing to learn from {start.modality} images: "
            "use it as it is (nd.fit without steps)"
        )
    if steps < 1:
        raise ValueError(f"the budget must be at least 1 step, but it is {steps}")
    if start.modality == "brightfield" and len(start.channels) != _COLOURS:
        raise DataError(
            f"brightfield images are learned from in {_COLOURS} channels together, "
            f"but these have {len(start.channels)}: choose colour images"
        )
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
    groups = grouped([one for one in given if not isinstance(one, Attribute)])
    images = flat(groups)
    if steps is None:
        blank = unfitted(images[0], model, **config)
    else:
        for step in fit_steps(groups, model, seed, steps, device, **config):
            last = step
        blank = learned(last)
    shown = blank.look([*images, *looks] if reference is None else reference)
    blank.reference.check(shown)
    return replace(blank, reference=shown)


def load(path: str | Path) -> Model:
    """Read a model that :meth:`Model.save` wrote, or a bundled one by its name.

    Raises
    ------
    ModelFileError
        If the file is not a model of this package, or damaged.
    """
    from napari_disentangle.model.checkpoint import read_checkpoint

    name = str(path)
    file = path_of(name) if name in zoo() else Path(path)
    header, tensors = read_checkpoint(file)
    try:
        return replace(_from_header(header, tensors), path=place(name))
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
    """A model for images like this one that has no reference yet.

    Raises
    ------
    DataError
        If it is for other images, or says nothing until it was fitted.
    """
    blank = beginning(field, model, **config)
    if blank.weights is None and blank.method.needs_fit:
        raise DataError(
            f"model {blank.name!r} with these settings has not learned anything yet: "
            "fit it (steps=...), or give the path of a fitted one"
        )
    return blank


def beginning(field: Field, model: str | Path, **config: Any) -> Model:
    """Where fitting on images like this one begins."""
    modality = field.modality
    name = str(model)
    known = None if name in MODELS else saved(name)
    modalities = _modalities(name, config) if known is None else (known.modality,)
    if modality not in modalities:
        raise DataError(
            f"model {Path(model).name!r} works on {' and '.join(modalities)} images, "
            f"but {field.name!r} is {modality}: choose another model"
        )
    channels = tuple(c for c in field.channel_names if c != "alpha")
    if known is None:
        nothing = Attribute(np.empty(0), (), np.empty(0), 0, channels, name, "")
        settings = configure(name, config)
        alone = method(name).learned(settings, None).needs_fit
        weights = None if alone else bundled(name, modality, len(channels))
        return no_look(Model(name, settings, modality, channels, nothing, weights))
    settings = configure(known.name, asdict(known.config) | config)
    if known.weights and settings != known.config:
        raise ValueError(
            f"{Path(name).name!r} was fitted with other settings, which it has to "
            "keep: leave them out, or fit a new model"
        )
    own = channels if name in zoo() else known.channels
    return no_look(replace(known, config=settings, channels=own))


def _modalities(name: str, config: dict[str, Any]) -> tuple[Modality, ...]:
    """Kinds of image that a model works on with these settings."""
    return method(name).learned(configure(name, config), None).modalities


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
    names = model.method.names(model.channels)
    nothing = np.full(len(names), np.nan)
    known = model_hash(model.name, model.config, model.weights)
    reference = Attribute(nothing, names, nothing, 0, model.channels, model.name, known)
    return replace(model, reference=reference)


def grouped(fields: Field | Sequence[Field | Sequence[Field]]) -> list[list[Field]]:
    """Images by look, as lists."""
    many = [fields] if isinstance(fields, Field) else list(fields)
    groups = [[one] if isinstance(one, Field) else list(one) for one in many]
    check_images(one for group in groups for one in group)
    if not any(groups):
        raise DataError("there is no image to fit on: give at least one")
    return [group for group in groups if group]


def flat(fields: Field | Sequence[Field | Sequence[Field]]) -> list[Field]:
    """All images, one after the other."""
    return [image for group in grouped(fields) for image in group]


def _seen(image: Field) -> dict[str, str | None]:
    """What the model remembers of an image."""
    return {"name": image.name, "path": image.path}


def _memory(card: Mapping[str, Any]) -> list[dict[str, str | None]]:
    """All images that a model has seen, since it was bundled."""
    now = [image for group in card.get("images", ()) for image in group]
    every = [*card.get("seen before", ()), *now]
    return list({(i["name"], i["path"]): i for i in every}.values())
