"""How far colours of tissue are apart within a source of slides, and between stains.

``python benchmarks/stains.py [--quick]`` prints the angle in degrees between the mean
absorbance of tissue of pairs of images, as :func:`~.remarks.stain_words` measures it.
"""

from __future__ import annotations

import sys
from itertools import combinations
from pathlib import Path

import numpy as np

import napari_disentangle as nd

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
CASES = Path(__file__).resolve().parents[1] / "tests" / "cases"
ENDINGS = (".png", ".jpg")
HE, DAB = ("he_plain.png", "he_donor.png", "he_faint.png"), "dab.png"
IMAGES = 8


def tint(path: Path) -> np.ndarray | None:
    """Direction of the absorbance of tissue; none of what is no slide."""
    image = nd.read(path)
    if not image.rgb:
        return None
    look = nd.fit(image, "balanced").attribute(image)
    known = dict(zip(look.names, look.values, strict=True))
    beyond = [known[f"foreground {c}"] - known[f"background {c}"] for c in "RGB"]
    direction = np.array(beyond) / np.linalg.norm(beyond)
    return direction if np.isfinite(direction).all() else None


def apart(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip(one @ other, -1, 1))))


def main(quick: bool) -> None:
    print("| source | images | median | most |\n|---|---:|---:|---:|")
    folders = sorted({p.parent for end in ENDINGS for p in SHARED.rglob(f"*{end}")})
    for folder in folders[:3] if quick else folders:
        paths = sorted(p for p in folder.iterdir() if p.suffix in ENDINGS)[:IMAGES]
        found = [one for one in map(tint, paths) if one is not None]
        each = [apart(*pair) for pair in combinations(found, 2)]
        if each:
            name = folder.relative_to(SHARED)
            figures = f"{np.median(each):.1f} | {max(each):.1f}"
            print(f"| {name} | {len(found)} | {figures} |")
    stains = [tint(CASES / name) for name in HE]
    between = [apart(one, tint(CASES / DAB)) for one in stains]
    print(f"\nH&E and DAB: {min(between):.1f} to {max(between):.1f}")


if __name__ == "__main__":
    main("--quick" in sys.argv)
