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

import napari_disentangle as nd
from napari_disentangle.errors import ChannelError, DataError, ModelFileError
from napari_disentangle.image.signal import from_signal, to_signal
from napari_disentangle.model.affine.net import ClassNet, Readers, tensors_of
from napari_disentangle.model.base import Weights
from napari_disentangle.model.fit import no_look, unfitted
from napari_disentangle.model.remarks import doubt_words
from napari_disentangle.pipeline.inputs import Inputs
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


PAIR = (slide(0), slide(1))


@pytest.fixture(scope="module")
def fitted() -> Model:
    return nd.fit(PAIR, "affine", steps=STEPS)


def saved(model: Model, path: Path) -> bytes:
    model.save(path)
    return path.read_bytes()


def one_sentence(error: pytest.ExceptionInfo[Exception]) -> bool:
    text = str(error.value)
    return "\n" not in text and 10 < len(text) < 300


def by_hand(seed: int = 0, nets: int = 2) -> Weights:
    """Weights that sort pixels as chance wants."""
    torch.manual_seed(seed)
    net = Readers([ClassNet(3, 5) for _ in range(nets)])
    with torch.no_grad():
        for one in net.each():
            one.log_sharpness.fill_(3.0)
    return Weights(tensors_of(net), {"made": "by hand"})


def using(weights: Weights, field: nd.Field) -> Model:
    blank = no_look(replace(unfitted(field, "affine"), weights=weights))
    return replace(blank, reference=blank.attribute(field))


