"""ContriMix's networks and losses: as published, and the same in tiles as in one go."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn

from napari_disentangle.model.contrimix.published.losses import (
    LossWeights,
    Mixed,
    attribute_consistency,
    attribute_similarity,
    content_consistency,
    draw_targets,
    mix,
    self_reconstruction,
    to_transmittance,
    total,
)
from napari_disentangle.model.contrimix.published.net import (
    Architecture,
    AttributeEncoder,
    ContentEncoder,
    ContriMix,
    ImageGenerator,
    Residual,
)
from napari_disentangle.model.contrimix.published.passes import (
    statistics_passes,
    whole_steps,
)

if TYPE_CHECKING:
    from collections.abc import Generator

# In float64 next to nothing but rounding can differ; float32 is what images are run in.
EXACT = {torch.float32: 2e-5, torch.float64: 1e-11}
PUBLISHED = Architecture()
HALF, QUARTER = replace(PUBLISHED, down=2), replace(PUBLISHED, down=4)


# --- as published -------------------------------------------------------------------
def n_parameters(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def lines(net: Any) -> list[tuple[Any, ...]]:
    """What a network is made of, layer by layer."""
    found: list[tuple[Any, ...]] = []
    for m in net.modules():
        if isinstance(m, nn.Conv2d):
            assert m.bias is not None
            shape = (m.in_channels, m.out_channels, m.kernel_size[0], m.stride[0])
            # a 1 x 1 convolution has no border to pad
            found.append(("conv", *shape, m.padding[0] and m.padding_mode))
        elif isinstance(m, nn.InstanceNorm2d):
            assert not m.affine
            assert not m.track_running_stats
            found.append(("norm", m.num_features))
        elif isinstance(m, nn.LeakyReLU):
            found.append(("leaky", m.negative_slope))
        elif isinstance(m, nn.AvgPool2d):
            found.append(("average", m.kernel_size))
        elif isinstance(m, nn.LayerNorm):
            found.append(("layer norm", *m.normalized_shape))
        elif isinstance(m, nn.AdaptiveAvgPool2d | nn.Flatten | Residual):
            found.append((type(m).__name__,))
    return found


def conv(i: int, o: int, kernel: int, stride: int = 1) -> tuple[Any, ...]:
    return ("conv", i, o, kernel, stride, "reflect" if kernel > 1 else 0)


LEAKY = ("leaky", 0.01)


def residual(n: int) -> list[tuple[Any, ...]]:
    half = [conv(n, n, 3), ("norm", n)]
    return [("Residual",), *half, LEAKY, *half]


@pytest.mark.parametrize(("n", "parameters"), [(4, 1_108), (10, 4_594), (16, 10_672)])
def test_content_encoder_is_the_published_one(n: int, parameters: int) -> None:
    encoder = ContentEncoder(replace(PUBLISHED, attributes=n))
    assert n_parameters(encoder) == parameters
    assert encoder.halo == 6
    assert lines(encoder) == [
        *(conv(3, 8, 3), LEAKY),
        *(conv(8, n, 3), ("norm", n), LEAKY),
        *residual(n),
        *residual(n),
        LEAKY,
    ]


def test_content_at_lower_resolution_is_the_published_one() -> None:
    lower = [conv(16, 4, 3, 2), ("norm", 4), LEAKY]
    quarter = [conv(16, 32, 3, 2), ("norm", 32), LEAKY, conv(32, 4, 3, 2), *lower[1:]]
    blocks = [*residual(4) * 4, LEAKY]
    first = [conv(3, 16, 7), LEAKY]
    assert lines(ContentEncoder(HALF)) == [*first, *lower, *blocks]
    assert lines(ContentEncoder(QUARTER)) == [*first, *quarter, *blocks]


def test_residual_block_adds() -> None:
    encoder = ContentEncoder(PUBLISHED)
    x = torch.randn(2, 3, 9, 11)
    y = x
    for layer in encoder.layers:
        y = y + nn.Sequential(*layer)(y) if isinstance(layer, Residual) else layer(y)
    assert torch.equal(encoder(x), y)


@pytest.mark.parametrize("n", [4, 10, 16])
def test_attribute_encoder_is_the_published_one(n: int) -> None:
    encoder = AttributeEncoder(replace(PUBLISHED, attributes=n))
    expected = [conv(3, 16, 4, 2)]
    for i, o in ((16, 32), (32, 64), (64, 128), (128, 256), (256, 512)):
        expected += [conv(i, i, 3), ("leaky", 0.2), conv(i, o, 3), ("average", 2)]
        expected += [("average", 2), conv(i, o, 1)]
    expected += [("AdaptiveAvgPool2d",), conv(512, 3 * n, 1), ("Flatten",)]
    assert lines(encoder) == [*expected, ("layer norm", 3 * n), LEAKY]
    assert 2.54e6 < n_parameters(encoder) < 2.565e6
    assert encoder(torch.rand(2, 3, 64, 64)).shape == (2, 3, n)


def test_generator_at_full_resolution_is_a_product() -> None:
    generator = ImageGenerator(PUBLISHED)
    content, attribute = torch.randn(2, 4, 5, 6), torch.randn(2, 7, 3, 4)
    assert n_parameters(generator) == 0
    expected = torch.einsum("bsck,bkyx->bscyx", attribute, content)
    torch.testing.assert_close(generator(content, attribute), expected)
    one = generator(content, attribute[:, 0])
    torch.testing.assert_close(one, expected[:, 0])


@pytest.mark.parametrize(("down", "kernel"), [(2, 3), (4, 7)])
def test_generator_at_lower_resolution(down: Any, kernel: int) -> None:
    generator = ImageGenerator(replace(PUBLISHED, channels=5, down=down))
    assert lines(generator) == [conv(5, 5, kernel), LEAKY]
    content, attribute = torch.randn(2, 4, 6, 8), torch.randn(2, 5 * down**2, 4)
    maps = torch.einsum("bck,bkyx->bcyx", attribute, content)
    big = nn.functional.pixel_shuffle(maps, down)
    torch.testing.assert_close(generator(content, attribute), generator.tail[1:](big))


@pytest.mark.parametrize("channels", [1, 2, 5])
@pytest.mark.parametrize("base", [PUBLISHED, HALF, QUARTER])
def test_any_number_of_channels(base: Architecture, channels: int) -> None:
    a = replace(base, channels=channels, attributes=6)
    net, k = ContriMix(a), a.down
    x = torch.rand(2, channels, 64, 96)
    attribute = net.attribute(x)
    assert attribute.shape == (2, channels * k * k, 6)
    assert net.content(x).shape == (2, 6, 64 // k, 96 // k)
    assert net(x, attribute).shape == x.shape


# --- tiled equals whole -------------------------------------------------------------
def lit(height: int, width: int, channels: int = 3) -> torch.Tensor:
    """Absorbance of a tissue-like texture, lit five times brighter on one side."""
    rng = np.random.default_rng(3)
    coarse = rng.random((channels, height // 6 + 2, width // 6 + 2))
    texture = coarse.repeat(6, 1).repeat(6, 2)[:, :height, :width]
    fine = texture + 0.2 * rng.random((channels, height, width))
    image = fine * np.linspace(0.2, 1.0, width)
    return torch.from_numpy(image[None]).float()


def cut(image: torch.Tensor, net: ContriMix, size: int) -> Any:
    """Tiles with halo, cut off at the borders, and their inner regions, row by row."""
    larger = whole_steps(image, net.architecture.down)
    for y, x in product(*(range(0, full, size) for full in larger.shape[-2:])):
        slices, inner = [], []
        for start, full in zip((y, x), larger.shape[-2:], strict=True):
            low, stop = max(0, start - net.halo), min(start + size, full)
            slices.append(slice(low, min(full, stop + net.halo)))
            inner.append(slice(start - low, stop - low))
        yield larger[..., slices[0], slices[1]], tuple(inner)


def paste(
    run: Any, image: torch.Tensor, net: ContriMix, size: int, scale: int = 1
) -> torch.Tensor:
    """What ``run`` makes of the tiles, put together; ``scale`` pixels are one of it."""
    height, width = whole_steps(image, net.architecture.down).shape[-2:]
    parts = []
    for tile, inner in cut(image, net, size):
        y, x = (slice(s.start // scale, s.stop // scale) for s in inner)
        parts.append(run(tile)[..., y, x])
    per_row = -(-width // size)
    rows = [
        torch.cat(parts[i : i + per_row], -1) for i in range(0, len(parts), per_row)
    ]
    whole = torch.cat(rows, -2)
    assert whole.shape[-2:] == (height // scale, width // scale)
    return whole


def off(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Largest difference, in standard deviations."""
    return float((found - expected).abs().max() / expected.std())


