"""What was written by the version of 2026-11-27 is read, with the same results."""

import inspect
import json
from pathlib import Path

import numpy as np
import pytest

import napari_disentangle as nd
from napari_disentangle.errors import ChannelError
from napari_disentangle.pipeline.inputs import Inputs

WRITTEN = Path(__file__).parent / "written_2026_11_27"


def slides():
    with np.load(WRITTEN / "slides.npz") as arrays:
        return [
            nd.Field(arrays[key], "YXC", name=f"slide {i}")
            for i, key in enumerate(sorted(arrays))
        ]


def assert_same(made, name):
    """The rule for other machines: one level on one value in ten thousand."""
    with np.load(WRITTEN / "results.npz") as results:
        before = results[name]
    after = made[:48, :48]
    assert after.dtype == before.dtype
    apart = np.abs(after.astype(float) - before)
    if before.dtype.kind == "u":
        assert apart.max() <= 1
        assert (apart > 0).mean() <= 1e-4
    else:
        assert apart.max() <= 1e-3


@pytest.mark.parametrize("name", ["mk", "balanced"])
def test_models_load_and_render_the_same(name):
    model = nd.load(WRITTEN / f"{name}.safetensors")
    assert_same(model.content(slides()[0]), name)


@pytest.mark.parametrize("kind", ["content", "swap", "anomaly"])
def test_looks_that_affine_measured_before_are_refused_and_measured_again(kind):
    """Its networks are others since version 0.2; the recipe runs with them."""
    data = json.loads((WRITTEN / f"provenance_{kind}.json").read_text())
    recipe = nd.Recipe.from_json(data).model_copy(update={"outputs": (kind,)})
    first, *others = slides()
    inputs = Inputs([first], others[:1], others)
    with pytest.raises(ChannelError, match=r"version 0\.1.*: measure it again"):
        list(nd.follow(recipe, inputs))
    looks = dict.fromkeys(("source", "donor", "reference"))
    steps = nd.follow(recipe.model_copy(update=looks), inputs)
    (output,) = (step for step in steps if hasattr(step, "lazy"))
    assert output.lazy.shape == first.data.shape[: output.lazy.ndim]


def test_a_recipe_without_images_loads():
    recipe = nd.Recipe.load(WRITTEN / "recipe_default.yaml")
    assert recipe.outputs == ("anomaly",)
    assert recipe.strength == 0.5


@pytest.mark.parametrize("name", ["riad", "intensity"])
def test_a_recipe_with_a_detector_that_is_gone_says_what_to_use(name):
    recipe = nd.Recipe.load(WRITTEN / f"recipe_{name}.yaml")
    with pytest.raises(ValueError, match=rf"'{name}' any more: use 'knn'"):
        list(nd.follow(recipe, Inputs(slides()[:1])))


def test_settings_of_pca_are_read_under_the_name_that_they_had():
    recipe = nd.Recipe.load(WRITTEN / "recipe_pca.yaml")
    steps = nd.follow(recipe, Inputs(slides()[:1]))
    (output,) = (step for step in steps if hasattr(step, "lazy"))
    assert output.detector.config == nd.detectors()["pca"].config(edge=4)
    made = output.lazy.provenance["recipe"]
    assert made["detector_config"] == {"edge": 4, "keep": 0.95}


def test_no_setting_of_a_detector_has_the_name_of_an_argument():
    arguments = set(inspect.signature(nd.fit_detector).parameters)
    for entry in nd.detectors().values():
        assert not arguments & set(entry.config.__dataclass_fields__)
