"""Where models come from: fitted on images, or read from a file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from napari_disentangle.attribute import Attribute
from napari_disentangle.bundled import bundled, path_of, zoo
from napari_disentangle.errors import DataError, ModelFileError
from napari_disentangle.field import Field, Modality
from napari_disentangle.methods import DEFAULT, MODELS
from napari_disentangle.methods.base import Weights
from napari_disentangle.model import Model, configure, model_hash, trained
from napari_disentangle.tiles import gather
from napari_disentangle.train import Progress, train

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from napari_disentangle.model import Donor, Fields


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
        weights = self.progress.weights()
        made = replace(self.start, weights=weights)
        blank = no_look(made)
        return replace(blank, reference=blank.look(list(self.fields)))


def fit_steps(
    fields: Field | Sequence[Field | Sequence[Field]],
    model: str | Path = DEFAULT,
    seed: int = 0,
    steps: int = 400,
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
        ``"cpu"``, ``"cuda:0"``, ...
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
    images = [image for group in groups for image in group]
    start = unfitted(images[0], model, **config)
    if start.weights is None:
        raise ValueError(
            f"model {start.name!r} has nothing to learn: use nd.fit without steps"
        )
    bank = gather(groups, start.modality == "fluorescence", seed)
    card = {
        "images": [[_seen(image) for image in group] for group in groups],
        "tiles": bank.n_tiles,
        "seed": seed,
        "budget": steps,
        "device": device,
        "began as": start.weights.hash,
    }
    weights = start.weights
    for progress in train(bank, start.modality, weights, seed, steps, device, card):
        yield FitStep(progress, start, images)


def fit(
    fields: Fields,
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
        Images of one modality; attributes may be among them. Content-only shows
        every image under the mean of their attributes.
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
    many = [fields] if isinstance(fields, Field) else list(fields)
    images = _images(many)
    model_for = unfitted(images[0], model, **config)
    if steps:
        for step in fit_steps(images, model, seed, steps, device, **config):
            last = step
        model_for = no_look(last.model())
    shown = model_for.look(many if reference is None else reference)
    model_for.reference.check(shown)
    return replace(model_for, reference=shown)


def fit_without(
    model: Model, fields: Sequence[Field], forget: Sequence[Field], **how: Any
) -> Model:
    """Fit again as if some images had never been seen; exact, not approximate.

    Parameters
    ----------
    model
        The model to be fitted again.
    fields
        The images that it was fitted on, those to be forgotten or not.
    forget
        Images to leave out.
    **how
        As in :func:`fit`; what is not given is as the model was fitted.

    Raises
    ------
    DataError
        If nothing is left, or the model was fitted on images that are not given.
    """
    raise NotImplementedError


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
        raise ModelFileError(
            f"{file.name!r} does not hold a whole model ({error})"
        ) from error


def _from_header(header: dict[str, Any], tensors: dict[str, Any]) -> Model:
    if header["modality"] not in get_args(Modality):
        raise ValueError(f"modality {header['modality']!r} is unknown")
    weights = Weights(tensors, header["card"]) if header["card"] else None
    return Model(
        header["model"],
        configure(header["model"], header["config"]),
        header["modality"],
        tuple(header["channels"]),
        Attribute.from_json(header["reference"]),
        weights,
    )


def unfitted(field: Field, model: str | Path, **config: Any) -> Model:
    """A model for images like this one that has no reference yet."""
    modality = field.modality
    assert modality is not None
    channels = tuple(c for c in field.channel_names if c != "alpha")
    if str(model) not in MODELS and (str(model) in zoo() or _is_file(model)):
        known = load(model)
        if known.modality != modality:
            raise DataError(
                f"model {Path(model).name!r} is for {known.modality} images, but "
                f"{field.name!r} is {modality}: choose another model"
            )
        own = channels if str(model) in zoo() else known.channels
        return no_look(replace(known, channels=own))
    name = str(model)
    settings = configure(name, config)
    if modality not in MODELS[name].modalities:
        raise DataError(
            f"model {name!r} works on {' and '.join(MODELS[name].modalities)} images, "
            f"but {field.name!r} is {modality}: choose another model"
        )
    nothing = Attribute(np.empty(0), (), np.empty(0), 0, channels, name, "")
    weights = bundled(name, modality)
    return no_look(Model(name, settings, modality, channels, nothing, weights))


def _is_file(model: str | Path) -> bool:
    return Path(model).suffix == ".safetensors"


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
    return groups


def _seen(image: Field) -> dict[str, str | None]:
    """What the model remembers of an image."""
    return {"name": image.name, "path": image.path}


def _images(fields: Fields) -> list[Field]:
    many = [fields] if isinstance(fields, Field) else list(fields)
    images = [one for one in many if isinstance(one, Field)]
    if not images:
        raise DataError("there is no image to fit on: give at least one")
    return images
