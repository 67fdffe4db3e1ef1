"""Odd input ends in a status in words or in one clear sentence, for every model."""

from __future__ import annotations

import pickle
from contextlib import suppress
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from safetensors.numpy import save_file
from strategies import EACH_MODEL, LEARNERS, MODELS, SCORERS, fitted, image, scene

import napari_disentangle as nd
from napari_disentangle.errors import ChannelError, DataError, ModelFileError
from napari_disentangle.model.remarks import NO_FOREGROUND


def assert_one_sentence(error) -> None:
    text = str(error.value)
    assert "\n" not in text
    assert 10 < len(text) < 300


def filled(modality, shape, value, dtype="uint8"):
    axes = "YXC" if modality == "brightfield" else "CYX"
    grid = (*shape, 3) if modality == "brightfield" else (3, *shape)
    return nd.Field(np.full(grid, value, dtype), axes, name="odd")


def shot_noise(mean, shape):
    return np.random.default_rng(0).poisson(mean, shape).clip(0, 255)


def noise(modality, dtype="uint8"):
    """What a camera sees of nothing: a dim field, or an empty slide."""
    field = filled(modality, (96, 100), 0, dtype)
    values = shot_noise(100, field.shape)
    if modality == "brightfield":  # deep wells and much light: little noise
        values = 240 + values / 4 - 25
    return replace(field, data=values.astype(dtype), full_scale=255.0)


def spoiled(modality, value, share):
    """An image where some values of every channel are not finite."""
    field = image(modality, dtype="float32")
    data = field.data.copy()
    spoilt = np.random.default_rng(0).random(data.shape) < share
    data[spoilt] = value
    return replace(field, data=data, name="odd")


def narrow(modality, height, width):
    axes, shape = "YXC", (height, width, 3)
    if modality == "fluorescence":
        axes, shape = "CYX", (3, height, width)
    return nd.Field(scene(axes, shape), axes, name="odd")


# Models that are about colours, and need three of them.
COLOUR = ("reinhard", "macenko", "contrimix")
BLANK = {
    "blank": lambda m: filled(m, (40, 44), 0),
    "saturated": lambda m: filled(m, (40, 44), 255),
    "constant": lambda m: filled(m, (40, 44), 0.3, "float32"),
    "all NaN": lambda m: filled(m, (40, 44), np.nan, "float32"),
    "all infinite": lambda m: filled(m, (40, 44), np.inf, "float32"),
    "one pixel": lambda m: filled(m, (1, 1), 7),
    "camera noise": noise,
    "float noise": lambda m: noise(m, "float32"),
}
ODD = {
    "some NaN": lambda m: spoiled(m, np.nan, 0.1),
    "some infinite": lambda m: spoiled(m, -np.inf, 0.1),
    "one row": lambda m: narrow(m, 1, 300),
    "one column": lambda m: narrow(m, 300, 1),
    "sixteen bits": lambda m: image(m, dtype="uint16"),
    "half floats": lambda m: image(m, dtype="float16"),
    "double floats": lambda m: image(m, dtype="float64"),
    "signed": lambda m: image(m, dtype="int16"),
    "big endian": lambda m: image(m, dtype=">u2"),
    "tiny values": lambda m: replace(
        image(m), data=image(m, dtype="float32").data * np.float32(1e-30)
    ),
    "huge values": lambda m: replace(
        image(m), data=image(m, dtype="float32").data * np.float32(1e6)
    ),
}


@pytest.mark.parametrize("odd", BLANK)
@pytest.mark.parametrize(("name", "modality"), MODELS)
def test_a_blank_image_comes_back_as_it_is_and_says_so(name, modality, odd):
    field, other = BLANK[odd](modality), image(modality)
    model = nd.fit(other, name)
    before = field.data.tobytes()
    for result in (
        model.content(field),
        model.swap(field, other),
        model.swap(field, other, 0.4),
    ):
        assert result.tobytes() == before
    assert NO_FOREGROUND in model.inspect(field)
    assert NO_FOREGROUND in nd.apply(model, field).provenance["status"]
    assert model.encode(field).shape[1:] == field.grid_shape


