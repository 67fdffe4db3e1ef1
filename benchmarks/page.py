"""``docs/studies.md``: sections that scripts write, each between its two marks."""

from __future__ import annotations

import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs" / "studies.md"


def section(command: str, *parts: str) -> str:
    """Paragraphs and tables as the section that a command writes."""
    begin = f"<!-- begin: written by `{command}`, do not edit -->"
    end = f"<!-- end: written by `{command}` -->"
    return "\n\n".join(part.strip() for part in (begin, *parts, end)) + "\n"


def give(text: str, quick: bool) -> None:
    """Print what was only tried; put in the page what was measured."""
    if quick:
        sys.stdout.write(text)
    else:
        put(text)


def put(text: str, page: Path = PAGE) -> None:
    """Replace the section of the same command in a page, or add it to the end."""
    begin, *_, end = text.splitlines()
    old = page.read_text() if page.exists() else "# Studies\n"
    before, _, rest = old.partition(begin)
    after = rest.partition(end)[2].lstrip("\n")
    page.write_text(f"{before.rstrip()}\n\n{text}{after and chr(10)}{after}")
