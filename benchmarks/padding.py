"""How often padding is found in real images: as they are, and with a frame added.

``python benchmarks/padding.py [--quick]`` prints a table: images of a source, in how
many padding is found, and the share of an added frame (5 % of the width, black).
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import napari_disentangle as nd

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


def main(quick: bool) -> None:
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
