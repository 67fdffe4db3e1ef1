"""Print hashes of what the package makes of small images: compare before and after."""

import argparse
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, make_dataclass, replace
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before anything that starts threads

import dask.array as da
import numpy as np

import napari_disentangle as nd

Found = Iterator[tuple[str, Any]]
# Of metadata: places, the version, times, and what hangs on the names of settings.
DROPPED = {"path", "software", "seconds", "detector_hash", "detector_config"}
LEAVING = {"riad", "intensity"}
QUICK = {"steps": 3, "bank": 200, "offsets": 1}  # settings of detectors
SHAPES = {
    "YXC": (160, 200),
    "CYX": (128, 160),
    "ZYX": (5, 80, 96),
    "TZYX": (2, 2, 64, 72),
}
Inputs = make_dataclass("Inputs", ["images", "donors", "normals"])


def plain(value: Any) -> Any:
    """What JSON knows: arrays by type, shape and bytes, files by bytes."""
    if isinstance(value, str | int | float | None):
        return value
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items() if k not in DROPPED}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, Path):
        files = [value, *sorted(value.rglob("*"))]
        return [plain(np.fromfile(file, np.uint8)) for file in files if file.is_file()]
    if hasattr(value, "__array__"):
        whole = np.asarray(value)
        return whole.dtype.str, whole.shape, hashlib.sha256(whole.tobytes()).hexdigest()
    assert is_dataclass(value), type(value)
    return plain({f.name: getattr(value, f.name) for f in fields(value)})


def soft(shape: tuple[int, ...], seed: int, radius: float = 8) -> Any:
    """Textured spots with soft edges in random places, about 0 to 1."""
    rng, grid, found = np.random.default_rng(seed), np.indices(shape), np.zeros(shape)
    for centre in rng.uniform(0, shape, (25, len(shape))):
        offset = grid - centre.reshape(-1, *[1] * len(shape))
        edge = np.sqrt((offset**2).sum(axis=0)) - radius * rng.uniform(0.7, 1.3)
        found = np.maximum(found, 1 / (1 + np.exp(1.5 * edge)))
    steps = np.meshgrid(*map(np.fft.fftfreq, shape), indexing="ij")
    low = np.fft.fftn(rng.normal(size=shape)) * np.exp(-80 * sum(s**2 for s in steps))
    texture = np.fft.ifftn(low).real
    return found * (1 + 0.3 * texture / texture.std()).clip(0.2)


def image(
    seed: int, axes: str, gain: float = 1, spot: float = 0, where: Any = None
) -> Any:
    """A stained slide as a pyramid, or fluorescence, perhaps with a bright spot."""
    rng, nuclei = np.random.default_rng(seed), soft(SHAPES[axes], seed)
    more: dict[str, Any] = {"name": f"{axes} {seed}", "where": where}
    if "C" not in axes:
        pixels = 200 + 2500 * nuclei + rng.gamma(4, 9, nuclei.shape)
        return nd.Field(pixels.astype(np.uint16), axes, **more)
    rest = soft(SHAPES[axes], seed + 50, 20)
    if axes == "YXC":
        absorbed = gain * nuclei[..., None] * [0.42, 0.45, 0.2]
        absorbed = absorbed + rest[..., None] * [0.01, 0.05, 0.02]
        seen = 240 * 10**-absorbed + rng.normal(0, 1, absorbed.shape)
        pixels = seen.clip(0, 255).astype(np.uint8)
        return nd.Field([pixels[::n, ::n] for n in (1, 2, 4)], axes, **more)
    rest[40:60, 50:75] += spot
    seen = 3000 * np.stack([nuclei, 0.4 * rest]) + rng.gamma(4, 9, (2, *rest.shape))
    more |= {"scale": (1, 0.5, 0.5), "units": ("pixel", "micrometer", "micrometer")}
    more |= {"channel_names": ("DNA", "actin")}
    return nd.Field((300 + gain * seen).astype(np.uint16), axes, **more)


