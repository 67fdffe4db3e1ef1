"""The networks of published ContriMix for its settings, with weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_disentangle.model.base import Weights
    from napari_disentangle.model.contrimix.published.architecture import Architecture
    from napari_disentangle.model.contrimix.published.net import ContriMix
    from napari_disentangle.model.contrimix.settings import Config


def built(settings: Config, weights: Weights) -> ContriMix:
    """The networks for these settings, with these weights.

    Raises
    ------
    ValueError
        If the weights are for other settings.
    """
    import torch

    from napari_disentangle.model.contrimix.published.net import ContriMix

    try:
        channels = weights.tensors["content.layers.0.weight"].shape[1]
        with torch.random.fork_rng(devices=[]):  # nobody's chance is used up
            net = ContriMix(architecture(settings, channels))
        net.load_state_dict({k: torch.tensor(v) for k, v in weights.tensors.items()})
    except (KeyError, IndexError, RuntimeError) as error:
        raise ValueError(for_others("these settings")) from error
    return net


def for_others(what: str) -> str:
    """Say that weights are not for some settings or channels."""
    return (
        f"the weights of this `contrimix` model are not for {what}: give it those "
        "that it was fitted with"
    )


def architecture(settings: Config, channels: int) -> Architecture:
    """What is built for these settings."""
    from napari_disentangle.model.contrimix.published.architecture import Architecture

    return Architecture(
        channels=channels,
        attributes=settings.attributes,
        down=settings.down,  # type: ignore[arg-type]
        norm=settings.statistics,
    )
