"""What installing adds: ``python benchmarks/installed.py`` prints megabytes.

Of the packages that this project needs beside napari and PyTorch, as they are installed
here; of each that has more than 1 MB.
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement


def needed(name: str, seen: dict[str, float], extras: tuple[str, ...] = ("",)) -> None:
    """Add a package and all that it needs to ``seen``, in MB."""
    key = name.lower().replace("_", "-")
    if key in seen:
        return
    try:
        package = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return
    places = [Path(str(file.locate())) for file in package.files or []]
    seen[key] = sum(p.stat().st_size for p in places if p.exists()) / 1e6
    for text in package.requires or []:
        other = Requirement(text)
        marker = other.marker
        if marker is None or any(marker.evaluate({"extra": e}) for e in extras):
            needed(other.name, seen, tuple(other.extras) or ("",))


def main() -> None:
    own: dict[str, float] = {}
    others: dict[str, float] = {}
    torch: dict[str, float] = {}
    needed("napari-disentangle", own)
    needed("napari", others)
    needed("torch", torch)
    beside = {n: mb for n, mb in own.items() if n not in others | torch}
    print(f"PyTorch {sum(torch.values()):.0f} MB, others {sum(beside.values()):.0f} MB")
    for name, size in sorted(beside.items(), key=lambda item: -item[1]):
        if size > 1:
            print(f"| {name} | {size:.0f} MB |")


if __name__ == "__main__":
    main()
