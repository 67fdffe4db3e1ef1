"""Settings of models and detectors: frozen dataclasses, with bounds in their types."""

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Literal, get_args, get_origin, get_type_hints


@dataclass(frozen=True)
class Settings:
    """Base class: every setting is checked against the bounds in its type.

    ``Annotated[int, {"min": 1, "max": 9}]`` and ``{"choices": [1, 2]}`` are what the
    window's fields know too; a ``Literal`` lists its choices.

    Raises
    ------
    ValueError
        If a setting is out of range.
    """

    def __post_init__(self) -> None:
        for name, kind in get_type_hints(type(self), include_extras=True).items():
            if bound := _violated(getattr(self, name), kind):
                raise ValueError(f"{name} {getattr(self, name)!r} must be {bound}")


def _violated(value: Any, kind: Any) -> str:
    """The bound that a value does not keep, in words; empty if it keeps all."""
    bounds: Mapping[str, Any] = next(iter(getattr(kind, "__metadata__", ())), {})
    choices = get_args(kind) if get_origin(kind) is Literal else bounds.get("choices")
    if choices:
        return "" if value in choices else f"one of {tuple(choices)}"
    whole = getattr(kind, "__origin__", kind) is int
    low, high = bounds["min"], bounds["max"]
    number = isinstance(value, Integral if whole else Real)
    if number and not isinstance(value, bool) and low <= value <= high:
        return ""
    return f"{'a whole number from ' if whole else ''}{low:,g} to {high:,g}"


def checked(name: str, config: type[Any], values: Mapping[str, Any]) -> Any:
    """Settings of a model or detector from plain values.

    Raises
    ------
    ValueError
        If one of them is unknown or out of range.
    """
    known = config.__dataclass_fields__
    if unknown := values.keys() - known:
        raise ValueError(
            f"{name!r} has no such setting ({', '.join(sorted(unknown))}): it has "
            f"{', '.join(known) or 'no settings'}"
        )
    return config(**values)
