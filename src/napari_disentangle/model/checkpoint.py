"""Model files: safetensors with a JSON header, never pickle."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from napari_disentangle.errors import ModelFileError
from napari_disentangle.image.arrays import Array
from napari_disentangle.model.base import Weights
from napari_disentangle.model.registry import MODELS

FORMAT = 1
_KEY = "napari_disentangle"


def write_checkpoint(
    path: str | Path, header: Mapping[str, Any], tensors: Mapping[str, Array]
) -> None:
    """Write tensors and a JSON header to a ``.safetensors`` file.

    Raises
    ------
    ModelFileError
        If it cannot be written there.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save

    text = json.dumps({"format": FORMAT, **header}, sort_keys=True)
    contiguous = {name: np.asarray(t, order="C") for name, t in tensors.items()}
    try:
        place = Path(_checked(path)).absolute()
        # whole or absent: the file comes to its name when it is on the disk
        with TemporaryDirectory(prefix=".saving-", dir=place.parent) as folder:
            made = Path(folder) / place.name
            # save_file would lock others out
            made.write_bytes(save(contiguous, metadata={_KEY: text}))
            os.replace(made, place)
    except (OSError, SafetensorError) as error:
        raise ModelFileError(
            f"{Path(path).name!r} cannot be written ({error})"
        ) from error


def read_checkpoint(path: str | Path) -> tuple[dict[str, Any], dict[str, Array]]:
    """Read the header and the tensors of a model file.

    Raises
    ------
    ModelFileError
        If the file is missing, damaged, foreign, or of a newer format.
    """
    from safetensors import SafetensorError, safe_open

    name = Path(path).name
    try:
        with safe_open(_checked(path), framework="numpy") as file:
            text = (file.metadata() or {}).get(_KEY)
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ModelFileError(f"{name!r} cannot be read as a model ({error})") from error
    if text is None:
        raise ModelFileError(
            f"{name!r} is a safetensors file, but not one of our models"
        )
    header = _header(name, text)
    if header.get("format") != FORMAT:
        raise ModelFileError(
            f"{name!r} has format {header.get('format')}, this version reads {FORMAT}: "
            "update napari-disentangle"
        )
    if header.get("model") not in MODELS:
        raise ModelFileError(
            f"{name!r} holds a {header.get('model')!r} model, which this version does "
            "not know: update napari-disentangle"
        )
    return header, tensors


def read_weights(path: str | Path) -> Weights:
    """Read what a model has learned."""
    header, tensors = read_checkpoint(path)
    return Weights(tensors, header.get("card") or {})


def check_new(path: str | Path) -> None:
    """Refuse before anything is computed what could not be written in the end.

    Raises
    ------
    ModelFileError
        If a new model file cannot be made there.
    """
    file = Path(_checked(path)).absolute()
    if file.exists():
        raise ModelFileError(f"{file.name!r} exists already: choose another name")
    if not file.parent.is_dir():
        raise ModelFileError(f"there is no folder {str(file.parent)!r}: create it")


def _header(name: str, text: str) -> dict[str, Any]:
    try:
        header = json.loads(text)
    except ValueError as error:
        raise ModelFileError(f"the header of {name!r} is damaged ({error})") from error
    if not isinstance(header, dict):
        raise ModelFileError(f"the header of {name!r} is damaged: no mapping")
    return header


def _checked(path: str | Path) -> str:
    if Path(path).suffix != ".safetensors":
        raise ModelFileError(
            f"{Path(path).name!r} must end in .safetensors; other formats can run code"
        )
    return str(path)