@pytest.mark.parametrize("odd", BLANK)
@pytest.mark.parametrize(("name", "modality"), MODELS)
def test_a_blank_donor_or_reference_is_refused(name, modality, odd):
    blank, other = BLANK[odd](modality), image(modality)
    if not nd.fit(other, name).reference.values.size:  # there is no look to be given
        swapped = nd.fit(other, name).swap(other, blank)
        assert swapped.tobytes() == other.data.tobytes()
        return
    with pytest.raises(DataError, match="no foreground") as error:
        nd.fit(other, name).swap(other, blank)
    assert_one_sentence(error)
    with pytest.raises(DataError, match="no foreground") as error:
        nd.fit(blank, name).content(other)
    assert_one_sentence(error)


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize(("name", "modality"), MODELS)
def test_odd_images_are_rendered(name, modality, odd):
    field, other = ODD[odd](modality), image(modality, 1)
    model = nd.fit(other, name)
    before = field.data.tobytes()
    assert model.swap(field, other, 0.0).tobytes() == before
    for result in (model.content(field), model.swap(field, other)):
        assert result.dtype == field.dtype
        assert result.shape == field.shape
        known = np.isfinite(np.moveaxis(field.data, field.axes.index("C"), 0)).all(0)
        shown = np.moveaxis(result, field.axes.index("C"), 0)
        assert np.isfinite(shown[:, known]).all()
    assert field.data.tobytes() == before


@pytest.mark.parametrize("channels", [1, 2, 4, 5])
@pytest.mark.parametrize("name", [n for n, m in MODELS if m == "fluorescence"])
def test_any_number_of_channels_is_rendered(name, channels):
    field, other = (
        nd.Field(scene("TCYX", (2, channels, 48, 53), seed=seed), "TCYX")
        for seed in range(2)
    )
    model = nd.fit([field, other], name)
    for pool in ("image", "frame"):
        shown = model.render(field, model.reference, model.attribute(field, pool))
        assert (shown.shape, shown.dtype) == (field.data.shape, field.dtype)
        assert (shown != field.data).any() == bool(model.reference.values.size)


@pytest.mark.parametrize("name", [n for n in nd.models() if n not in COLOUR])
def test_a_slide_without_colour_is_rendered(name):
    field, other = (
        nd.Field(
            scene("YXC", (48, 53, 3), seed=s)[..., 0], "YX", modality="brightfield"
        )
        for s in range(2)
    )
    shown = nd.fit([field, other], name).swap(field, other)
    assert (shown.shape, shown.dtype) == (field.data.shape, field.dtype)
    assert (shown != field.data).any() == (name != "identity")


@pytest.mark.parametrize(("value", "share"), [(np.nan, 0.1), (np.inf, 0.1)])
@pytest.mark.parametrize(("name", "modality"), MODELS)
def test_values_that_are_no_numbers_are_counted(name, modality, value, share):
    field = spoiled(modality, value, share)
    said = nd.fit(image(modality), name).inspect(field)
    assert any("of the values are NaN or infinite" in words for words in said)


@pytest.mark.parametrize("mean", [0.1, 0.5, 1, 2, 5, 100])
@pytest.mark.parametrize("name", [n for n, m in MODELS if m == "fluorescence"])
def test_noise_is_not_stretched_into_cells(name, mean):
    other = image("fluorescence", size=96)
    data = shot_noise(mean, other.shape).astype("uint8")
    field = replace(other, data=data)
    model = nd.fit(other, name)
    assert model.swap(field, other).tobytes() == field.data.tobytes()
    assert NO_FOREGROUND in model.inspect(field)


@pytest.mark.parametrize("name", [n for n, m in MODELS if m == "fluorescence"])
def test_a_channel_of_noise_is_named(name):
    plain = image("fluorescence", size=96)
    data = plain.data.copy()
    data[1] = shot_noise(100, data[1].shape)
    model = nd.fit(plain, name)
    said = [s for s in model.inspect(replace(plain, data=data)) if "nothing" in s]
    name = plain.channel_names[1]
    assert said == [f"channel {name} shows nothing: it is left as it is"]
    assert not any("nothing" in words for words in model.inspect(plain))


