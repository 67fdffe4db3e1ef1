"""The looks of all images of a study: measured once, kept as lines, and pooled."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from time import perf_counter
from typing import Any

from napari_disentangle.errors import DataError, DisentangleError
from napari_disentangle.files.ome_zarr import MARKS
from napari_disentangle.files.registry import read
from napari_disentangle.image.field import Field
from napari_disentangle.model.attribute import Attribute, average
from napari_disentangle.model.fit import place, unfitted
from napari_disentangle.study.ledger import WHEN, Record, files, lines
from napari_disentangle.study.scan import Item
from napari_disentangle.study.study import Study, Target

LOOKS = "looks"


@dataclass(frozen=True)
class Measure:
    """An image whose look is to be measured, in any process.

    Attributes
    ----------
    image, path
        Its name in the study, and where it is.
    reading, model, config
        How it is to be read, and what measures it.
    spec
        Tells looks apart that were measured otherwise.
    trouble
        Why it cannot be read, if that is known.
    """

    image: str
    path: str
    reading: Mapping[str, Any]
    model: str
    config: Mapping[str, Any]
    spec: str
    trouble: str = ""

    @classmethod
    def of(cls, study: Study, item: Item) -> Measure:
        """That of an image of a study."""
        model = model_of(study)
        learned = stamp(model) if Path(model).is_file() else None
        said = [model, study.config, dict(item.reading), learned]
        spec = sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]
        path = str(study.place(item.file))
        return cls(
            item.path, path, item.reading, model, study.config, spec, item.trouble
        )


def model_of(study: Study) -> str:
    """The model's name, or where its file is."""
    beside = study.place(study.model)
    return str(beside) if beside.is_file() else place(study.model)


def opened(path: str, reading: Mapping[str, Any]) -> Field:
    """An image as its study says that it is to be read."""
    return read(path, **reading)


def measured(task: Measure) -> Record:
    """Measure one image: a record with its look, or with what is wrong."""
    begin = perf_counter()
    known: dict[str, Any] = {"image": task.image, "spec": task.spec}
    try:
        if task.trouble:
            raise DataError(task.trouble)
        known["stamp"] = stamp(task.path)
        image = opened(task.path, task.reading)
        look = unfitted(image, task.model, **task.config).attribute(image)
    except DisentangleError as error:
        return {**known, "trouble": str(error)}
    except OSError as error:
        reason = f"{Path(task.path).name!r} cannot be read ({error.strerror or error})"
        return {**known, "trouble": reason}
    described = {"axes": image.axes, "shape": image.shape, "dtype": image.dtype.name}
    about = {"modality": image.modality, "full_scale": image.full_scale, **described}
    seconds = round(perf_counter() - begin, 3)
    said = look.to_json()
    return {**known, **about, "digest": digest(said), "look": said, "seconds": seconds}


def stamp(path: str) -> list[int]:
    """Size and time of change, of what a Zarr says of itself."""
    place = Path(path.rpartition("#")[0] if not Path(path).exists() else path)
    marks = (place / mark for mark in MARKS)
    known = next((mark for mark in marks if mark.exists()), place).stat()
    return [known.st_size, known.st_mtime_ns]


@dataclass
class Looks:
    """Where the record of every image is; records are read when they are needed.

    Attributes
    ----------
    folder
        Where the files of lines are.
    """

    folder: Path
    _places: dict[str, tuple[Path, int]] = field(default_factory=dict)

    def load(self) -> None:
        """Find what was measured before."""
        found = [
            (record[WHEN], record["image"], path, begin)
            for path in files(self.folder, LOOKS)
            for begin, record in lines(path)
        ]
        for _, image, path, begin in sorted(found):
            self.note(image, path, begin)

    def note(self, image: str, path: Path, place: int) -> None:
        """Remember where the newest record of an image is."""
        self._places[image] = path, place

    def __getitem__(self, image: str) -> Record:
        """The record of an image; empty if there is none."""
        if image not in self._places:
            return {}
        path, place = self._places[image]
        with path.open("rb") as file:
            file.seek(place)
            record: Record = json.loads(file.readline())
        return record

    def valid(self, task: Measure) -> bool:
        """Whether the look of an image is known as it is now."""
        record = self[task.image]
        if "look" not in record or record["spec"] != task.spec:
            return False
        try:
            return bool(record["stamp"] == stamp(task.path))
        except OSError:
            return False


# Records by image: those of files, or those that are at hand.
Records = Looks | Mapping[str, Record]