# --- the same, and another ------------------------------------------------------------
def test_the_seed_decides_every_byte(tmp_path: Path, fitted: Model) -> None:
    again, other = (nd.fit(PAIR, "affine", None, s, STEPS) for s in (0, 1))
    known, same, changed = (
        saved(model, tmp_path / "m.safetensors") for model in (fitted, again, other)
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


def test_a_saved_model_is_as_open_as_other_files(tmp_path: Path, fitted: Model) -> None:
    paths = [tmp_path / "m.safetensors", tmp_path / "plain.txt"]
    fitted.save(paths[0])
    paths[1].write_text("")
    modes = {path.stat().st_mode for path in paths}
    assert len(modes) == 1


def test_any_step_can_be_used_later_and_closing_ends_at_once(tmp_path: Path) -> None:
    steps: dict[int, FitStep] = {}
    then: dict[int, str] = {}
    with closing(nd.fit_steps(PAIR, "affine", steps=400)) as running:
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
        assert index == 0 or model.weights.card["steps"] == index
        model.save(tmp_path / "m.safetensors")
        back = nd.load(tmp_path / "m.safetensors")
        field = slide(2)
        assert back.content(field).tobytes() == model.content(field).tobytes()


def test_every_budget_is_kept() -> None:
    for budget in (1, 9):
        *_, last = nd.fit_steps([slide(0)], "affine", steps=budget)
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


@pytest.mark.slow
def test_fits_in_a_row_give_their_memory_back() -> None:
    status = Path("/proc/self/statm")
    if not status.exists():
        pytest.skip("the memory of a process is only read on Linux")
    resident = []
    for seed in range(6):
        nd.fit(slide(seed), "affine", steps=STEPS)
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


def another_look(own: Any, change: Any) -> Any:
    """An attribute nearby: other levels, spreads and colours."""
    values = own.values.copy()
    values[3:6] *= np.exp(change[:3])
    values[:3] *= np.exp(change[:3])
    values[6:9] += change[3:6]
    colours = [i for i, name in enumerate(own.names) if " of class " in name]
    classes = [i for i in colours if not own.names[i].startswith("share")]
    values[classes] *= np.exp(np.resize(change[6:], len(classes)))
    return replace(own, values=values)


def moved(model: Model, field: Any, source: Any, target: Any) -> Any:
    result = model.render(field, target, source=source)
    return replace(field, data=result)


@settings(max_examples=15)
@given(change=looks)
def test_there_and_back_in_floating_point(change: Any) -> None:
    """The map back is that of exchanged looks, which is not quite the inverse."""
    field = slide(0)
    field = replace(field, data=(field.data / 255).astype("float32"), full_scale=1.0)
    model = using(by_hand(), field)
    own = model.attribute(field)
    look = another_look(own, change)
    matrix, offset = model.method.map_between(own.values, look.values)
    there = moved(model, field, own, look)
    shown = (there.data > 1e-3).all(axis=-1) & (there.data < 1).all(axis=-1)
    light = torch.from_numpy(there.data[shown].astype(float).T)
    signal = to_signal(light, "absorbance", 1.0).numpy() - offset[:, None]
    undone = torch.from_numpy(np.linalg.solve(matrix, signal))
    back = from_signal(undone, "absorbance", 1.0).numpy().T
    np.testing.assert_allclose(back, field.data[shown], atol=1e-4)


def as_closed_form(model: Model, field: Any, donor: Any) -> bool:
    """Whether a swap only takes the range of every channel to that of the donor."""
    own, other = (model.attribute(one) for one in (field, donor))
    known = [dict(zip(one.names, one.values, strict=True)) for one in (own, other)]
    rises = [known[1][f"log range {c}"] - known[0][f"log range {c}"] for c in "RGB"]
    matrix, _ = model.method.map_between(own.values, other.values)
    return bool(np.allclose(matrix, np.diag(np.exp(rises))))


def test_readings_that_differ_are_said_and_agreement_is_silent(tmp_path: Path) -> None:
    field, donor = slide(0), slide(1, synthetic.ROSE)
    path = str(tmp_path / "m.safetensors")
    for nets, differ in ((1, False), (3, True)):
        model = using(by_hand(nets=nets), field)
        model.save(path)
        doubt = model.doubt(model.attribute(field), model.attribute(donor))
        recipe = nd.Recipe(model=path, outputs=("swap",))
        *_, made = nd.follow(recipe, Inputs([field], [donor]))
        said = [w for w in made.status if "readings of the look differ" in w]
        assert (doubt > 0) == differ
        assert said == [w for w in [doubt_words(doubt)] if w]
    assert doubt_words(0.031).startswith(
        "the model's readings of the look differ by 3%"
    )
    assert not doubt_words(0.029)


def test_fitting_goes_on_where_images_were_not_enough(tmp_path: Path) -> None:
    """What was not used is learned further, and used as soon as it is better."""
    path = tmp_path / "m.safetensors"
    model = nd.fit(PAIR, "affine", steps=1)
    off = dict(model.weights.tensors) | {"used": np.zeros((), "float32")}
    unused = no_look(replace(model, weights=replace(model.weights, tensors=off)))
    replace(unused, reference=unused.look(slide(0))).save(path)
    assert unused.doubt(unused.look(slide(0)), unused.look(slide(1))) == 0
    marks = []
    for start in (path, "affine"):
        *_, last = nd.fit_steps(PAIR, start, steps=1)
        marks.append(last.losses["held out"])
    assert marks[0] == pytest.approx(marks[1], abs=0.5)
    assert marks[0] != last.losses["balanced"]


def test_images_that_were_not_enough_leave_the_closed_form() -> None:
    *_, step = nd.fit_steps(PAIR, "affine", steps=1)
    lost = replace(step, progress=replace(step.progress, better=-0.1, error=0.01))
    assert lost.progress.verdict.startswith("not enough: -0.1 dB against ")
    assert as_closed_form(lost.model(), slide(0), slide(2, synthetic.ROSE))
    won = replace(step, progress=replace(step.progress, better=0.5, error=0.01))
    assert won.progress.verdict.startswith("enough: +0.5 dB against ")
    assert lost.model().weights.card["verdict"] == lost.progress.verdict
    assert won.model().hash != lost.model().hash


@pytest.mark.parametrize("channels", [1, 2, 4, 5])
def test_in_fluorescence_closed_forms_vote(channels: int) -> None:
    field, donor = cells(0, channels), cells(1, channels)
    model = nd.fit(field, "affine")
    assert model.weights is None
    assert model.content(field).tobytes() == field.data.tobytes()
    float_field = replace(field, data=field.data.astype("float32"))
    forms = [
        nd.fit(float_field, name).swap(float_field, donor).astype(float)
        for name in ("balanced", "levels", "meanstd_unmasked")
    ]
    swapped = model.swap(float_field, donor)
    low, high = np.min(forms, axis=0), np.max(forms, axis=0)
    inside = (swapped >= low - 1) & (swapped <= high + 1)
    assert inside.mean() > 0.95


def test_channels_of_fluorescence_do_not_know_of_each_other() -> None:
    three = cells(0, 3, 200)
    every = nd.fit(three, "affine").reference
    known = dict(zip(every.names, every.values, strict=True))
    for chosen in ([0], [1], [0, 1], [2, 0]):
        names = tuple(three.channel_names[i] for i in chosen)
        fewer = replace(three, data=three.data[chosen], channel_names=names)
        one = nd.fit(fewer, "affine").reference
        own = dict(zip(one.names, one.values, strict=True))
        shared = [n for n in own if " by " not in n]
        np.testing.assert_allclose(
            [own[n] for n in shared], [known[n] for n in shared], rtol=1e-6
        )


# --- forgetting -----------------------------------------------------------------------
def test_forgetting_is_as_if_it_had_never_been_seen(tmp_path: Path) -> None:
    a, b, c = (slide(seed) for seed in range(3))
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
        "slide 0",
        "slide 2",
    ]