def saturated(modality, dtype, top, share=0.1):
    """An image whose brightest values all became ``top``, and for which top is that."""
    field = image(modality, dtype="float32")
    unit = field.data / np.quantile(field.data, 1 - share)
    data = unit.clip(None, 1) * top
    full_scale = 255.0 if dtype == "uint8" else 65535.0
    return replace(field, data=data.astype(dtype), full_scale=full_scale)


@pytest.mark.parametrize("modality", ["fluorescence", "brightfield"])
@pytest.mark.parametrize(
    ("dtype", "top"), [("uint8", 255), ("uint16", 4095), ("float32", 0.7)]
)
def test_saturation_is_said_wherever_the_range_ends(modality, dtype, top):
    field = saturated(modality, dtype, top)
    (said,) = (s for s in nd.fit(field, "identity").inspect(field) if "saturated" in s)
    assert 5 <= int(said.split("%")[0]) <= 35


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("modality", ["fluorescence", "brightfield"])
def test_an_image_that_is_not_saturated_is_not_called_so(modality, dtype):
    field = image(modality, dtype=dtype)
    said = nd.fit(field, "identity").inspect(field)
    assert not any("saturated" in words for words in said)


def test_black_pixels_of_a_slide_are_lost_values():
    field = image("brightfield")
    data = field.data.copy()
    y, x = np.ogrid[: data.shape[0], : data.shape[1]]
    data[np.hypot(y - data.shape[0] / 2, x - data.shape[1] / 2) < 15] = 0
    said = nd.fit(field, "identity").inspect(replace(field, data=data))
    assert any("of the pixels are saturated" in words for words in said)
    data = field.data.copy()
    data[:10] = 0
    said = nd.fit(field, "identity").inspect(replace(field, data=data))
    assert any("of the pixels are padding" in words for words in said)


def test_a_dark_brightfield_image_is_questioned():
    field = image("brightfield")
    dark = replace(field, data=field.data // 8)
    assert any("mostly dark" in s for s in nd.fit(field, "mk").inspect(dark))
    twelve_bits = replace(field, data=(field.data * 16.0).astype("float32"))
    twelve_bits = replace(twelve_bits, full_scale=1.0)
    assert any("set full_scale" in s for s in nd.fit(field, "mk").inspect(twelve_bits))


@pytest.mark.parametrize(("name", "modality"), MODELS)
def test_missing_channels_are_an_error_and_extra_ones_stay(name, modality):
    field = image(modality)
    model = nd.fit(field, name)
    axis = field.axes.index("C")
    fewer = nd.Field(
        np.take(field.data, [0, 1], axis),
        field.axes,
        modality=field.modality,
        channel_names=field.channel_names[:2],
        name="two",
    )
    for use in (model.content, model.attribute, model.inspect, model.encode):
        with pytest.raises(ChannelError, match=r"'two' has channels .* needs") as error:
            use(fewer)
        assert_one_sentence(error)
    with pytest.raises(ChannelError, match="'two'"):
        model.swap(field, fewer)
    data = np.concatenate([field.data, np.take(field.data, [0], axis)], axis)
    names = ("extra",) if modality == "fluorescence" else ("alpha",)
    more = nd.Field(data, field.axes, channel_names=field.channel_names + names)
    shown = model.content(more)
    left = np.take(more.data, [3], axis)
    np.testing.assert_array_equal(np.take(shown, [3], axis), left)
    assert any("left alone" in words for words in model.inspect(more))


def test_another_modality_is_refused():
    model = nd.fit(image("fluorescence"), "meanstd")
    with pytest.raises(ChannelError, match="is brightfield, but the model was fitted"):
        model.content(image("brightfield"))
    with pytest.raises(DataError, match="'macenko' works on brightfield"):
        nd.fit(image("fluorescence"), "macenko")


@pytest.mark.parametrize(("name", "modality"), EACH_MODEL)
def test_a_donor_of_another_model_is_refused(name, modality):
    field = image(modality)
    other = next(n for n, m in MODELS if m == modality and n != name)
    donor = nd.fit(field, other).attribute(field)
    with pytest.raises(ChannelError, match=f"belongs to model '{other}'") as error:
        nd.fit(field, name).swap(field, donor)
    assert_one_sentence(error)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda f: nd.fit(f, "unheard of"),
        lambda f: nd.fit(f, "mk", unheard_of=1),
        lambda f: nd.fit(f, "percentile", low=99, high=1),
        lambda f: nd.fit_detector(f, "unheard of"),
        lambda f: nd.fit_detector(f, unheard_of=1),
        lambda f: nd.fit_detector(f, trim=2),
        lambda f: nd.fit_detector(f, bank="many"),
        lambda f: nd.fit_detector(f, seed=-1),
        lambda f: nd.fit_detector(f, cell=0.0),
        lambda f: nd.fit_detector(f, cell=float("nan")),
        lambda f: nd.fit_detector(f, cell="20"),
        lambda f: nd.fit_detector(f, on="affine"),
        lambda f: nd.fit_detector(f.data),
        lambda f: nd.fit_detector(f).score(f.data),
        lambda f: nd.fit(f.data, "mk"),
        lambda f: nd.fit(f, "mk").attribute(f.data),
        lambda f: replace(f, scale=(0.0, 1.0)),
        lambda f: replace(f, scale=(1.0, float("nan"))),
        lambda f: nd.apply(nd.fit(f, "mk"), f, "unheard of"),
        lambda f: nd.fit_detector(f).score(f).regions(alpha=0),
        lambda f: nd.fit_detector(f).score(f).regions(alpha="0.1"),
        lambda f: nd.fit(f, "mk").lazy(f, nd.fit(f, "mk").reference, device="cuda:99"),
    ],
)
def test_a_bad_argument_is_a_value_error_in_one_sentence(wrong):
    with pytest.raises(ValueError, match=r"\w+ \w+") as error:
        wrong(image("brightfield"))
    assert_one_sentence(error)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda f: nd.fit([], "mk"),
        lambda f: nd.fit_detector([]),
        lambda f: nd.apply(nd.fit(f, "mk"), f, "swap"),
        lambda f: nd.apply(nd.fit(f, "mk"), f, "anomaly"),
    ],
)
def test_what_is_missing_is_asked_for(wrong):
    with pytest.raises(DataError) as error:
        wrong(image("brightfield"))
    assert_one_sentence(error)


