"""Which images were prepared and taken alike, as far as their names tell."""

import re
from collections.abc import Sequence
from pathlib import PurePath

# Words before the name of a batch. Places in a well or of a patient are none: what
# differs there is biology.
_WORDS = "plate|batch|slide|scanner|run|lab|staining|stain|centre|center"
_NAMED = re.compile(rf"(?<![a-z])({_WORDS})[\s_-]*([a-z0-9]+)", re.IGNORECASE)
# Colours that people tell apart who see no red or no green (Okabe and Ito, 2008).
COLOURS = (
    "#0072b2",
    "#e69f00",
    "#009e73",
    "#cc79a7",
    "#56b4e9",
    "#d55e00",
    "#f0e442",
    "#999999",
)


def proposed(
    names: Sequence[str], folders: Sequence[str | None], said: Sequence[str | None]
) -> list[str]:
    """Batches of images; empty where nothing tells them.

    Parameters
    ----------
    names
        Of the images.
    folders
        Where their files are.
    said
        What is kept with them, as ``metadata["batch"]`` of a layer.
    """
    for found in (said, [_in(name) for name in names], _of_folders(folders)):
        if all(found) and len({*found}) > 1:
            return [str(one) for one in found]
    return [""] * len(names)


def _in(name: str) -> str | None:
    found = _NAMED.search(name)
    return found.group(2) if found else None


def _of_folders(folders: Sequence[str | None]) -> list[str | None]:
    return [PurePath(folder).name if folder else None for folder in folders]


def colour(batch: str, batches: Sequence[str]) -> str:
    """The colour of a batch among all there are."""
    known = sorted({one for one in batches if one})
    return COLOURS[known.index(batch) % len(COLOURS)]


# What parts of a name, and of a folder, are told apart by.
_PART, _BETWEEN = r"[^/_\s.-]+", r"[_\s.-]+"
_MOST_PARTS = 8


def parts(names: Sequence[str]) -> dict[str, str]:
    """Expressions for parts of names that several images share, by a name of each.

    Only where all names have as many parts; a part tells 2 to half as many values as
    there are images. Which of them tells a batch, and which a treatment, no name says.
    """
    split = [re.findall(_PART, PurePath(name).name) for name in names]
    if len({len(one) for one in split}) != 1 or len(split[0]) > _MOST_PARTS:
        return {}
    known = {}
    for i, values in enumerate(zip(*split, strict=True)):
        if 1 < len({*values}) <= len(names) / 2:
            before = rf"(?:{_PART}{_BETWEEN}){{{i}}}"
            known[f"part {i + 1}"] = rf"(?:^|/){before}({_PART})[^/]*$"
    return known


def pattern(paths: Sequence[str]) -> tuple[str, str] | None:
    """A word and an expression that tells the batch of every path, if one does.

    Of several words, such as scanner and slide, the one that tells the fewest apart.
    """
    known = {}
    for word in _WORDS.split("|"):
        one = re.compile(rf"(?i)(?<![a-z]){word}[\s_-]*([a-z0-9]+)")
        found = [one.search(path) for path in paths]
        if all(found):
            known[word, one.pattern] = len({m.group(1) for m in found if m})
    telling = {one: n for one, n in known.items() if n > 1}
    return min(telling, key=lambda one: telling[one], default=None)
