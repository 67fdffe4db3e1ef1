"""An attribute is saved, mixed and pooled without loss, and refused where wrong."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from strategies import MODELS, image, scene

import napari_disentangle as nd
from napari_disentangle.errors import ChannelError, DataError, ModelFileError
from napari_disentangle.model.attribute import average
from napari_disentangle.model.closed import meanstd
from napari_disentangle.model.measure import KNOWN, Reader, measure

RGB = [0, 1, 2]
VALUES = arrays(np.float64, 4, elements=st.floats(-1e12, 1e12))


def attribute(values=(1.0, 2.0, 3.0, 4.0), **changed):
    values = np.asarray(values, float)
    names = tuple(f"value {i}" for i in range(values.shape[-1]))
    spread = np.ones(len(names))
    plain = nd.Attribute(values, names, spread, 3, ("DNA",), "meanstd", "abc")
    return replace(plain, **changed)


@given(VALUES)
def test_json_keeps_every_digit(values):
    kept = attribute(values, status=("dark",))
    text = json.dumps(kept.to_json(), allow_nan=False)
    back = nd.Attribute.from_json(json.loads(text))
    assert back.values.tobytes() == kept.values.tobytes()
    assert back.spread.tobytes() == kept.spread.tobytes()
    assert back.to_json() == kept.to_json()


def test_json_of_a_blank_image_is_json():
    blank = attribute(np.full((2, 4), np.nan), axes="T", spread=np.full(4, np.nan))
    text = json.dumps(blank.to_json(), allow_nan=False)
    back = nd.Attribute.from_json(json.loads(text))
    np.testing.assert_array_equal(back.values, blank.values)
    assert not back.found


@pytest.mark.parametrize(
    "damage",
    [
        {"values": None},
        {"values": "many"},
        {"values": [1.0]},
        {"names": 3},
        {"spread": [[1.0]]},
        {"extra": 1},
        {"axes": "T"},
    ],
)
def test_what_is_no_attribute_is_refused(damage):
    with pytest.raises(ModelFileError, match="not a saved attribute"):
        nd.Attribute.from_json(attribute().to_json() | damage)


def test_names_that_are_numbers_are_read_as_words():
    saved = attribute().to_json()
    read = nd.Attribute.from_json(saved | {"names": list(range(len(saved["names"])))})
    assert set(map(type, read.names)) == {str}


@pytest.mark.parametrize("data", [None, [], "text", {}])
def test_what_is_no_mapping_is_refused(data):
    with pytest.raises(ModelFileError, match="not a saved attribute"):
        nd.Attribute.from_json(data)


@given(VALUES, VALUES)
def test_mixing_ends_exactly_at_both_ends(a, b):
    one, other = attribute(a), attribute(b)
    np.testing.assert_array_equal(one.mix(other, 0).values, a)
    np.testing.assert_array_equal(one.mix(other, 1).values, b)


def test_mixing_is_linear():
    mixed = attribute([0.0, 2.0]).mix(attribute([4.0, 2.0]), 0.25)
    np.testing.assert_allclose(mixed.values, [1, 2])


@pytest.mark.parametrize("strength", [np.nan, np.inf])
def test_a_strength_that_is_no_number_is_refused(strength):
    with pytest.raises(ValueError, match="finite"):
        attribute().mix(attribute(), strength)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (attribute(model_hash="else", model="mk"), "belongs to model 'mk'"),
        (attribute(channels=("actin",)), r"channels \['actin'\].*choose a donor"),
    ],
)
def test_a_foreign_attribute_is_refused_in_one_sentence(other, words):
    with pytest.raises(ChannelError, match=words):
        attribute().mix(other, 0.5)


@pytest.mark.parametrize(
    "other",
    [attribute(np.ones((2, 4)), axes="T"), attribute(np.ones((3, 4)), axes="Z")],
)
def test_rows_that_do_not_pair_are_refused(other):
    with pytest.raises(DataError, match="pooled over its image"):
        attribute(np.ones((3, 4)), axes="T").mix(other, 0.5)


def test_rows_of_another_image_cannot_be_rendered():
    stack = nd.Field(scene("TYX", (3, 40, 40)), "TYX")
    longer = nd.Field(scene("TYX", (4, 40, 40)), "TYX")
    plane = nd.Field(scene("YX", (40, 40)), "YX")
    model = nd.fit(stack, "meanstd")
    rows = model.attribute(longer, "frame")
    for target in (stack, plane):
        with pytest.raises(DataError, match="pooled over its image"):
            model.render(target, rows)


# --- pooling ------------------------------------------------------------------------
@pytest.fixture(scope="module")
def stack():
    values = scene("TZYX", (3, 2, 40, 44), "float32")
    gains = 1 + np.arange(6).reshape(3, 2, 1, 1)
    return nd.Field((values * gains).astype("float32"), "TZYX")


@pytest.fixture(scope="module")
def model(stack):
    return nd.fit(stack, "meanstd")


@pytest.mark.parametrize(
    ("pool", "axes", "shape"),
    [
        ("image", "", (2,)),
        ("batch", "", (2,)),
        ("stack", "T", (3, 2)),
        ("frame", "TZ", (3, 2, 2)),
    ],
)
def test_pools_have_one_row_for_what_shares_a_look(model, stack, pool, axes, shape):
    pooled = model.attribute(stack, pool)
    assert pooled.axes == axes
    assert pooled.values.shape == shape


def test_a_row_is_what_its_planes_alone_would_give(model, stack):
    frames, stacks = model.attribute(stack, "frame"), model.attribute(stack, "stack")
    for t, z in stack.leads():
        plane = nd.Field(stack.data[t, z], "YX")
        np.testing.assert_allclose(
            frames.at((t, z), "TZ"), model.attribute(plane).values
        )
        volume = nd.Field(stack.data[t], "ZYX")
        np.testing.assert_allclose(
            stacks.at((t, z), "TZ"), model.attribute(volume).values
        )


def test_frames_rendered_by_their_own_rows_all_get_the_reference(model, stack):
    rows = model.attribute(stack, "frame")
    even = model.render(stack, model.reference, source=rows)
    after = model.attribute(replace(stack, data=even), "frame")
    before = np.ptp(rows.values[..., 0])
    assert np.ptp(after.values[..., 0]) < 0.05 * before


def test_many_frames_are_grouped_in_one_pass():
    """4096 planes: pairing every plane with every other would take minutes."""
    field = nd.Field(np.zeros((4096, 4, 4), np.uint8), "TYX")
    assert nd.fit(field, "identity").attribute(field, "frame").axes == "T"


def test_a_batch_has_one_vote_per_image():
    small, large = image("fluorescence", 0, 40), image("fluorescence", 1, 90)
    model = nd.fit([small, large], "meanstd")
    both = model.attribute([small, large], "batch").values
    each = [model.attribute(one).values for one in (small, large)]
    np.testing.assert_allclose(both, np.mean(each, axis=0))


def test_blank_images_do_not_vote():
    full = image("fluorescence")
    blank = replace(full, data=np.zeros_like(full.data), name="blank")
    model = nd.fit(full, "meanstd")
    pooled = model.attribute([full, blank], "batch")
    np.testing.assert_array_equal(pooled.values, model.attribute(full).values)
    assert pooled.status == ("no foreground in 1 of 2 images: no vote",)
    assert not model.attribute([blank, blank], "batch").found


def movie(second):
    """Three frames, of which the second is something else."""
    values = scene("TYX", (3, 64, 64))
    values[1] = second
    return nd.Field(values, "TYX")


def test_a_frame_of_noise_gets_the_mean_of_the_others_and_says_so():
    noise = np.random.default_rng(0).poisson(100, (64, 64))
    pooled = nd.fit(movie(noise), "meanstd").attribute(movie(noise), "frame")
    rows = pooled.values
    np.testing.assert_allclose(rows[1], (rows[0] + rows[2]) / 2)
    assert pooled.status == (
        "no foreground in 1 of 3 planes: given the mean look of the others",
    )


@pytest.mark.parametrize("strength", [1.0, 0.5])
@pytest.mark.parametrize("value", [0, 100])
@pytest.mark.parametrize("name", [n for n, m in MODELS if m == "fluorescence"])
def test_a_constant_frame_stays_as_it_is_and_says_so(name, value, strength):
    field = movie(value)
    model = nd.fit(brighter(), name)
    own = model.attribute(field, "frame")
    said = "one and the same value in all of 1 of 3 planes: returned as they are"
    assert [
        words for words in own.status if not words.startswith("the model's readings")
    ] == [said]
    target = model.between(own, model.reference, strength)
    result = model.render(field, target, source=own)
    assert (result[1] == value).all()
    if model.reference.values.size:
        assert all((result[t] != field.data[t]).any() for t in (0, 2))


def test_a_constant_frame_has_no_look_to_give():
    field, constant = movie(scene("YX", (64, 64), seed=3)), movie(100)
    model = nd.fit(field, "meanstd")
    own, look = (model.attribute(one, "frame") for one in (field, constant))
    assert look.found
    result = model.render(field, own.mix(look, 1.0), source=own)
    np.testing.assert_array_equal(result[1], field.data[1])


def brighter():
    """A frame with another look."""
    return nd.Field((scene("YX", (64, 64), seed=7) * 0.5 + 100).astype("uint8"), "YX")


def test_averages_of_other_models_are_refused():
    with pytest.raises(ChannelError):
        average([attribute(), attribute(model_hash="else")])


@pytest.mark.parametrize("fields", [[], [image("fluorescence"), image("fluorescence")]])
def test_several_images_need_a_batch(fields):
    with pytest.raises(DataError, match="batch"):
        nd.fit(image("fluorescence"), "meanstd").attribute(fields)


def test_an_unknown_pool_is_refused():
    with pytest.raises(ValueError, match="frame"):
        nd.fit(image("fluorescence"), "meanstd").attribute(
            image("fluorescence"), "well"
        )


# --- rendering ------------------------------------------------------------------------
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize(("name", "modality"), MODELS)
def test_a_swap_ends_at_the_image_and_at_the_reference(name, modality, dtype):
    field, other = (image(modality, seed, dtype=dtype) for seed in range(2))
    before = field.data.tobytes()
    model = nd.fit([field, other], name)
    reference, donor = model.attribute(other), other
    full = model.swap(field, reference)
    assert full.tobytes() == model.content(field, reference).tobytes()
    assert full.tobytes() == model.swap(field, donor).tobytes()
    assert model.swap(field, donor, 0.0).tobytes() == before
    assert (full.dtype, full.shape) == (field.dtype, field.shape)
    assert field.data.tobytes() == before
    if model.reference.values.size:
        assert full.tobytes() != before


@pytest.mark.parametrize(("name", "modality"), MODELS)
def test_a_swap_gives_the_look_of_the_donor(name, modality):
    field, donor = (image(modality, seed, 96, "float32") for seed in range(2))
    model = nd.fit([field, donor], name)
    once = model.swap(field, donor)
    twice = model.swap(replace(field, data=once), donor)
    assert np.abs(twice - once).mean() <= 0.4 * np.abs(once - field.data).mean()


# --- where, spread, tiles -------------------------------------------------------------
@pytest.mark.parametrize(("name", "modality"), MODELS)
def test_a_region_steers_what_is_measured_and_not_what_is_rendered(name, modality):
    plain = image(modality, size=64)
    where = np.zeros(plain.grid_shape, bool)
    where[:40] = True
    marked = replace(plain, where=where)
    model = nd.fit(image(modality, 1), name)
    own = model.attribute(marked)
    if own.values.size:
        assert (own.values != model.attribute(plain).values).any()
    np.testing.assert_array_equal(
        model.render(marked, model.reference, source=own),
        model.render(plain, model.reference, source=own),
    )


def test_a_region_is_all_that_is_measured():
    plain = image("fluorescence", size=64)
    where = np.zeros(plain.grid_shape, bool)
    where[:40, 5:] = True
    inside = replace(plain, data=plain.data[:, :40, 5:])
    model = nd.fit(plain, "meanstd")
    np.testing.assert_allclose(
        model.attribute(replace(plain, where=where)).values,
        model.attribute(inside).values,
    )


def test_spread_grows_with_what_differs_between_tiles():
    even = scene("YX", (256, 256), "float32")
    uneven = even * np.linspace(0.2, 2, 256, dtype="float32")
    model = nd.fit(nd.Field(even, "YX"), "meanstd_unmasked")
    a, b = (model.attribute(nd.Field(v, "YX")) for v in (even, uneven))
    assert a.n_tiles == b.n_tiles == 4
    assert b.spread[0] > 5 * a.spread[0]


def test_tiles_without_anything_to_measure_do_not_count():
    values = np.zeros((256, 256), np.uint8)
    values[:128, :128] = scene("YX", (128, 128))
    field = nd.Field(values, "YX")
    assert nd.fit(field, "meanstd").attribute(field).n_tiles == 1


@pytest.mark.parametrize("name", ["affine", "balanced", "mk", "macenko"])
@pytest.mark.parametrize("value", [1e308, -1e308, 10**400, "x", [1]])
def test_absurd_values_are_no_saved_attribute(name, value):
    slide = image("brightfield")
    saved = nd.fit(slide, name).attribute(slide).to_json()
    saved["values"][-1 if value == [1] else 0] = value
    with pytest.raises(ModelFileError, match="not a saved attribute") as error:
        nd.Attribute.from_json(saved)
    assert "\n" not in str(error.value)


# --- what was measured before ---------------------------------------------------------
class Counting:
    """A closed form that counts how often it is asked."""

    def __init__(self):
        self.asked = 0
        self.method = replace(meanstd.METHOD, estimate=self.estimate)

    def estimate(self, sample, config):
        self.asked += 1
        return meanstd.METHOD.estimate(sample, config)

    def look(self, field, name="counting"):
        before = self.asked
        steps = measure(Reader(self.method, None, name), field, RGB, "")
        while True:
            try:
                next(steps)
            except StopIteration as ended:
                return ended.value, self.asked > before


def test_the_same_pixels_are_measured_once():
    KNOWN.clear()
    field, counting = image("brightfield"), Counting()
    first, measured = counting.look(field)
    again, anew = counting.look(replace(field, data=field.data.copy(), name="copy"))
    assert (measured, anew) == (True, False)
    assert again.values.tobytes() == first.values.tobytes()
    assert (again.status, again.empty) == (first.status, first.empty)
    assert counting.look(field, "another model")[1]


@pytest.mark.parametrize("changed", ["pixel", "full scale", "where", "alpha"])
def test_what_changed_is_measured_anew(changed):
    KNOWN.clear()
    field, counting = image("brightfield"), Counting()
    counting.look(field)
    data = field.data.copy()
    if changed == "pixel":
        data[5, 5] = 255 - data[5, 5]
        field = replace(field, data=data)
    elif changed == "full scale":
        field = replace(field, full_scale=200.0)
    elif changed == "where":
        where = np.ones(field.data.shape[:2], bool)
        where[:10] = False
        field = replace(field, where=where)
    else:
        alpha = np.full((*data.shape[:2], 1), 255, np.uint8)
        alpha[:, :9] = 0
        field = nd.Field(np.concatenate([data, alpha], axis=2), "YXC", name="a")
    assert counting.look(field)[1]


def test_how_an_image_lies_in_memory_does_not_matter():
    KNOWN.clear()
    field = image("brightfield")
    turned = np.ascontiguousarray(np.moveaxis(field.data, -1, 0))
    planes = nd.Field(
        turned, "CYX", channel_names=field.channel_names, modality="brightfield"
    )
    for name in ("balanced", "mk", "affine"):
        model = nd.fit([field], name)
        KNOWN.clear()
        one = model.attribute(field)
        KNOWN.clear()
        assert model.attribute(planes).values.tobytes() == one.values.tobytes()
