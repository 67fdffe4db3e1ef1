"""Trained models that come with the package, and their cards."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from napari_disentangle.image.field import Modality
from napari_disentangle.model.base import Weights

_HERE = Path(__file__).parent / "weights"
# Name by model, kind of image and number of channels.
_BUNDLED: dict[tuple[str, Modality, int], str] = {
    ("affine", "brightfield", 3): "affine-brightfield"
}


def zoo() -> dict[str, dict[str, Any]]:
    """Cards of all bundled models by name. Does not import torch.

    A card says what a model is for and not for, what it was trained on, under which
    licences, how, and how good it is.
    """
    cards = sorted(_HERE.glob("*.json"))
    return {p.stem: json.loads(p.read_text(encoding="utf-8")) for p in cards}


def path_of(name: str) -> Path:
    """File of a bundled model."""
    return _HERE / f"{name}.safetensors"


@cache
def bundled(model: str, modality: Modality, channels: int) -> Weights | None:
    """Weights that a model begins with, if there are any for so many channels."""
    from napari_disentangle.model.checkpoint import read_weights

    name = _BUNDLED.get((model, modality, channels))
    return read_weights(path_of(name)) if name else None