# --- detectors ------------------------------------------------------------------------
# Learners cost more, and do not know what light an image was taken with.
SCORED = [(name, m) for name in SCORERS for m in ("brightfield", "fluorescence")]
SCORED += [(name, "fluorescence") for name in LEARNERS]


@cache
def known_normal(name, modality):
    """A detector, fitted on an image that is large enough to learn from."""
    normal = image(modality, 1, 64)
    return fitted(normal, name, nd.fit(normal, "mk"))


@pytest.mark.parametrize("odd", [*BLANK, *ODD])
@pytest.mark.parametrize(("name", "modality"), SCORED)
def test_odd_images_are_scored(name, modality, odd):
    field = (BLANK | ODD)[odd](modality)
    score = known_normal(name, modality).score(field)
    assert score.z.shape == field.grid_shape
    known = np.isfinite(np.moveaxis(field.data, field.axes.index("C"), 0)).all(0)
    assert np.isfinite(score.z[known]).all()
    assert np.isnan(score.z[~known]).all()
    labels, table = score.regions()
    assert len(table["label"]) == labels.max()


@pytest.mark.parametrize("odd", [*BLANK, *ODD])
@pytest.mark.parametrize(("name", "modality"), SCORED)
def test_odd_normals_are_learned_or_refused(name, modality, odd):
    field = (BLANK | ODD)[odd](modality)
    known = np.isfinite(np.moveaxis(field.data, field.axes.index("C"), 0)).all(0)
    with suppress(DataError):
        z = fitted(field, name).score(field).z
        assert np.isfinite(z[known]).all()


@pytest.mark.parametrize("places", [[], [0], [0, 1], [0, -1], np.s_[:30], np.s_[::99]])
def test_too_few_normal_pixels_are_refused(places):
    field = image("brightfield")
    where = np.zeros(field.grid_shape, bool)
    where.flat[places] = True
    with pytest.raises(DataError, match="mark more") as error:
        nd.fit_detector(replace(field, where=where))
    assert_one_sentence(error)