@torch.no_grad()
def network(a: Architecture) -> ContriMix:
    torch.manual_seed(0)
    net = ContriMix(a)
    if a.norm == "frozen":
        for shift in (0.0, 0.3):
            net.content(lit(96, 96, a.channels) + shift)
    return net.eval()


def drained(steps: Generator[None, None, torch.Tensor]) -> torch.Tensor:
    """What a generator returns at its end."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            found: torch.Tensor = end.value
            return found


VARIANTS = {
    "published": PUBLISHED,
    "n16": replace(PUBLISHED, attributes=16),
    "five channels": replace(PUBLISHED, channels=5),
    "half": HALF,
    "quarter": replace(QUARTER, attributes=8),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("norm", ["image", "frozen"])
@pytest.mark.parametrize("variant", VARIANTS)
@torch.no_grad()
def test_tiled_equals_whole(variant: str, norm: Any, dtype: torch.dtype) -> None:
    a = replace(VARIANTS[variant], norm=norm)
    net, image = network(a).to(dtype), lit(77, 109, a.channels).to(dtype)
    larger = whole_steps(image, a.down)
    attribute = torch.randn(1, a.n_values, a.attributes).to(image)
    for size in (32, 64):
        given = None
        if norm == "image":
            given = drained(
                statistics_passes(net.content, partial(cut, image, net, size))
            )
            assert given.shape == (net.content.n_statistics,)
        swap = partial(net, attribute=attribute, statistics=given)
        content = partial(net.content, statistics=given)
        for run, scale in ((content, a.down), (swap, 1)):
            tiled = paste(run, image, net, size, scale)
            assert off(tiled, run(larger)) <= EXACT[dtype]


@pytest.mark.parametrize("a", [PUBLISHED, HALF, QUARTER])
@torch.no_grad()
def test_passes_give_what_instance_normalisation_of_the_whole_image_gives(
    a: Architecture,
) -> None:
    net, image = network(a), lit(77, 109)
    published = net.content(whole_steps(image, a.down))
    given = drained(statistics_passes(net.content, partial(cut, image, net, 32)))
    tiled = paste(lambda t: net.content(t, given), image, net, 32, a.down)
    assert off(tiled, published) <= EXACT[torch.float32]
    naive = paste(net.content, image, net, 32, a.down)
    assert off(naive, published) > 0.5


@pytest.mark.parametrize("a", [PUBLISHED, HALF, QUARTER])
def test_halo_is_as_far_as_content_and_image_see(a: Architecture) -> None:
    net = network(replace(a, norm="frozen"))
    x = torch.rand(1, 3, 128, 128, requires_grad=True)
    attribute = torch.randn(1, a.n_values, a.attributes)
    for result, halo, scale in (
        (net.content(x), net.content.halo, a.down),
        (net(x, attribute), net.halo, 1),
    ):
        # the k x k pixels from 64 on, as an inner region may be
        inner = slice(64 // scale, (64 + a.down) // scale)
        (gradient,) = torch.autograd.grad(result[..., inner, inner].sum(), x)
        seen = gradient.abs().sum((0, 1, 2)).nonzero()
        reach = max(64 - int(seen.min()), int(seen.max()) - (63 + a.down))
        assert halo % a.down == 0
        assert halo - 2 * a.down < reach <= halo


@torch.no_grad()
def test_statistics_of_several_images_go_to_each() -> None:
    net = network(PUBLISHED)
    images = torch.cat([lit(40, 40), 1 - lit(40, 40)])
    region = (slice(0, 40), slice(0, 40))
    given = torch.stack(
        [
            drained(statistics_passes(net.content, lambda x=x: [(x[None], region)]))
            for x in images
        ]
    )
    assert off(net.content(images, given), net.content(images)) <= EXACT[torch.float32]
    with pytest.raises(ValueError, match="40 statistics needed, not 39"):
        net.content(images, given[:, 1:])


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (3, 2), (9, 5)])
@pytest.mark.parametrize("a", [PUBLISHED, QUARTER])
@torch.no_grad()
def test_tiny_and_blank_images(a: Architecture, size: tuple[int, int]) -> None:
    net = network(a)
    for image in (lit(*size), torch.zeros(1, 3, *size)):
        larger = whole_steps(image, a.down)
        assert torch.equal(larger[..., : size[0], : size[1]], image)
        given = drained(statistics_passes(net.content, partial(cut, image, net, 8)))
        assert net.content(larger, given).isfinite().all()


def test_whole_steps_mirror_as_numpy_does() -> None:
    image = torch.rand(2, 5, 7)
    expected = np.pad(image.numpy(), ((0, 0), (0, 3), (0, 1)), "reflect")
    assert np.array_equal(whole_steps(image, 4).numpy(), expected)


# --- losses -------------------------------------------------------------------------
def test_self_reconstruction_by_hand() -> None:
    image = torch.zeros(2, 1, 1, 11)
    rendered = image.clone()
    rendered[0, 0, 0] = (
        torch.arange(11) / 10
    )  # errors 0, 0.1 ... 1: the quantile is 0.9
    rendered[1, 0, 0] = -0.2  # all errors 0.2
    # 0.2 * 0.9 + 0.8 * mean; the mean of both images is (0.5 + 0.2) / 2
    found = self_reconstruction(image, rendered)
    assert float(found) == pytest.approx(0.2 * 0.9 + 0.8 * 0.35)
    # between two errors: position 0.9 * 3 of 0, 1, 2, 7 is 2 + 0.7 * 5
    four = torch.tensor([7.0, 1.0, 0.0, 2.0]).reshape(1, 1, 2, 2)
    found = self_reconstruction(torch.zeros(1, 1, 2, 2), four)
    assert float(found) == pytest.approx(0.2 * 5.5 + 0.8 * 2.5)


def by_hand() -> Mixed:
    """One image of one pixel, rendered under two attributes of two values."""
    values = torch.tensor
    return Mixed(
        images=values([[[[1.0]]]]),
        content=values([[[[2.0]], [[4.0]]]]),
        attributes=values([[[[1.0, 0.0]], [[0.0, 3.0]]]]),
        rendered=values([[[[[2.0]]], [[[12.0]]]]]),
        content_again=values([[[[[2.0]], [[5.0]]], [[[0.0]], [[4.0]]]]]),
        attributes_again=values([[[[1.5, 0.0]], [[0.0, 1.0]]]]),
    )


def test_consistencies_by_hand() -> None:
    # attributes: 0.5, 0, 0, 2; content: 0, 1 under the first and 2, 0 under the second
    assert float(attribute_consistency(by_hand())) == pytest.approx(2.5 / 4)
    assert float(content_consistency(by_hand())) == pytest.approx(3 / 4)


def test_attribute_similarity_by_hand() -> None:
    # distances 0.1, 0.2 and 0.1, each twice among nine pairs
    sets = torch.tensor([[[[0.0, 0.0]], [[0.1, 0.0]], [[0.2, 0.0]]]])
    expected = (4 * np.exp(-1) + 2 * np.exp(-2)) / 9
    assert float(attribute_similarity(sets)) == pytest.approx(expected, rel=1e-5)
    assert float(attribute_similarity(sets[:, :1])) == 0
    # the same image twice: as alike as can be, and still something to train on
    twice = torch.zeros(1, 2, 3, requires_grad=True)
    loss = attribute_similarity(twice)
    loss.backward()
    assert loss.item() == pytest.approx(0.5, rel=1e-4)
    assert twice.grad is not None
    assert twice.grad.isfinite().all()


def test_transmittance_is_bounded_where_gradients_still_live() -> None:
    a = torch.tensor([-1.0, -0.1, 0.0, 1.0, 9.0], requires_grad=True)
    t = to_transmittance(a)
    expected = [10**0.2, 10**0.1, 1.0, 0.1, 1e-6]
    assert t.tolist() == pytest.approx(expected, rel=1e-5)
    t.sum().backward()
    assert a.grad is not None
    assert (a.grad != 0).tolist() == [False, True, True, True, False]


def test_total_by_hand() -> None:
    mixed = by_hand()
    # image 1 is rendered as 2: 0.1 against 0.01 of the light; quantile and mean alike
    reconstruction = 0.09
    weights = LossWeights(2.0, 3.0, 5.0, 7.0)
    similarity = 2 * np.exp(-np.sqrt(10) / 0.1) / 4
    expected = 2 * reconstruction + 3 * 0.625 + 5 * 0.75 + 7 * similarity
    loss, terms = total(mixed, weights)
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    assert float(terms["self_reconstruction"]) == pytest.approx(
        reconstruction, rel=1e-5
    )


# --- training -----------------------------------------------------------------------
def test_mixing_is_drawn_from_the_seed() -> None:
    def draw(seed: int) -> torch.Tensor:
        return draw_targets(16, 4, torch.Generator().manual_seed(seed))

    assert draw(1).shape == (16, 4)
    assert torch.equal(draw(1), draw(1))
    assert not torch.equal(draw(1), draw(2))
    many = draw_targets(4, 4000, torch.Generator().manual_seed(0))
    # all are drawn as often, oneself included
    assert torch.bincount(many.flatten()).tolist() == pytest.approx([4000] * 4, rel=0.1)


@pytest.mark.parametrize("a", [PUBLISHED, HALF])
def test_mix_renders_each_under_its_own_and_its_targets(a: Architecture) -> None:
    net, x = network(a), torch.rand(3, 3, 64, 64)
    mixed = mix(net, x, torch.tensor([[1, 2], [1, 0], [0, 0]]))
    own = net.attribute(x)
    for i, partners in enumerate([[0, 1, 2], [1, 1, 0], [2, 0, 0]]):
        for s, j in enumerate(partners):
            expected = net(x[i : i + 1], own[j : j + 1])
            torch.testing.assert_close(
                mixed.rendered[i, s], expected[0], atol=1e-5, rtol=1e-4
            )
            again = net.attribute(mixed.rendered[i, s][None])[0]
            torch.testing.assert_close(
                mixed.attributes_again[i, s], again, atol=1e-4, rtol=1e-3
            )
    assert mix(net, x, torch.empty(3, 0, dtype=torch.int64)).rendered.shape[1] == 1


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("norm", ["image", "frozen"])
@pytest.mark.parametrize("a", [PUBLISHED])
def test_training_is_finite_also_under_autocast(
    a: Architecture, norm: Any, bf16: bool
) -> None:
    net = network(replace(a, norm=norm)).train()
    # one image is blank, one beyond white, and one has the same target twice
    x = torch.cat([lit(64, 64), torch.zeros(1, 3, 64, 64), lit(64, 64) - 0.5])
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        mixed = mix(net, x, torch.tensor([[1, 1], [2, 1], [0, 2]]))
        loss, terms = total(mixed, LossWeights())
    loss.backward()
    assert len(terms) == 4
    for name, value in {**terms, "total": loss}.items():
        assert value.dtype == torch.float32, name
        assert value.isfinite(), name
    gradients = [p.grad for p in net.parameters()]
    assert all(g is not None and g.isfinite().all() for g in gradients)


def test_network_learns() -> None:
    torch.manual_seed(0)
    net = ContriMix(PUBLISHED)
    x = lit(64, 64) + torch.tensor([0.0, 0.1, 0.3])[:, None, None, None]
    generator = torch.Generator().manual_seed(0)
    optimiser = torch.optim.AdamW(net.parameters(), 3e-3)
    losses = []
    for _ in range(25):
        mixed = mix(net, x, draw_targets(3, 2, generator))
        loss, terms = total(mixed, LossWeights())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(terms["self_reconstruction"].detach()))
    assert losses[-1] < 0.6 * losses[0]