SLIDES = tuple(image(i, "YXC", gain) for i, gain in enumerate((1, 1.4, 0.8)))
PLATES = tuple(image(i, "CYX", gain) for i, gain in enumerate((1, 2.5, 0.7)))
ODD, MARKED = (
    image(9, "CYX", 1, 3),
    image(8, "CYX", where=np.indices((128, 160))[1] > 60),
)
STACK, FILM = image(4, "ZYX"), image(5, "TZYX")
IMAGES = {"brightfield": SLIDES, "fluorescence": PLATES}


def catalogue() -> Found:
    """What there is to choose from, and what images say of themselves."""
    yield from nd.zoo().items()
    for kind, known in {"model": nd.models(), "detector": nd.detectors()}.items():
        for name in [name for name in known if name not in LEAVING]:
            settings = [[f.name, f.default] for f in fields(known[name].config)]
            yield f"{kind} {name}", [replace(known[name], config=None), settings]
    for one in (*SLIDES, *PLATES, ODD, MARKED, STACK, FILM):
        yield one.name, [one.describe(), one, one.mask(next(one.leads()))]


def of_model(name: str, model: nd.Model, first: nd.Field, second: nd.Field) -> Found:
    """All that a model makes, before and after it was saved."""
    look, both = model.attribute(first), model.attribute([first, second], "batch")
    yield f"{name}/look", [look, both, model.reference, model.inspect(first)]
    yield f"{name}/json", nd.Attribute.from_json(look.to_json()).to_json()
    yield f"{name}/arrays", [model.content(first), model.swap(first, second, 0.5)]
    yield f"{name}/encode", model.encode(first)
    for kind in ("content", "swap", "maps"):
        lazy = nd.apply(model, first, kind, donor=second, strength=0.8)
        yield f"{name}/{kind}", [lazy.levels, lazy.channel_names, lazy[..., 3:9, 1:3]]
        yield f"{name}/{kind} provenance", lazy.provenance
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.safetensors")
        yield f"{name}/file", [model.save(path).hash, path]
        yield f"{name}/loaded", nd.load(path).content(first)


def models() -> Found:
    """Every model as it comes, and after a few steps where it learns; forgetting."""
    jobs: list[Any] = [(n, k, {}) for n, m in nd.models().items() for k in m.modalities]
    jobs += [(name, name.partition("-")[2], {}) for name in nd.zoo()]
    jobs += [(n, k, {"steps": 3}) for n in ("affine", "contrimix") for k in IMAGES]
    published = {"preset": "published", "attributes": 2, "mixings": 2, "steps": 3}
    jobs += [
        ("contrimix", "brightfield", published),
        ("affine", "fluorescence", {"steps": 60}),
    ]
    for name, kind, how in jobs:
        model, label = nd.fit(IMAGES[kind], name, seed=0, **how), f"{name} {kind} {how}"
        yield from of_model(label, model, *IMAGES[kind][:2])
        if how:
            without = nd.fit_without(model, IMAGES[kind], IMAGES[kind][2])
            yield f"{label}/weights", [model.weights, without.weights]
        elif kind == "fluorescence":
            model = nd.fit([FILM], name)
            looks = [model.attribute(FILM, pool) for pool in ("stack", "frame")]
            shown = [model.render(FILM, model.reference, look) for look in looks]
            yield f"{name} film", [looks, shown]
    for step in nd.fit_steps([PLATES[:2], PLATES[2]], seed=1, steps=2):
        last = step.losses
    yield "fit_steps", last


def normal(name: str, images: Any, on: nd.Model | None = None) -> nd.Detector:
    """A detector with settings with which it is quick."""
    known = {f.name for f in fields(nd.detectors()[name].config)}
    return nd.fit_detector(images, name, on, **{k: QUICK[k] for k in known & {*QUICK}})


def of_detector(name: str, detector: nd.Detector, one: nd.Field) -> Found:
    """Its score of an image, and the regions."""
    score = detector.score(one)
    labels, table = score.regions(alpha=0.05, min_size=8)
    yield f"{name}/hash", detector.hash
    yield f"{name}/known", [detector.diameter, detector.calibration, detector.smoothed]
    yield f"{name}/score", [score, score.p, score.extent]
    yield f"{name}/regions", [labels, table, score.limits(table)]
    for kind in ("anomaly", "expected")[: 1 + nd.detectors()[detector.name].expects]:
        lazy = nd.apply(detector.on, one, kind, detector=detector)
        yield f"{name}/{kind}", [lazy, lazy.provenance]


