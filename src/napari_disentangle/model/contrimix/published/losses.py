"""What ContriMix is trained on (Nguyen et al. 2023, arXiv 2306.04527).

Images of a batch are rendered under their own attribute and under those of others; from
what is rendered, both encoders have to find what it was made of. No labels and no
adversary. Losses are computed in float32, also under autocast.
"""

from dataclasses import asdict, dataclass

import torch

from napari_disentangle.model.contrimix.published.net import ContriMix

# Of self-reconstruction: which quantile of an image's errors, and weights of that and
# of the mean error of the batch.
_QUANTILE, _OF_IMAGE, _OF_BATCH = 0.9, 0.2, 0.8
# Attributes closer than about this are alike.
_ALIKE = 0.1
# Bounds of absorbance. Below zero is brighter than white: gradients must not end there.
_ABSORBANCE = (-0.2, 6.0)
# Keeps roots differentiable at zero.
_TINY = 1e-12


@dataclass(frozen=True)
class LossWeights:
    """How much each loss counts; the defaults are those published for TCGA."""

    self_reconstruction: float = 0.6
    attribute_consistency: float = 0.1
    content_consistency: float = 0.2
    attribute_similarity: float = 0.05


@dataclass(frozen=True, eq=False)
class Mixed:
    """A batch of N images, each rendered under S attributes: its own, then others'.

    Attributes
    ----------
    images
        (N, C, H, W).
    content, attributes
        What is rendered: (N, n, H / k, W / k) and (N, S, C k^2, n).
    rendered
        (N, S, C, H, W).
    content_again, attributes_again
        What the encoders find in it: (N, S, n, H / k, W / k) and (N, S, C k^2, n).
    """

    images: torch.Tensor
    content: torch.Tensor
    attributes: torch.Tensor
    rendered: torch.Tensor
    content_again: torch.Tensor
    attributes_again: torch.Tensor


def draw_targets(
    n_images: int, n_mixed: int, generator: torch.Generator
) -> torch.Tensor:
    """Whose attributes images get: indices (N, M) within the batch.

    Uniform, with replacement, so that an image may meet itself.
    """
    return torch.randint(n_images, (n_images, n_mixed), generator=generator)


def mix(net: ContriMix, images: torch.Tensor, targets: torch.Tensor) -> Mixed:
    """Render images (N, C, H, W) under their own attribute and the targets' (N, M)."""
    content, own = net.content(images), net.attribute(images)
    attributes = torch.cat([own[:, None], own[targets.to(own.device)]], dim=1)
    rendered = net.generator(content, attributes)
    flat, sets = rendered.flatten(0, 1), rendered.shape[:2]
    content_again = net.content(flat).unflatten(0, sets)
    attributes_again = net.attribute(flat).unflatten(0, sets)
    return Mixed(images, content, attributes, rendered, content_again, attributes_again)


def total(
    mixed: Mixed, weights: LossWeights
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Weighted sum of the losses, and each of them by name.

    Parameters
    ----------
    mixed
        Of :func:`mix`; the images are absorbance, and are compared as transmittance.
    weights
        How much each loss counts.
    """
    shown = (to_transmittance(x) for x in (mixed.images, mixed.rendered[:, 0]))
    terms = {
        "self_reconstruction": self_reconstruction(*shown),
        "attribute_consistency": attribute_consistency(mixed),
        "content_consistency": content_consistency(mixed),
        "attribute_similarity": attribute_similarity(mixed.attributes),
    }
    zero = mixed.rendered.new_zeros((), dtype=torch.float32)
    return sum((w * terms[name] for name, w in asdict(weights).items()), zero), terms


def to_transmittance(absorbance: torch.Tensor) -> torch.Tensor:
    """Transmittance of an absorbance, up to 1.58: to show it, clip it at 1."""
    return 10 ** -absorbance.float().clamp(*_ABSORBANCE)


def self_reconstruction(images: torch.Tensor, rendered: torch.Tensor) -> torch.Tensor:
    """How far images (N, C, H, W) are from themselves under their own attribute.

    The 90 % quantile of an image's errors and the mean error of the batch; the worst
    image counts.
    """
    error = (images.float() - rendered.float()).abs().flatten(1)
    per_image = _OF_IMAGE * _quantile(error, _QUANTILE) + _OF_BATCH * error.mean()
    return per_image.amax()


def attribute_consistency(mixed: Mixed) -> torch.Tensor:
    """Mean error of the attributes that are found in rendered images.

    Here as with content, neither side is held fixed.
    """
    return _mean_error(mixed.attributes_again, mixed.attributes)


def content_consistency(mixed: Mixed) -> torch.Tensor:
    """Mean error of the content that is found in rendered images."""
    return _mean_error(mixed.content_again, mixed.content[:, None])


def attribute_similarity(attributes: torch.Tensor) -> torch.Tensor:
    """How alike the attributes (N, S, ...) are that an image is rendered under.

    ``exp(-distance / 0.1)`` of all S x S pairs, averaged; an attribute and itself are
    counted as 0.
    """
    distance = _squared(attributes.float().flatten(2)).add(_TINY).sqrt()
    alike = (-distance / _ALIKE).exp()
    others = 1 - torch.eye(alike.shape[-1], device=alike.device)
    return (alike * others).mean()


def _squared(samples: torch.Tensor) -> torch.Tensor:
    """Squared distances (..., N, N) of samples (..., N, F)."""
    difference = samples[..., :, None, :] - samples[..., None, :, :]
    return difference.square().sum(-1)


def _mean_error(found: torch.Tensor, made_of: torch.Tensor) -> torch.Tensor:
    return (found.float() - made_of.float()).abs().mean()


def _quantile(values: torch.Tensor, q: float) -> torch.Tensor:
    """Of every row, as ``torch.quantile``, which refuses more than 16 M values."""
    position = q * (values.shape[1] - 1)
    low = int(position)
    high = min(low + 1, values.shape[1] - 1)
    below, above = (values.kthvalue(i + 1, dim=1).values for i in (low, high))
    return below.lerp(above, position - low)
