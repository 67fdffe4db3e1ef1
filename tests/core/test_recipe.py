"""A recipe says all that was done: it is kept, refused in words, and reproduces."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import EACH_MODEL, image, scene

import napari_disentangle as nd
from napari_disentangle.errors import DataError
from napari_disentangle.model.base import AffineMethod
from napari_disentangle.model.fit import no_look
from napari_disentangle.pipeline.follow import Step
from napari_disentangle.pipeline.inputs import Inputs
from napari_disentangle.pipeline.kinds import KINDS
from napari_disentangle.pipeline.output import Output
from napari_disentangle.pipeline.recipe import Recipe, RecipeError, Source


def saved(field, path):
    """Write an image as it is."""
    for _ in nd.write(nd.apply(nd.fit(field, "identity"), field), path):
        pass
    return nd.read(path)


def ran(recipe, folder, **options):
    """Files that a recipe makes."""
    return [p for p in nd.run(recipe, folder, **options) if isinstance(p, Path)]


def outputs(recipe, inputs, detector=None):
    """Outputs of a recipe in memory."""
    made = nd.follow(recipe, inputs, detector)
    return [part for part in made if isinstance(part, Output)]


def values(path):
    field = nd.read(path)
    return np.stack([field.plane(lead) for lead in field.leads()])


# --- text -----------------------------------------------------------------------------
@st.composite
def recipes(draw):
    names = st.text(max_size=9)
    source = st.builds(
        Source,
        name=names,
        path=st.none() | names,
        axes=st.sampled_from(["YX", "TCZYX"]),
        modality=st.sampled_from(["brightfield", "fluorescence"]),
        channels=st.lists(names, max_size=3).map(tuple),
        full_scale=st.floats(1e-3, 1e9),
    )
    sources = st.lists(source, max_size=2).map(tuple)
    return draw(
        st.builds(
            Recipe,
            images=sources,
            donors=sources,
            normals=sources,
            model=st.sampled_from(list(nd.models())),
            config=st.dictionaries(
                names, st.floats(allow_nan=False, allow_infinity=False) | st.booleans()
            ),
            outputs=st.lists(st.sampled_from(list(KINDS))).map(tuple),
            strength=st.floats(0, 1),
            seed=st.integers(-(2**40), 2**40),
        )
    )


@settings(max_examples=60, deadline=None)
@given(recipe=recipes())
def test_text_keeps_a_recipe(tmp_path_factory, recipe):
    folder = tmp_path_factory.mktemp("recipe")
    recipe.save(folder / "r.yaml")
    assert Recipe.load(folder / "r.yaml") == recipe
    (folder / "r.json").write_text(json.dumps(recipe.to_json()), encoding="utf-8")
    assert Recipe.load(folder / "r.json") == recipe
    assert Recipe.from_json({"recipe": recipe.to_json(), "output": "swap"}) == recipe


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("modle: mk", "modle"),
        ("strength: 2", "strength"),
        ("strength: much", "strength"),
        ("outputs: [content, else]", "outputs"),
        ("format: 2", "format"),
        ("images: [{path: a}]", "images"),
        ("images: [{name: a, axes: YX, colour: red}]", "images"),
        ("- mk", "whole"),
        ("mk", "whole"),
        ("", "whole"),
        ("model: [", "cannot be read as a recipe"),
        ("!!python/object/apply:os.getcwd []", "cannot be read as a recipe"),
    ],
)
def test_a_wrong_recipe_is_refused_in_one_sentence(tmp_path, text, words):
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(RecipeError, match=words) as error:
        Recipe.load(tmp_path / "r.yaml")
    assert "\n" not in str(error.value)


def test_a_recipe_that_is_not_there_or_no_text_is_refused(tmp_path):
    with pytest.raises(RecipeError, match="cannot be read as a recipe"):
        Recipe.load(tmp_path / "r.yaml")
    (tmp_path / "r.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecipeError, match="cannot be read as a recipe"):
        Recipe.load(tmp_path / "r.yaml")


def test_a_recipe_is_frozen():
    with pytest.raises(ValueError, match="frozen"):
        Recipe().model = "mk"


# --- files to files -------------------------------------------------------------------
@pytest.fixture(scope="module")
def slides(tmp_path_factory):
    """Two colour images in files, and a third one."""
    folder = tmp_path_factory.mktemp("slides")
    return [saved(image("brightfield", i), folder / f"s.{i}.png") for i in range(3)]


@pytest.fixture(scope="module")
def stacks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stacks")
    fields = [
        nd.Field(scene("TCYX", (2, 2, 40, 44), "uint16", seed), "TCYX")
        for seed in range(3)
    ]
    return [saved(f, folder / f"s{i}.ome.tif") for i, f in enumerate(fields)]


def recipe_of(fields, model, **more):
    one, two, donor = (Source.of(field) for field in fields)
    return Recipe(images=(one, two), donors=(donor,), model=model, device="cpu", **more)


def assert_reproduced(path, again):
    assert again.name == path.name
    np.testing.assert_array_equal(values(again), values(path))
    assert nd.read_provenance(again) == nd.read_provenance(path)


@pytest.mark.parametrize("pool", ["image", "batch", "frame"])
@pytest.mark.parametrize("kind", ["slides", "stacks"])
def test_an_output_holds_the_recipe_that_makes_it_again(tmp_path, request, kind, pool):
    fields = request.getfixturevalue(kind)
    recipe = recipe_of(fields, "meanstd", pool=pool, strength=0.6, seed=3)
    made = ran(recipe, tmp_path / "first")
    assert len(made) == 6
    for path in made:
        kept = Recipe.from_json(nd.read_provenance(path))
        again = {p.name: p for p in ran(kept, tmp_path / path.name)}
        assert_reproduced(path, again[path.name])


@pytest.mark.parametrize(("name", "modality"), EACH_MODEL)
def test_every_model_is_reproduced(tmp_path, slides, stacks, name, modality):
    fields = slides if modality == "brightfield" else stacks
    recipe = recipe_of(fields, name, outputs=("content", "swap"))
    made = ran(recipe, tmp_path / "first", suffix=".ome.zarr")
    kept = Recipe.from_json(nd.read_provenance(made[-1]))
    again = ran(kept, tmp_path / "again", suffix=".ome.zarr")
    assert_reproduced(made[-1], again[-1])


# --- models in files ------------------------------------------------------------------
@pytest.fixture(scope="module")
def learned(slides):
    """A model that learned for one step from slides of a size that it can."""
    large = [image("brightfield", seed, 96) for seed in range(2)]
    return nd.fit(large, "affine", steps=1)


@pytest.fixture
def file(learned, tmp_path, monkeypatch):
    """Its file, named as seen from the present folder."""
    monkeypatch.chdir(tmp_path)
    learned.save("m.safetensors")
    return Path("m.safetensors")


def test_a_model_in_a_file_is_named_and_reproduced(tmp_path, slides, learned, file):
    made = ran(recipe_of(slides, str(file), strength=0.5), tmp_path / "first")
    for path in made:
        kept = nd.read_provenance(path)
        assert kept["recipe"]["model"] == str(tmp_path / file)
        assert kept["model_hash"] == learned.hash
        again = ran(Recipe.from_json(kept), tmp_path / path.name)
        assert_reproduced(path, {p.name: p for p in again}[path.name])
    shown = nd.fit([slides[0], slides[2]], file).swap(slides[0], slides[2], 0.5)
    swap = next(p for p in made if p.name == "s.0_swap.png")
    np.testing.assert_array_equal(nd.read(swap).data, shown)


def test_a_bundled_model_is_a_model_of_a_recipe(tmp_path, slides):
    (made, _) = ran(
        recipe_of(slides, "affine-brightfield", outputs=("content",)), tmp_path / "a"
    )
    kept = nd.read_provenance(made)
    assert kept["recipe"]["model"] == "affine-brightfield"
    assert kept["model_hash"] == nd.load("affine-brightfield").hash


def test_a_model_file_that_changed_is_noticed(tmp_path, slides, file):
    recipe = recipe_of(slides, str(file), outputs=("swap",))
    made = ran(recipe, tmp_path / "first")
    kept = Recipe.from_json(nd.read_provenance(made[0]))
    model = nd.load(file)
    tensors = {k: np.float32(1.01) * v for k, v in model.weights.tensors.items()}
    weights = replace(model.weights, tensors=tensors)
    changed = no_look(replace(model, weights=weights))
    replace(changed, reference=changed.look(slides[0])).save(file)
    with pytest.raises(DataError, match="with other settings or weights") as error:
        ran(kept, tmp_path / "again")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda p: p.unlink(), "'m.safetensors' cannot be read as a model"),
        (lambda p: p.write_bytes(p.read_bytes()[:999]), "cannot be read as a model"),
        (
            lambda p: nd.fit(image("fluorescence"), "mk").save(p),
            "works on fluorescence",
        ),
    ],
)
def test_a_model_file_that_cannot_be_used_is_one_sentence(
    tmp_path, slides, file, spoil, words
):
    spoil(file)
    with pytest.raises(nd.DisentangleError, match=words) as error:
        ran(recipe_of(slides, str(file)), tmp_path / "out")
    assert "\n" not in str(error.value)


def test_settings_in_a_file_are_kept_unless_others_are_given(tmp_path, slides):
    path = tmp_path / "m.safetensors"
    nd.fit(slides, "percentile", low=5.0).save(path)
    assert nd.fit(slides, path).config.low == 5
    assert nd.fit(slides, path, high=90.0).config.low == 5
    assert nd.fit(slides, path, low=2.0).config.low == 2
    with pytest.raises(ValueError, match="no such setting"):
        nd.fit(slides, path, depth=2)


def test_normals_of_their_own_are_reproduced(tmp_path, slides):
    recipe = recipe_of(slides, "mk", outputs=("anomaly",))
    recipe = recipe.model_copy(update={"normals": (Source.of(slides[2]),)})
    made = ran(recipe, tmp_path / "first")
    kept = nd.read_provenance(made[0])
    assert kept["basis"] == "held-out normals"
    again = ran(Recipe.from_json(kept), tmp_path / "again")
    assert_reproduced(made[0], again[0])


def test_files_are_called_after_their_image(tmp_path, slides):
    made = ran(recipe_of(slides, "identity"), tmp_path, suffix=".ome.zarr")
    assert [p.name for p in made[:4]] == [
        "s.0_content.ome.zarr",
        "s.0_swap.ome.zarr",
        "s.0_anomaly.ome.zarr",
        "s.1_content.ome.zarr",
    ]


def test_anomaly_maps_never_go_to_pictures(tmp_path, slides):
    made = ran(recipe_of(slides, "identity"), tmp_path)
    assert [p.name for p in made[:3]] == [
        "s.0_content.png",
        "s.0_swap.png",
        "s.0_anomaly.ome.tif",
    ]
    assert nd.read(made[2]).dtype == np.float32


def test_a_recipe_without_files_says_so(tmp_path):
    source = Source.of(image("brightfield"))
    with pytest.raises(DataError, match="no file for 'image 0': add its path"):
        ran(Recipe(images=(source,)), tmp_path)


def test_a_recipe_without_images_says_so(tmp_path):
    with pytest.raises(DataError, match="choose at least one"):
        ran(Recipe(), tmp_path)


# --- in memory ------------------------------------------------------------------------
@pytest.mark.parametrize("pool", ["image", "batch", "frame"])
def test_memory_and_files_give_the_same(tmp_path, stacks, pool):
    recipe = recipe_of(stacks, "mk", pool=pool, strength=0.3)
    files = ran(recipe, tmp_path)
    memory = outputs(recipe, Inputs(stacks[:2], stacks[2:]))
    assert len(files) == len(memory) == 6
    for path, made in zip(files, memory, strict=True):
        assert nd.read_provenance(path) == json.loads(json.dumps(made.lazy.provenance))
        field = (
            replace(made.image, data=np.asarray(made.lazy), axes=made.lazy.axes)
            if (made.kind != "anomaly")
            else nd.Field(np.asarray(made.lazy), made.lazy.axes)
        )
        expected = np.stack([field.plane(lead) for lead in field.leads()])
        np.testing.assert_array_equal(values(path), expected)


def test_the_kept_recipe_reproduces_in_memory():
    fields = [image("brightfield", seed) for seed in range(3)]
    recipe = recipe_of(fields, "mk", strength=0.3)
    first = outputs(recipe, Inputs(fields[:2], fields[2:]))
    for made in first:
        kept = Recipe.from_json(made.lazy.provenance)
        again = outputs(kept, Inputs([made.image]))
        same = next(o for o in again if o.kind == made.kind)
        assert np.asarray(same.lazy).tobytes() == np.asarray(made.lazy).tobytes()


def test_a_detector_of_ones_own_is_in_the_recipe(tmp_path, slides):
    model = nd.fit(slides, "mk")
    detector = nd.fit_detector(slides[1:], on=model, seed=5, scale=2.0)
    recipe = Recipe(
        images=(Source.of(slides[0]),),
        model="mk",
        outputs=("anomaly",),
        reference=model.reference.to_json(),
        device="cpu",
    )
    (made,) = outputs(recipe, Inputs(slides[:1]), detector)
    kept = Recipe.from_json(made.lazy.provenance)
    (again,) = ran(kept, tmp_path)
    np.testing.assert_array_equal(values(again)[0, 0], np.asarray(made.lazy))
    assert nd.read_provenance(again)["detector_hash"] == detector.hash


def test_a_strength_changed_later_is_in_the_recipe():
    fields = [image("brightfield", seed) for seed in range(2)]
    inputs = Inputs(fields[:1], fields[1:])
    one, two = (Source.of(field) for field in fields)
    recipe = Recipe(images=(one,), donors=(two,), outputs=("swap",), device="cpu")
    (full,) = outputs(recipe, inputs)
    (half,) = outputs(recipe.model_copy(update={"strength": 0.5}), inputs)
    later = full.at_strength(0.5)
    assert np.asarray(later.lazy).tobytes() == np.asarray(half.lazy).tobytes()
    assert later.lazy.provenance == half.lazy.provenance
    (content,) = outputs(recipe.model_copy(update={"outputs": ("content",)}), inputs)
    with pytest.raises(DataError, match="only a swap"):
        content.at_strength(0.5)


def test_a_group_shares_its_look():
    """With one attribute per batch, what differs between its images is kept."""
    base = image("fluorescence")
    fields = [
        replace(base, data=(base.data // k).astype("uint8"), name=f"image {k}")
        for k in (2, 3)
    ]
    recipe = Recipe(
        images=tuple(Source.of(f) for f in fields),
        model="meanstd",
        outputs=("content",),
        device="cpu",
    )

    def difference(pool):
        made = outputs(recipe.model_copy(update={"pool": pool}), Inputs(fields))
        one, two = (np.asarray(o.lazy).astype(float) for o in made)
        return np.abs(one - two).mean()

    before = np.abs(fields[0].data.astype(float) - fields[1].data).mean()
    assert difference("image") < 0.1 * before
    assert difference("batch") == pytest.approx(before, rel=0.1)


def said(fields, donors=(), **more):
    """What the outputs of every image say."""
    recipe = Recipe(
        images=tuple(Source.of(f) for f in fields),
        donors=tuple(Source.of(f) for f in donors),
        model="levels",
        device="cpu",
        outputs=("swap",) if donors else ("content",),
    )
    made = outputs(recipe.model_copy(update=more), Inputs(fields, donors))
    return [" ".join(output.status) for output in made]


def test_images_matched_one_by_one_are_a_warned_choice():
    words = "removes differences between treatments: use pool='batch'"
    cells = [image("fluorescence", seed) for seed in range(2)]
    assert all(words in status for status in said(cells))
    (alone,) = said(cells[:1], cells[1:])
    slides = [image("brightfield", seed) for seed in range(2)]
    for fine in (alone, *said(cells, pool="batch"), *said(slides)):
        assert words not in fine


def test_a_source_that_is_given_is_not_warned_of():
    cells = [image("fluorescence", seed) for seed in range(2)]
    source = nd.fit(cells, "levels").attribute(cells, "batch").to_json()
    assert not any("treatments" in status for status in said(cells, source=source))


def test_a_donor_of_another_range_is_questioned():
    field, same = (image("fluorescence", seed, 96) for seed in range(2))
    wide = image("fluorescence", 1, 96, "uint16")
    (status,) = said([field], [wide])
    assert "different full scales (255, 65535)" in status
    share = int(status.split("% of the values would leave the range of uint8")[0][-3:])
    assert share > 90
    (status,) = said([wide], [field])
    assert "different full scales" in status
    assert "would leave the range" not in status
    (status,) = said([field], [same])
    assert "full scale" not in status


@pytest.mark.parametrize("gain", [0.7, 1.0, 4.0])
def test_what_would_be_cut_off_is_foreseen(gain):
    """The share that is announced is the share that is clipped."""
    bright = image("fluorescence", 0, 96)
    dim = replace(bright, data=bright.data // 3)
    donor = replace(bright, data=bright.data * gain)  # floating point: it has no end
    donor = replace(donor, full_scale=255.0)
    recipe = Recipe(images=(Source.of(dim),), outputs=("swap",), device="cpu")
    (made,) = outputs(recipe, Inputs([dim], [donor]))
    clipped = (np.asarray(made.lazy) == 255).mean()
    words = [s for s in made.status if "would leave the range of uint8" in s]
    assert len(words) == (clipped > 0.01) == (gain == 4)
    for status in words:
        assert int(status.split("%")[0]) == pytest.approx(100 * clipped, abs=1)


def test_too_little_memory_to_foresee_losses_is_said(monkeypatch):
    def transfer(*args):
        raise MemoryError

    monkeypatch.setattr(AffineMethod, "transfer", transfer)
    with pytest.raises(nd.DisentangleError, match="no memory left for looking at"):
        said([image("fluorescence")], [image("fluorescence", 1)])


def test_signs_of_life_come_before_the_outputs():
    field = image("brightfield")
    recipe = Recipe(images=(Source.of(field),), outputs=("anomaly",), device="cpu")
    *steps, made = nd.follow(recipe, Inputs([field]))
    assert isinstance(made, Output)
    assert all(isinstance(step, Step) and 0 <= step.done <= 1 for step in steps)
    said = {"measuring", "measuring image 0", "learning normal"}
    assert {step.text for step in steps} == said


def test_a_swap_without_a_donor_is_refused():
    field = image("brightfield")
    with pytest.raises(DataError, match="needs a donor"):
        outputs(Recipe(images=(Source.of(field),)), Inputs([field]))


def test_two_images_of_one_name_are_refused_before_anything_is_computed(tmp_path):
    import tifffile

    paths = [tmp_path / folder / "x.tif" for folder in ("a", "b")]
    for path in paths:
        path.parent.mkdir()
        tifffile.imwrite(path, np.arange(4096, dtype=np.uint16).reshape(64, 64))
    images = tuple(Source.of(nd.read(path)) for path in paths)
    recipe = nd.Recipe(images=images, outputs=("content",))
    with pytest.raises(nd.DisentangleError, match="two images would be written"):
        next(nd.run(recipe, tmp_path / "out"))


def test_an_existing_output_is_refused_before_anything_is_computed(tmp_path):
    import tifffile

    path = tmp_path / "x.tif"
    tifffile.imwrite(path, np.arange(4096, dtype=np.uint16).reshape(64, 64))
    recipe = nd.Recipe(images=(Source.of(nd.read(path)),), outputs=("content",))
    list(nd.run(recipe, tmp_path / "out"))
    with pytest.raises(nd.DisentangleError, match="exists already"):
        next(nd.run(recipe, tmp_path / "out"))


# --- batches --------------------------------------------------------------------------
def _wells() -> list[nd.Field]:
    """Two wells of two images each: the second well is twice as bright, plus 100."""
    rng = np.random.default_rng(3)
    cells = rng.random((8, 8)).repeat(16, 0).repeat(16, 1) > 0.5
    made = []
    for well, gain, offset in (("A", 1, 0), ("B", 2, 100)):
        for site, level in enumerate((800, 1400)):
            noise = rng.normal(100, 10, cells.shape)
            values = (level * cells + noise) * gain + offset
            name = f"{well}{site}"
            made.append(nd.Field(np.rint(values).astype("u2"), "YX", name=name))
    return made


def _named(images, batches):
    sources = (
        Source(name=one.name, batch=batch)
        for one, batch in zip(images, batches, strict=True)
    )
    return Recipe(
        images=tuple(sources),
        model="meanstd_unmasked",
        pool="batch",
        outputs=("content",),
    )


def test_every_batch_is_brought_to_one_look_and_differs_within_as_before():
    images, batches = _wells(), ["A", "A", "B", "B"]
    made = outputs(_named(images, batches), Inputs(images, batches=batches))
    means = [float(np.mean(one.lazy)) for one in made]
    assert np.mean(means[:2]) == pytest.approx(np.mean(means[2:]), rel=0.005)
    assert means[1] - means[0] > 150
    assert means[3] - means[2] > 150


def test_reference_images_say_the_look_that_all_others_get():
    images, batches = _wells(), ["A", "A", "B", "B"]
    recipe = _named(images[:2], batches[:2])
    inputs = Inputs(images[:2], references=images[2:], batches=batches[:2])
    made = outputs(recipe, inputs)
    expected = np.mean([np.mean(one.levels[0]) for one in images[2:]])
    found = np.mean([np.mean(one.lazy) for one in made])
    assert found == pytest.approx(expected, rel=0.005)


def test_an_image_that_cannot_be_measured_leaves_the_batches_of_the_others():
    images, batches = _wells(), ["A", "A", "B", "B"]
    blue = nd.Field(np.ones((2, 8, 8), "u2"), "CYX", channel_names=("x", "y"))
    with_odd, said = [images[0], blue, *images[1:]], ["A", "A", "A", "B", "B"]
    made = outputs(_named(with_odd, said), Inputs(with_odd, batches=said))
    alone = outputs(_named(images, batches), Inputs(images, batches=batches))
    for one, other in zip(made, alone, strict=True):
        np.testing.assert_array_equal(np.asarray(one.lazy), np.asarray(other.lazy))


def test_batches_are_read_from_the_file_of_a_recipe(tmp_path):
    images, batches = _wells(), ["A", "A", "B", "B"]
    kept = [saved(one, tmp_path / f"{one.name}.tif") for one in images]
    recipe = _named(kept, batches)
    sources = [
        s.model_copy(update={"path": one.path})
        for s, one in zip(recipe.images, kept, strict=True)
    ]
    recipe.model_copy(update={"images": tuple(sources)}).save(tmp_path / "r.yaml")
    files = ran(Recipe.load(tmp_path / "r.yaml"), tmp_path / "out")
    expected = outputs(recipe, Inputs(images, batches=batches))
    for path, one in zip(files, expected, strict=True):
        np.testing.assert_array_equal(values(path)[0], np.asarray(one.lazy)[None])