def detectors() -> Found:
    """Every detector on plates without their look; one on other images too."""
    on = nd.fit(PLATES)
    for name in [name for name in nd.detectors() if name not in LEAVING]:
        yield from of_detector(name, normal(name, PLATES, on), ODD)
    for many in (SLIDES, [STACK], [MARKED], [ODD]):
        yield from of_detector(many[0].name, normal("mahalanobis", many), many[0])


def recipes() -> Found:
    """Recipes followed with and without a detector, on images and on files."""
    cases = {
        "alone": Inputs([ODD], PLATES[:1], []),
        "normal": Inputs([ODD], [], PLATES),
    }
    cases["batch"] = Inputs(PLATES[:2], PLATES[2:], [MARKED])
    for name, inputs in cases.items():
        kinds = ["content", "anomaly", "maps", *["swap"] * bool(inputs.donors)]
        pool = "batch" if name == "batch" else "image"
        recipe = nd.Recipe(outputs=tuple(kinds), strength=0.5, pool=pool)
        yield from followed(name, nd.follow(recipe, inputs))
    given, recipe = (
        normal("context", PLATES, nd.fit(PLATES)),
        nd.Recipe(outputs=("expected",)),
    )
    yield from followed("given", nd.follow(recipe, Inputs([ODD], [], []), given))


def followed(name: str, parts: Iterator[Any]) -> Found:
    """Outputs among signs of life."""
    for i, part in enumerate(part for part in parts if hasattr(part, "lazy")):
        yield f"{name}/{i} {part.kind}", [part.lazy, part.status]
        yield f"{name}/{i} {part.kind} provenance", part.lazy.provenance


def files() -> Found:
    """Files that are written and read again, and a run from files to files."""
    model, other, names = nd.fit(SLIDES, "mk"), nd.fit(PLATES, "mk"), []
    with tempfile.TemporaryDirectory() as folder:
        for suffix in (".ome.zarr", ".ome.tif", ".png"):
            jobs = {"slide": nd.apply(model, SLIDES[0])}
            jobs |= (
                {} if suffix == ".png" else {"maps": nd.apply(other, PLATES[0], "maps")}
            )
            for name, lazy in jobs.items():
                path = Path(folder, name + suffix)
                for _ in nd.write(lazy, path):
                    pass
                yield path.name, [nd.read(path), nd.read_provenance(path)]
                yield f"{path.name} bytes", path
        path = Path(folder, "slide.ome.tif")
        known = {"axes": "YXC", "modality": "brightfield", "channels": ["R", "G", "B"]}
        source = {"name": "slide", "path": str(path), "full_scale": 255, **known}
        recipe = nd.Recipe.from_json({"images": [source], "model": "balanced"})
        for part in nd.run(recipe.model_copy(update={"outputs": ("content",)}), folder):
            names += [part] if isinstance(part, Path) else []
        yield "run", [[nd.read(name), nd.read_provenance(name)] for name in names]


def others() -> Found:
    """Augmentation, a report, and an image of dask arrays."""
    model = nd.fit(PLATES, "mk")
    yield "augment", list(nd.augment(model, PLATES, "abc", copies=2, seed=1))
    yield "report", nd.report(model, (*PLATES, ODD), "aabb", "abab")
    lazy = replace(PLATES[0], data=da.from_array(PLATES[0].data, chunks=50))
    yield "dask", nd.fit([lazy, ODD]).content(lazy)


SECTIONS = (catalogue, models, detectors, recipes, files, others)


def main() -> None:
    """Print a line for everything in all sections, or in one."""
    parser = argparse.ArgumentParser(description=__doc__)
    names = [section.__name__ for section in SECTIONS]
    only = (
        parser.add_argument("--only", choices=names, nargs="*") and parser.parse_args()
    )
    for section in SECTIONS:
        for name, value in (
            section() if section.__name__ in (only.only or names) else ()
        ):
            text = json.dumps(plain(value), sort_keys=True)
            found = hashlib.sha256(text.encode()).hexdigest()[:16]
            print(f"{section.__name__}/{name}  {found}", flush=True)


main()