def test_forgetting_begins_where_fitting_began(tmp_path: Path, fitted: Model) -> None:
    a, b = slide(0), slide(1)
    before, c = nd.fit(slide(2), "affine", steps=1), slide(2)
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
    with pytest.raises(DataError, match="had seen slide 2 too") as error:
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
    twins = [replace(slide(seed), name="slide") for seed in (0, 1)]
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
        (
            lambda: nd.fit(cells(0), "affine", steps=1),
            ValueError,
            "nothing to learn from fluorescence",
        ),
        (lambda: nd.fit(blank(0.5), "affine", steps=1), DataError, "foreground"),
        (lambda: nd.fit(blank(np.nan), "affine", steps=1), DataError, "foreground"),
        (lambda: nd.fit(grey(), "affine", steps=1), DataError, "3 channels together"),
        (
            lambda: nd.fit([slide(0), cells(0)], "affine", steps=1),
            ChannelError,
            "is fluorescence, but the model",
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


def renamed(tensors: dict[str, Any]) -> dict[str, Any]:
    return {f"x{name}": tensor for name, tensor in tensors.items()}


def other_values(tensors: dict[str, Any]) -> dict[str, Any]:
    return tensors | {"nets.0.head.2.bias": tensors["nets.0.head.2.bias"] + 1}


DAMAGE = {
    "none": lambda t: {},
    "renamed": renamed,
    "one missing": lambda t: {
        k: v for k, v in t.items() if k != "nets.0.head.0.weight"
    },
    "not said if used": lambda t: {k: v for k, v in t.items() if k != "used"},
    "another shape": lambda t: t | {"nets.0.head.0.weight": np.zeros((2, 2), "f4")},
    "flat": lambda t: t | {"nets.0.fine.0.weight": np.zeros(5, "float32")},
    "of a version before": lambda t: {"home": np.zeros((1, 9), "float32")},
    "other values": other_values,
    "not numbers": lambda t: t | {"used": np.full_like(t["used"], np.nan)},
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


def test_networks_of_the_version_before_say_who_reads_them(
    tmp_path: Path, fitted: Model
) -> None:
    path = tmp_path / "m.safetensors"
    fitted.save(path)
    with safe_open(path, framework="numpy") as file:
        header = dict(file.metadata())
    save_file({"home": np.zeros((1, 9), "float32")}, path, metadata=header)
    with pytest.raises(ModelFileError, match=r"version 0\.1, the last to read it"):
        nd.load(path)


# --- the zoo --------------------------------------------------------------------------
@pytest.mark.parametrize("name", nd.zoo())
def test_bundled_models_work_and_say_what_they_are(name: str) -> None:
    card, model = nd.zoo()[name], nd.load(name)
    assert {"trained on", "not for", "command"} <= set(card)
    assert json.loads(json.dumps(dict(model.weights.card))) == card
    images = (slide, cells) if model.modality == "brightfield" else (cells, slide)
    field = images[0](0)
    by_name, by_default = nd.fit(field, name), nd.fit(field, name.partition("-")[0])
    assert by_name.hash == by_default.hash == model.hash
    assert by_name.content(field).tobytes() == field.data.tobytes()
    with pytest.raises(DataError, match="works on"):
        nd.fit(images[1](0), name)
