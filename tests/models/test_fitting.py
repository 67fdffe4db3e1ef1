"""Fitting: reproducible, stoppable, exact in what it forgets, never worse than it says.

No test depends on how good the bundled weights are.
"""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from scipy.linalg import expm

import napari_disentangle as nd
from napari_disentangle.errors import ChannelError, DataError, ModelFileError
from napari_disentangle.model.affine.net import AffineNet, tensors_of
from napari_disentangle.model.base import Weights
from napari_disentangle.model.fit import no_look, unfitted
from napari_disentangle.model.statistics import statistics
from napari_disentangle.samples import synthetic

if TYPE_CHECKING:
    from napari_disentangle.model.fit import FitStep
    from napari_disentangle.model.model import Model

STEPS = 2


@cache
def slide(seed: int, look: synthetic.Look = synthetic.VIOLET, size: int = 96) -> Any:
    picture = synthetic.render(synthetic.tissue(seed, size), look, 1.0, seed)
    return nd.Field(picture, "YXC", name=f"slide {seed}")


@cache
def cells(seed: int, channels: int = 1, size: int = 96) -> Any:
    """Round cells in every channel, in other places and of other strength."""
    rng = np.random.default_rng(seed)
    image = rng.normal(20, 1, (channels, size, size))
    y, x = np.indices((size, size))
    for c in range(channels):
        for cy, cx in rng.uniform(0, size, (size // 6, 2)):
            bright = 60 + 30 * c + 40 * rng.random()
            image[c] += bright * np.clip(2 - np.hypot(y - cy, x - cx) / 3, 0, 1)
    values = image.clip(0, 255).astype("uint8")
    return nd.Field(values, "CYX", modality="fluorescence", name=f"cells {seed}")


def nothing_alike() -> Any:
    """A picture of stripes, each colour across the others: like no tissue."""
    y, x = np.indices((96, 96))
    stripes = [np.where((k % 16) < 8, 235, 40) for k in (y, x, x + y)]
    return nd.Field(np.stack(stripes, -1).astype("uint8"), "YXC", name="stripes")


PAIRS = [(slide(0), slide(1)), (cells(0), cells(1))]


@pytest.fixture(scope="module")
def fitted() -> Model:
    return nd.fit(PAIRS[0], "affine", steps=STEPS)


def saved(model: Model, path: Path) -> bytes:
    model.save(path)
    return path.read_bytes()


def one_sentence(error: pytest.ExceptionInfo[Exception]) -> bool:
    text = str(error.value)
    return "\n" not in text and 10 < len(text) < 300


def by_hand(modality: Any, bias: Any, channels: int, random: float = 0.0) -> Weights:
    """Weights that correct every image alike by ``bias``, or as chance wants."""
    torch.manual_seed(0)
    pixels = np.arange(channels * 8.0).reshape(channels, 8)
    net = AffineNet(channels, len(statistics(pixels, pixels[0] > 3, modality)))
    net.edge.fill_(1e6)  # every image is at home
    with torch.no_grad():
        net.head[-1].bias.copy_(torch.as_tensor(bias) / 0.3)
        net.head[-1].weight.normal_(std=random)
    return Weights(tensors_of(net), {"made": modality})


def using(weights: Weights, field: nd.Field) -> Model:
    blank = no_look(replace(unfitted(field, "affine"), weights=weights))
    return replace(blank, reference=blank.attribute(field))


# --- the same, and another ------------------------------------------------------------
def test_the_seed_decides_every_byte(tmp_path: Path, fitted: Model) -> None:
    kinds = [fitted, nd.fit(PAIRS[1], "affine", steps=STEPS)]
    for first, images in zip(kinds, PAIRS, strict=True):
        again, other = (nd.fit(images, "affine", None, s, STEPS) for s in (0, 1))
        known, same, changed = (
            saved(model, tmp_path / "m.safetensors") for model in (first, again, other)
        )
        assert known == same
        assert known != changed


def test_a_fitted_model_is_saved_whole(tmp_path: Path, fitted: Model) -> None:
    fitted.save(tmp_path / "m.safetensors")
    back = nd.load(tmp_path / "m.safetensors")
    assert back.hash == fitted.hash
    assert dict(back.weights.card) == dict(fitted.weights.card)
    for field in (slide(1), slide(2, synthetic.ROSE)):
        assert back.content(field).tobytes() == fitted.content(field).tobytes()
        assert back.inspect(field) == fitted.inspect(field)


def test_any_step_can_be_used_later_and_closing_ends_at_once(tmp_path: Path) -> None:
    steps: dict[int, FitStep] = {}
    then: dict[int, str] = {}
    with closing(nd.fit_steps(PAIRS[1], "affine", steps=400)) as running:
        for step in running:
            index = step.progress.index
            if index in {0, 1, 20, 41} - set(steps):
                steps[index], then[index] = step, step.model().hash
            if index > 41:
                break
        start = perf_counter()
    assert perf_counter() - start < 1
    for index, step in steps.items():
        model = step.model()
        assert model.hash == then[index]
        assert model.weights.card["steps"] == index or index == 0
        model.save(tmp_path / "m.safetensors")
        back = nd.load(tmp_path / "m.safetensors")
        field = cells(2)
        assert back.content(field).tobytes() == model.content(field).tobytes()


def test_every_budget_is_kept() -> None:
    for budget in (1, 9):
        *_, last = nd.fit_steps([cells(0)], "affine", steps=budget)
        assert (last.progress.index, last.progress.budget) == (budget, budget)


def test_fitting_goes_on_from_a_saved_model(tmp_path: Path, fitted: Model) -> None:
    path = tmp_path / "first.safetensors"
    fitted.save(path)
    further = nd.fit([slide(2), slide(3)], path, steps=STEPS)
    first = nd.fit(slide(0), "affine").weights
    assert fitted.weights.card["began as"] == first.hash
    assert further.weights.card["began as"] == fitted.weights.hash
    known = [image["name"] for image in further.weights.card["seen before"]]
    assert known == ["slide 0", "slide 1"]
    assert len({first.hash, fitted.weights.hash, further.weights.hash}) == 3


def test_fits_in_a_row_give_their_memory_back() -> None:
    status = Path("/proc/self/statm")
    if not status.exists():
        pytest.skip("the memory of a process is only read on Linux")
    resident = []
    for seed in range(6):
        nd.fit(cells(seed), "affine", steps=STEPS)
        resident.append(int(status.read_text().split()[1]))
    assert resident[-1] < 1.05 * resident[1]


# --- what comes out -------------------------------------------------------------------
def test_content_only_is_the_same_under_two_looks(fitted: Model) -> None:
    pair = [slide(5), slide(5, synthetic.ROSE)]
    model = nd.fit([slide(0), slide(1, synthetic.ROSE)], "affine", steps=STEPS)
    before, after = (
        np.abs(one.astype(float) - other).mean()
        for one, other in ([f.data for f in pair], [model.content(f) for f in pair])
    )
    assert after < 0.4 * before


# The least that a look does to a tone, so that there is a way back.
looks = st.builds(
    lambda seed, size: np.random.default_rng(seed).uniform(-size, size, 25),
    st.integers(0, 2**32 - 1),
    st.floats(0.02, 0.25),
)


def another_look(own: Any, channels: int, change: Any) -> Any:
    """An attribute nearby: other levels, spreads and corrections of its first group."""
    n = channels
    values = own.values.copy()
    values[n : 2 * n] *= np.exp(change[:n])
    values[:n] *= np.exp(change[:n])
    values[2 * n : 3 * n] += change[n : 2 * n]
    values[4 * n : 4 * n + n * n + n] += change[-n * n - n :] / 3
    return replace(own, values=values)


def moved(model: Model, field: Any, source: Any, target: Any) -> Any:
    result = model.render(field, target, source=source)
    return replace(field, data=result)


@settings(max_examples=15)
@given(change=looks)
@pytest.mark.parametrize(("image", "channels"), [(slide, 3), (cells, 1)])
def test_there_and_back_in_floating_point(
    image: Any, channels: int, change: Any
) -> None:
    field = image(0)
    field = replace(field, data=(field.data / 255).astype("float32"), full_scale=1.0)
    model = using(by_hand(field.modality, 0.0, channels), field)
    own = model.attribute(field)
    look = another_look(own, channels, change)
    back = moved(model, moved(model, field, own, look), look, own)
    inside = moved(model, field, own, look).data > 0
    shown = inside.all(axis=field.axes.index("C"), keepdims=True)
    assert np.abs(np.where(shown, back.data - field.data, 0)).max() < 1e-4


@settings(max_examples=15)
@given(change=looks)
@pytest.mark.parametrize(("image", "channels"), [(slide, 3), (cells, 1)])
def test_there_and_back_through_eight_bits(
    image: Any, channels: int, change: Any
) -> None:
    """Half a level divided by the local slope, plus one."""
    field = image(0)
    model = using(by_hand(field.modality, 0.0, channels), field)
    own = model.attribute(field)
    look = another_look(own, channels, change)
    there = moved(model, field, own, look)
    back = moved(model, there, look, own)
    x, y, z = (
        np.moveaxis(f.data.astype(float), f.axes.index("C"), 0).reshape(channels, -1)
        for f in (field, there, back)
    )
    axes = torch.eye(channels, dtype=torch.float64)
    zero = model.method.transfer(0 * axes[:, :1], own.values, look.values)
    matrix = model.method.transfer(axes, own.values, look.values) - zero
    # what an error of one level means in the signal that the map is linear in
    of_x, of_y = (np.ones_like(x), np.ones_like(y))
    if field.modality == "brightfield":
        of_x, of_y = x + 1, y + 1
    bound = of_x * (np.abs(np.linalg.inv(matrix.numpy())) @ (0.5 / of_y)) + 1
    kept = ((y > 9) & (y < 255)).all(axis=0)
    assert kept.mean() > 0.2
    assert (np.abs(z - x) <= bound)[:, kept].all()


def as_balanced(model: Model, field: Any, donor: Any) -> bool:
    plain = nd.fit([field, donor], "balanced")
    return bool(np.array_equal(model.swap(field, donor), plain.swap(field, donor)))


def test_what_is_unlike_is_said_and_rendered_as_balanced(fitted: Model) -> None:
    stripes = nothing_alike()
    (said,) = (s for s in fitted.inspect(stripes) if s.startswith("unlike the images"))
    assert "its closed form is used" in said
    assert fitted.attribute(stripes).unlike > 1
    open_to_all = replace(fitted, weights=by_hand("brightfield", 0.0, 3, random=0.1))
    assert not any(s.startswith("unlike") for s in open_to_all.inspect(stripes))
    for dtype in ("uint8", "uint16", "float32"):
        field, donor = (
            replace(f, data=f.data.astype(dtype)) for f in (stripes, slide(0))
        )
        assert as_balanced(fitted, field, donor)
        assert as_balanced(fitted, donor, field)
        assert not as_balanced(no_look(open_to_all), field, donor)


@pytest.mark.parametrize("images", [PAIRS[0], PAIRS[1], (cells(3, 2), cells(4, 2))])
def test_what_a_model_was_fitted_on_is_not_unlike_it(images: Any) -> None:
    model = nd.fit(images, "affine", steps=STEPS)
    for image in images:
        assert model.attribute(image).unlike <= 1
        assert not any("unlike" in word for word in model.inspect(image))


def test_images_that_were_not_enough_leave_the_closed_form() -> None:
    *_, step = nd.fit_steps(PAIRS[0], "affine", steps=1)
    lost = replace(step, progress=replace(step.progress, better=-0.1, error=0.01))
    assert lost.progress.verdict.startswith("not enough: -0.1 dB against ")
    assert as_balanced(lost.model(), slide(0), slide(2, synthetic.ROSE))
    won = replace(step, progress=replace(step.progress, better=0.5, error=0.01))
    assert won.progress.verdict.startswith("enough: +0.5 dB against ")
    assert lost.model().weights.card["verdict"] == lost.progress.verdict
    assert won.model().hash != lost.model().hash


# --- known answers --------------------------------------------------------------------
def test_a_constant_correction_is_the_affine_map_that_it_says() -> None:
    rng = np.random.default_rng(0)
    matrix, shift = rng.normal(0, 0.2, (3, 3)), rng.normal(0, 0.2, 3)
    field, donor = slide(0), slide(1, synthetic.ROSE)
    weights = by_hand("brightfield", np.concatenate([matrix.ravel(), shift]), 3)
    model, plain = using(weights, field), nd.fit(field, "balanced")
    z = plain.encode(field).reshape(3, -1)
    expected = expm(matrix) @ z + shift[:, None]
    np.testing.assert_allclose(model.encode(field).reshape(3, -1), expected, atol=1e-4)
    # both images are corrected alike, so that nothing is left of it between them
    swapped, closed = (m.swap(field, donor).astype(int) for m in (model, plain))
    assert np.abs(swapped - closed).max() <= 1


def test_a_correction_of_one_image_only_is_seen_in_the_other() -> None:
    """The gain of a channel in its content is its gain in the donor's look."""
    field, donor = cells(0), cells(1)
    weights = by_hand("fluorescence", [np.log(1.25), 0.1], 1)
    model, plain = using(weights, field), nd.fit(field, "balanced")
    look = model.attribute(donor)
    values = look.values.copy()
    values[4:6] = 0
    float_field = replace(field, data=field.data.astype("float32"))
    own = model.attribute(float_field)
    result = model.render(float_field, replace(look, values=values), source=own)
    closed = plain.swap(float_field, donor)
    zero = plain.encode(float_field)
    gain = np.ptp(closed) / np.ptp(zero)
    np.testing.assert_allclose(result, closed + gain * (0.25 * zero + 0.1), rtol=1e-4)


def test_channels_of_fluorescence_do_not_know_of_each_other() -> None:
    three = cells(0, 3, 200)  # several tiles, whose votes must be the channel's own
    weights = by_hand("fluorescence", 0.1, 1, random=0.2)
    every = using(weights, three).reference
    known = dict(zip(every.names, every.values, strict=True))
    for chosen in ([0], [1], [0, 1], [2, 0]):
        names = tuple(three.channel_names[i] for i in chosen)
        fewer = replace(three, data=three.data[chosen], channel_names=names)
        one = using(weights, fewer).reference
        np.testing.assert_allclose(one.values, [known[n] for n in one.names], rtol=1e-6)


@pytest.mark.parametrize("channels", [1, 2, 4, 5])
def test_fluorescence_of_any_number_of_channels_is_fitted(channels: int) -> None:
    field = cells(0, channels)
    model = nd.fit(field, "affine", steps=1)
    assert model.content(field).tobytes() == field.data.tobytes()
    assert model.swap(field, cells(1, channels)).shape == field.data.shape


# --- forgetting -----------------------------------------------------------------------
def test_forgetting_is_as_if_it_had_never_been_seen(tmp_path: Path) -> None:
    a, b, c = (cells(seed) for seed in range(3))
    nd.fit([[a, b], [c]], "affine", seed=5, steps=STEPS).save(
        tmp_path / "m.safetensors"
    )
    model = nd.load(tmp_path / "m.safetensors")
    without = nd.fit_without(model, [c, b, a], [b])
    never = nd.fit([[a], [c]], "affine", seed=5, steps=STEPS)
    assert saved(without, tmp_path / "a.safetensors") == saved(
        never, tmp_path / "b.safetensors"
    )
    assert [i["name"] for g in without.weights.card["images"] for i in g] == [
        "cells 0",
        "cells 2",
    ]


def test_forgetting_begins_where_fitting_began(tmp_path: Path, fitted: Model) -> None:
    a, b = cells(0), cells(1)
    before, c = nd.fit(cells(2), "affine", steps=1), cells(2)
    before.save(tmp_path / "before.safetensors")
    path = tmp_path / "before.safetensors"
    model = nd.fit([a, b, c], path, steps=1)
    with pytest.raises(DataError, match=r"did not begin with .* model=") as error:
        nd.fit_without(model, [a, b, c], b)
    assert one_sentence(error)
    without = nd.fit_without(model, [a, c], b, model=path)
    never = nd.fit([a, c], path, steps=1)
    assert without.weights.hash == never.weights.hash
    assert dict(without.weights.card) == dict(never.weights.card)
    with pytest.raises(DataError, match="had seen cells 2 too") as error:
        nd.fit_without(model, [a, b, c], c, model=path)
    assert one_sentence(error)


@pytest.mark.parametrize(
    ("given", "forget", "words"),
    [
        ([0, 1], [2], "was not fitted on slide 2"),
        ([0], [0], "was fitted on slide 1 too"),
        ([0, 1], [0, 1], "no image to fit on"),
    ],
)
def test_what_cannot_be_forgotten_is_said(
    fitted: Model, given: list[int], forget: list[int], words: str
) -> None:
    with pytest.raises(DataError, match=words) as error:
        nd.fit_without(fitted, [slide(i) for i in given], [slide(i) for i in forget])
    assert one_sentence(error)


def test_images_without_names_of_their_own_cannot_be_told_apart() -> None:
    twins = [replace(cells(seed), name="cells") for seed in (0, 1)]
    model = nd.fit(twins, "affine", steps=1)
    with pytest.raises(DataError, match="the same name") as error:
        nd.fit_without(model, twins, twins[0])
    assert one_sentence(error)


@pytest.mark.parametrize("name", ["affine", "balanced"])
def test_a_model_that_saw_no_image_has_none_to_forget(name: str) -> None:
    with pytest.raises(DataError, match="nothing that it could forget") as error:
        nd.fit_without(nd.fit(slide(0), name), [slide(0)], slide(0))
    assert one_sentence(error)


# --- what goes wrong ------------------------------------------------------------------
def grey() -> Any:
    return nd.Field(slide(0).data[..., 1], "YX", modality="brightfield", name="grey")


def blank(value: float) -> Any:
    return nd.Field(np.full((96, 96, 3), value, "float32"), "YXC", name="blank")


@pytest.mark.parametrize(
    ("wrong", "kind", "words"),
    [
        (lambda: nd.fit([], "affine", steps=1), DataError, "no image"),
        (lambda: nd.fit(slide(0), "affine", steps=0), ValueError, "at least 1 step"),
        (lambda: nd.fit(slide(0), "mk", steps=1), ValueError, "nothing to learn"),
        (lambda: nd.fit(slide(0), "affine", steps=1, depth=3), ValueError, "depth"),
        (
            lambda: nd.fit(slide(0), "affine", steps=1, device="abacus"),
            ValueError,
            "device 'abacus' is not available",
        ),
        (
            lambda: nd.fit(nd.Field(slide(0).data[:40, :40], "YXC"), "affine", steps=1),
            DataError,
            "not 4 tiles of 32 x 32",
        ),
        (lambda: nd.fit(spoiled("NaN"), "affine", steps=1), DataError, "foreground"),
        (lambda: nd.fit(blank(0.5), "affine", steps=1), DataError, "foreground"),
        (lambda: nd.fit(blank(np.nan), "affine", steps=1), DataError, "foreground"),
        (lambda: nd.fit(grey(), "affine", steps=1), DataError, "3 channels together"),
        (
            lambda: nd.fit([slide(0), cells(0)], "affine", steps=1),
            ChannelError,
            "is fluorescence, but the model",
        ),
        (
            lambda: nd.fit([cells(0, 2), cells(0)], "affine", steps=1),
            ChannelError,
            "needs",
        ),
        (
            lambda: nd.fit(slide(0), "affine-fluorescence"),
            DataError,
            "works on fluorescence images",
        ),
        (lambda: nd.fit(slide(0), "affin"), ValueError, "affine-brightfield"),
    ],
)
def test_what_cannot_be_learned_is_one_sentence(
    wrong: Any, kind: Any, words: str
) -> None:
    with pytest.raises(kind, match=words) as error:
        wrong()
    assert one_sentence(error)


def test_only_what_is_marked_is_learned_from() -> None:
    where = np.zeros((96, 96), bool)
    with pytest.raises(DataError, match="tiles of 32 x 32"):
        nd.fit(replace(slide(0), where=where), "affine", steps=1)
    spoilt = slide(0).data.astype("float32") / 255
    spoilt[:20] = np.nan
    field = replace(slide(1), data=spoilt, full_scale=1.0)
    assert np.isfinite(nd.fit([field], "affine", steps=1).reference.values).all()


def spoiled(kind: str) -> Any:
    """Cells in three channels, of which the second shows nothing."""
    data = cells(0, 3).data.astype("float32")
    noise = np.random.default_rng(0).poisson(100, data[1].shape)
    data[1] = {"noise": noise, "constant": 5, "NaN": np.nan}.get(kind, data[1])
    if kind == "infinite":
        data[1, :30] = np.inf
    scale = {"tiny": 1e-12, "huge": 1e9}.get(kind, 1)
    return replace(cells(0, 3), data=(data * scale).astype("float32"))


@pytest.mark.parametrize("kind", ["noise", "constant", "infinite", "tiny", "huge"])
def test_odd_images_can_be_learned_from(kind: str) -> None:
    field = spoiled(kind)
    model = nd.fit(field, "affine", steps=1)
    shown = model.swap(field, model.reference)
    np.testing.assert_array_equal(shown, field.data)
    assert np.isfinite(model.reference.values).all()


def renamed(tensors: dict[str, Any]) -> dict[str, Any]:
    return {f"x{name}": tensor for name, tensor in tensors.items()}


def other_values(tensors: dict[str, Any]) -> dict[str, Any]:
    return tensors | {"head.2.bias": tensors["head.2.bias"] + 1}


DAMAGE = {
    "none": lambda t: {},
    "renamed": renamed,
    "one missing": lambda t: {k: v for k, v in t.items() if k != "head.0.weight"},
    "no centre": lambda t: {k: v for k, v in t.items() if k != "centre"},
    "another shape": lambda t: t | {"head.0.weight": np.zeros((2, 2), "float32")},
    "flat": lambda t: t | {"body.0.weight": np.zeros(5, "float32")},
    "other values": other_values,
    "not numbers": lambda t: t | {"centre": np.full_like(t["centre"], np.nan)},
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_file_with_other_tensors_is_refused(
    tmp_path: Path, fitted: Model, damage: str
) -> None:
    path = tmp_path / "m.safetensors"
    fitted.save(path)
    with safe_open(path, framework="numpy") as file:
        header = dict(file.metadata())
    save_file(DAMAGE[damage](load_file(path)), path, metadata=header)
    with pytest.raises(ModelFileError, match="does not hold a whole model") as error:
        nd.load(path)
    assert one_sentence(error)


# --- the zoo --------------------------------------------------------------------------
@pytest.mark.parametrize("name", nd.zoo())
def test_bundled_models_work_and_say_what_they_are(name: str) -> None:
    card, model = nd.zoo()[name], nd.load(name)
    assert {"trained on", "not for", "seed", "steps", "losses", "verdict"} <= set(card)
    assert json.loads(json.dumps(dict(model.weights.card))) == card
    images = (slide, cells) if model.modality == "brightfield" else (cells, slide)
    field = images[0](0)
    by_name, by_default = nd.fit(field, name), nd.fit(field, name.partition("-")[0])
    assert by_name.hash == by_default.hash == model.hash
    assert by_name.content(field).tobytes() == field.data.tobytes()
    with pytest.raises(DataError, match="works on"):
        nd.fit(images[1](0), name)