def look_of(record: Record) -> Attribute:
    """The look in a record."""
    return Attribute.from_json(dict(record["look"]))


# --- looks that several images share --------------------------------------------------
@dataclass(frozen=True)
class Plain:
    """A look in plain JSON types, and what tells it from others."""

    json: Mapping[str, Any]
    digest: str

    @classmethod
    def of(cls, look: Attribute) -> Plain:
        """That of an attribute."""
        json = look.to_json()
        return cls(json, digest(json))

    @classmethod
    def read(cls, record: Record) -> Plain:
        """That of an image."""
        return cls(record["look"], record["digest"])


@dataclass(frozen=True)
class Pooled:
    """What images are rendered from and to.

    Attributes
    ----------
    groups
        The look of every group, or why it has none.
    reference
        The look that all are given.
    donor
        That of a swap.
    """

    groups: Mapping[str, Plain | str]
    reference: Plain
    donor: Plain | None


def pooled(study: Study, items: Sequence[Item], looks: Records) -> Pooled:
    """The looks of groups, of controls alone where there are any, and the reference.

    Raises
    ------
    DataError
        If nothing can be measured, or a look that is named cannot be found.
    """
    channels = usual_channels(items, looks)
    groups = {
        group: _look_of_group(study, group, of_group, looks, channels)
        for group, of_group in by_group(items).items()
    }
    known = [look for look in groups.values() if isinstance(look, Attribute)]
    if not known:
        raise DataError(f"no look can be measured; the first: {_first_trouble(groups)}")
    reference = (
        _target(study, study.reference, groups)
        if isinstance(study.reference, Target)
        else average(known)
    )
    donor = _target(study, study.donor, groups) if study.donor else None
    for look in filter(None, [reference, donor]):
        known[0].check(look)
    plain = {
        g: one if isinstance(one, str) else Plain.of(one) for g, one in groups.items()
    }
    return Pooled(plain, Plain.of(reference), Plain.of(donor) if donor else None)


def by_group(items: Iterable[Item]) -> dict[str, list[Item]]:
    """Images of every group."""
    groups: dict[str, list[Item]] = {}
    for item in items:
        groups.setdefault(item.group, []).append(item)
    return groups


def usual_channels(items: Iterable[Item], looks: Records) -> tuple[str, ...]:
    """The channels that most images have."""
    records = (looks[item.path] for item in items)
    often = Counter(tuple(r["look"]["channels"]) for r in records if "look" in r)
    return max(often, key=lambda one: (often[one], one), default=())


def _look_of_group(
    study: Study,
    group: str,
    items: Sequence[Item],
    looks: Records,
    channels: tuple[str, ...],
) -> Attribute | str:
    voters = [item for item in items if item.control]
    if not voters:
        return (
            f"group {group!r} has no control among its {len(items)} images: correct "
            "controls in the recipe"
        )
    found = [*_usable(voters, looks, channels)]
    if not found:
        what = "control" if study.controls else "image"
        return f"no {what} of group {group!r} can be measured"
    mean = average(found)
    own = {words for look in found for words in look.status}
    return replace(mean, status=tuple(w for w in mean.status if w not in own))


def _usable(
    items: Iterable[Item], looks: Records, channels: tuple[str, ...]
) -> Iterator[Attribute]:
    for item in items:
        record = looks[item.path]
        if "look" in record and tuple(record["look"]["channels"]) == channels:
            yield look_of(record)


def _first_trouble(groups: Mapping[str, Attribute | str]) -> str:
    return next(str(one) for one in groups.values())


def _target(
    study: Study, target: Target, groups: Mapping[str, Attribute | str]
) -> Attribute:
    """The look that a recipe names."""
    if target.group is not None:
        look = groups.get(target.group)
        if not isinstance(look, Attribute):
            named = ", ".join(map(repr, groups))
            raise DataError(look or f"no group {target.group!r}: use one of {named}")
        return look
    if target.look is not None:
        return _saved(study.place(target.look))
    task = Measure.of(study, Item(str(target.image), str(target.image), ""))
    record = measured(task)
    if "look" not in record:
        raise DataError(record["trouble"])
    return look_of(record)


def _saved(path: Path) -> Attribute:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path.name!r} is not a saved look ({error})") from error
    return Attribute.from_json(kept)


def digest(look: Mapping[str, Any]) -> str:
    """Tells a look from others, and so an image from what replaced it."""
    known = json.dumps([look["values"], look["spread"], look["n_tiles"]])
    return sha256(known.encode()).hexdigest()[:16]
