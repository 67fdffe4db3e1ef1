"""Loading what trains, which takes torch longer than a person waits."""

from __future__ import annotations

import importlib
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

# What making the first optimiser loads, the largest parts apart.
_PARTS = ("torch.fx.experimental.symbolic_shapes", "torch.distributed.fsdp")


def loading() -> Generator[None, None, None]:
    """Get torch ready to train; once in a process this takes more than a second.

    Yields
    ------
    None
        After every part of it, where it can be stopped.
    """
    import torch

    known = torch.distributed.is_available()
    for name in _PARTS[: 1 + known]:
        with suppress(ImportError):  # in another torch it may have another name
            importlib.import_module(name)
        yield
    torch.optim.SGD([torch.zeros(1)])
    yield