# --- model files ----------------------------------------------------------------------
@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "model.safetensors"
    nd.fit(image("brightfield"), "percentile", low=2.0).save(path)
    return path


@pytest.mark.parametrize(("name", "modality"), EACH_MODEL)
def test_a_saved_model_is_the_same_model(tmp_path, name, modality):
    field, other = image(modality), image(modality, 1)
    model = nd.fit([field, other], name)
    model.save(tmp_path / "m.safetensors")
    back = nd.load(tmp_path / "m.safetensors")
    assert back.hash == model.hash
    assert (back.config, back.channels) == (model.config, model.channels)
    assert back.content(field).tobytes() == model.content(field).tobytes()


def rewritten(path, change):
    """The model file with another header."""
    import json

    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        header = json.loads(file.metadata()["napari_disentangle"])
    text = change(header)
    text = text if isinstance(text, str) else json.dumps(text)
    save_file({"a": np.ones(2)}, path, metadata={"napari_disentangle": text})


DAMAGE = {
    "empty": lambda p: p.write_bytes(b""),
    "cut": lambda p: p.write_bytes(p.read_bytes()[:50]),
    "noise": lambda p: p.write_bytes(bytes(range(256)) * 9),
    "pickled": lambda p: p.write_bytes(pickle.dumps({"weights": [1, 2]})),
    "foreign": lambda p: save_file({"a": np.ones(3)}, p),
    "missing": lambda p: p.unlink(),
    "a folder": lambda p: (p.unlink(), p.mkdir()),
    "of a newer format": lambda p: rewritten(p, lambda h: h | {"format": 99}),
    "of an unknown model": lambda p: rewritten(p, lambda h: h | {"model": "new"}),
    "with an unknown setting": lambda p: rewritten(
        p, lambda h: h | {"config": {"x": 1}}
    ),
    "with a bad setting": lambda p: rewritten(
        p, lambda h: h | {"config": {"low": 101}}
    ),
    "of an unknown modality": lambda p: rewritten(p, lambda h: h | {"modality": "x"}),
    "without its reference": lambda p: rewritten(p, lambda h: h | {"reference": {}}),
    "without channels": lambda p: rewritten(
        p, lambda h: {k: v for k, v in h.items() if k != "channels"}
    ),
    "with no header": lambda p: rewritten(p, lambda h: "{"),
    "with a list for a header": lambda p: rewritten(p, lambda h: [1]),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_model_file_is_refused_in_one_sentence(saved, damage):
    DAMAGE[damage](saved)
    with pytest.raises(ModelFileError, match=r"model\.safetensors") as error:
        nd.load(saved)
    assert_one_sentence(error)


@pytest.mark.parametrize("name", ["model.pt", "model.pkl", "model"])
def test_a_file_of_another_kind_is_not_opened(saved, name):
    other = saved.rename(saved.with_name(name))
    with pytest.raises(ModelFileError, match=r"must end in \.safetensors"):
        nd.load(other)


def test_a_model_is_not_saved_to_nowhere(tmp_path):
    model = nd.fit(image("brightfield"), "mk")
    with pytest.raises(ModelFileError, match="cannot be written") as error:
        model.save(tmp_path / "missing" / "m.safetensors")
    assert_one_sentence(error)


def test_what_a_person_prints_is_short():
    field = image("brightfield")
    model = nd.fit(field)
    detector = nd.fit_detector(field, on=model)
    lazy = nd.apply(model, field, "anomaly", detector=detector)
    words = ("affine", "mahalanobis", field.name)
    for made, word in zip((model, detector, lazy), words, strict=True):
        assert word in repr(made)
        assert len(repr(made)) < 1000


def test_normals_of_one_value_are_refused():
    flat = nd.Field(np.full((80, 80), 7, np.uint8), "YX", name="flat")
    with pytest.raises(DataError, match="one and the same value") as error:
        nd.fit_detector([flat, replace(flat, name="flat too")])
    assert_one_sentence(error)
    alone = nd.fit_detector(flat).score(flat)
    assert not alone.z.any()
    assert any("one and the same value" in w or "constant" in w for w in alone.status)
