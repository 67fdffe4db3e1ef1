"""Forgetting: a model fitted again as if some images had never been seen."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from napari_disentangle.errors import DataError
from napari_disentangle.image.field import Field
from napari_disentangle.model.fit import beginning, fit, flat, grouped
from napari_disentangle.model.model import Model


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
    groups = _remaining(card, flat(fields), flat(forget))
    known = {"seed": card["seed"], "steps": card["budget"], "device": card["device"]}
    settings = {"model": model.name, **known, **asdict(model.config), **how}
    own = {k: v for k, v in settings.items() if k not in known}
    start = beginning(groups[0][0], **own).weights
    if (start and start.hash) != card["began as"]:
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
    return grouped([group for group in kept if group])


def _names(images: Iterable[tuple[str, str | None]]) -> str:
    return ", ".join(sorted(name for name, _ in images))
