"""How often padding is found, and how far a look moves by it.

``python benchmarks/padding.py [--quick]`` prints two tables. Real images of a source:
in how many padding is found, and the share of an added frame (5 % of the width, black).
Synthetic tissue: how far padding moves a swap to its look (mean CIE 1976 difference,
the most over black and white), as it is and as JPEG; beside it how far JPEG alone does,
whose blocks begin three pixels later.
"""

from __future__ import annotations

import sys
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from skimage.color import rgb2lab
from skimage.transform import rotate

import napari_disentangle as nd
from napari_disentangle.samples.synthetic import ROSE, VIOLET, render, tissue

if TYPE_CHECKING:
    from collections.abc import Callable

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
ENDINGS = (".tif", ".tiff", ".png", ".jpg", ".svs")
LEFT_OUT = ("mask", "label")
SOURCES = (
    "brightfield_open",
    "blood_bccd",
    "nuclei_dsb2018/images",
    "histo_midog_3scanners",
    "neubias_images",
    "stardist_samples",
    "artefacts_histoqc",
)
MOST_PIXELS = 2**23
# No look, and a model that takes all pixels.
LOOKLESS = ("identity", "contrimix")


def valid(image: nd.Field) -> np.ndarray:
    lead = next(image.leads())
    whole = slice(None)
    return image.valid(image.plane(lead), lead, whole, whole)


def framed(image: nd.Field) -> tuple[nd.Field, np.ndarray]:
    """The first plane with a black frame, and where the frame is."""
    plane = image.plane(next(image.leads()))
    edge = max(1, plane.shape[2] // 20)
    pixels = np.pad(plane, ((0, 0), (edge, edge), (edge, edge)))
    inside = np.pad(np.ones(plane.shape[1:], bool), edge)
    return nd.Field(pixels, "CYX", modality=image.modality), ~inside


# --- looks --------------------------------------------------------------------------
def _bands(pixels: np.ndarray, value: int) -> np.ndarray:
    """Four quarters with 12 pixels between."""
    middle, gap = len(pixels) // 2, 12
    apart = np.insert(pixels, [middle] * gap, value, axis=0)
    return np.insert(apart, [middle] * gap, value, axis=1)


def _turned(pixels: np.ndarray, value: int) -> np.ndarray:
    turned = rotate(pixels, 25, resize=True, order=0, cval=value, preserve_range=True)
    return turned.astype(np.uint8)


def _frame(pixels: np.ndarray, value: int, width: int) -> np.ndarray:
    sides = [(width, width), (0, width), (0, 0)]
    return np.pad(pixels, sides, constant_values=value)


ADDED: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "frame of 40": lambda pixels, value: _frame(pixels, value, 40),
    "frame of 5": lambda pixels, value: _frame(pixels, value, 5),
    "bands of 12": _bands,
    "turned by 25 degrees": _turned,
}


def as_jpeg(pixels: np.ndarray) -> np.ndarray:
    """The pixels after JPEG of quality 90."""
    file = BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=90)
    return np.asarray(Image.open(file))


def looks(models: list[str]) -> None:
    """How far swaps move, of every model."""
    image, other = (
        render(tissue(3, 256), ROSE, 2.0, 3),
        render(tissue(4, 256), VIOLET, 2.0, 4),
    )
    late = as_jpeg(np.pad(image, [(3, 0), (3, 0), (0, 0)], mode="reflect"))[3:, 3:]
    heads = [f"{how}, {what}" for what in ("as it is", "JPEG") for how in ADDED]
    print("\n| model | " + " | ".join([*heads, "JPEG alone"]) + " |")
    print("|---|" + "---:|" * (len(heads) + 1))
    for name in models:
        fields = [nd.Field(pixels, "YXC") for pixels in (image, other)]
        model = nd.fit(fields, name)
        moved = []
        for change in (np.asarray, as_jpeg):
            plain = model.swap(fields[1], nd.Field(change(image), "YXC"))
            moved += [
                max(
                    _apart(model, fields[1], plain, change(add(image, value)))
                    for value in (0, 255)
                )
                for add in ADDED.values()
            ]
        moved.append(_apart(model, fields[1], plain, late))
        print(f"| {name} | " + " | ".join(f"{one:.2f}" for one in moved) + " |")


def _apart(
    model: nd.Model, image: nd.Field, plain: np.ndarray, donor: np.ndarray
) -> float:
    """Mean difference of a swap to a donor from another swap."""
    made = model.swap(image, nd.Field(np.ascontiguousarray(donor), "YXC"))
    return float(np.linalg.norm(rgb2lab(made) - rgb2lab(plain), axis=-1).mean())


def main(quick: bool) -> None:
    looks(["balanced"] if quick else [n for n in nd.models() if n not in LOOKLESS])
    print(
        "| source | images | padding found | of an added frame |\n|---|---:|---:|---:|"
    )
    for source in SOURCES:
        paths = [
            path
            for path in sorted((SHARED / source).rglob("*"))
            if path.suffix in ENDINGS and not any(w in str(path) for w in LEFT_OUT)
        ]
        found, recalled = [], []
        for path in paths[:: max(1, len(paths) // (3 if quick else 150))]:
            image = nd.read(path)
            if (
                np.prod(image.plane_shape) > MOST_PIXELS
                or "alpha" in image.channel_names
            ):
                continue
            found.append(not valid(image).all())
            padded, frame = framed(image)
            recalled.append((~valid(padded))[frame].mean())
        if not found:
            continue
        share = f"{np.mean(recalled):.3f} (least {np.min(recalled):.3f})"
        print(f"| {source} | {len(found)} | {sum(found)} | {share} |")


if __name__ == "__main__":
    main("--quick" in sys.argv)
