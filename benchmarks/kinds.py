"""What tells kinds of image apart: ``python benchmarks/kinds.py [--quick]`` prints it.

Of every source in ``../shared/data``: where the median of an image lies between its 1st
and 99th percentile, and as a share of the 99th; of its brightest channel, and from the
lowest to the highest image.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import napari_disentangle as nd
from napari_disentangle.errors import DisentangleError

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
ENDINGS = (".tif", ".tiff", ".png", ".jpg", ".svs")
LEFT_OUT = ("mask", "label")
MOST = 1024


def middle(channel: np.ndarray) -> tuple[float, float]:
    low, median, high = np.percentile(channel, (1, 50, 99))
    return (median - low) / max(high - low, 1e-9), median / max(high, 1e-9)


def main(quick: bool) -> None:
    print("| folder | images | kind | median in range | median of highest |")
    print("|---|---:|---|---:|---:|")
    for folder in sorted(p for p in SHARED.glob("*/*") if p.is_dir()):
        paths = [p for p in sorted(folder.rglob("*")) if p.suffix in ENDINGS]
        paths = [p for p in paths if not any(w in str(p) for w in LEFT_OUT)]
        found: dict[str, list[tuple[float, float]]] = {}
        for path in paths[:: max(1, len(paths) // (2 if quick else 40))]:
            try:
                image = nd.read(path)
            except DisentangleError:
                continue
            leads = list(image.leads())
            part = slice(0, MOST)
            plane = image.plane(leads[len(leads) // 2], part, part)[:3]
            kind = f"{'colour' if image.rgb else 'grey'} {image.modality}"
            each = np.array([middle(channel) for channel in plane])
            found.setdefault(kind, []).append(tuple(each.max(axis=0)))
        for kind, each_image in found.items():
            low, high = np.min(each_image, axis=0), np.max(each_image, axis=0)
            ranges = [f"{a:.2f} to {b:.2f}" for a, b in zip(low, high, strict=True)]
            print(
                f"| {folder.name} | {len(each_image)} | {kind} | {' | '.join(ranges)} |"
            )


if __name__ == "__main__":
    main("--quick" in sys.argv)
