"""Check the structure of the source: what `make lint` enforces beside style and types.

Prints every figure with its limit, and exits with 1 if one is over it.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "napari_disentangle"
BENCHMARKS = ROOT / "benchmarks"
TESTS = ROOT / "tests"

# Names of outputs; what is special about one stands in the table of outputs.
KINDS = {"content", "swap", "anomaly", "expected", "maps"}
UNSET = re.compile(r'or "fluorescence"|full_scale or 1\.0')
LIMITS = {
    "modules directly in the package": 3,
    "layers of the contract": 13,
    "files that import each other in a circle": 0,
    "median lines of a function": 7,
    "95th percentile of lines of a function": 30,
    "longest body of a function": 32,
    "longest module": 400,
    "places where a field may lack its modality or full scale": 0,
    "files that name kinds of output as literals": 4,
    "private names that tests import": 0,
}


def trees(folder: Path) -> dict[Path, ast.Module]:
    """Syntax trees of all Python files under a folder."""
    files = sorted(folder.rglob("*.py"))
    return {file: ast.parse(file.read_text(encoding="utf-8")) for file in files}


def modules(folder: Path, package: str) -> dict[str, Path]:
    """Files by the name under which they are imported."""
    names = {}
    for file in folder.rglob("*.py"):
        parts = [*filter(None, [package]), *file.relative_to(folder).parts]
        names[".".join(parts).removesuffix(".py").removesuffix(".__init__")] = file
    return names


def imported(tree: ast.AST) -> Iterator[str]:
    """Names that may be modules, of all imports, those inside functions included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def circles(folder: Path, package: str = "") -> list[set[Path]]:
    """Sets of files that import each other, directly or by way of others."""
    names = modules(folder, package)
    syntax = trees(folder)
    graph = {
        file: {names[n] for n in imported(syntax[file]) if n in names} - {file}
        for file in names.values()
    }
    reached = {file: _reached(graph, file) for file in graph}
    tied = [{b for b in reached[a] if a in reached[b]} for a in graph]
    return list({frozenset(one): one for one in tied if one}.values())


def _reached(graph: dict[Path, set[Path]], start: Path) -> set[Path]:
    found: set[Path] = set()
    queue = [start]
    while queue:
        fresh = graph[queue.pop()] - found
        found |= fresh
        queue += fresh
    return found


def bodies(syntax: dict[Path, ast.Module]) -> list[tuple[int, str]]:
    """Lines of the body of every function without its docstring, and its name."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    found = []
    for file, tree in syntax.items():
        for node in ast.walk(tree):
            if isinstance(node, kinds):
                body = node.body[ast.get_docstring(node) is not None :]
                n = node.end_lineno - body[0].lineno + 1 if body else 0
                found.append((n, f"{file.name}:{node.lineno} {node.name}"))
    return sorted(found)


def spans(syntax: dict[Path, ast.Module]) -> list[int]:
    """Lines of every function as a whole, sorted."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [n for tree in syntax.values() for n in ast.walk(tree)]
    return sorted(n.end_lineno - n.lineno + 1 for n in nodes if isinstance(n, kinds))


def naming_kinds(syntax: dict[Path, ast.Module]) -> list[Path]:
    """Files with the name of an output as a string of its own."""
    return [
        file
        for file, tree in syntax.items()
        if any(isinstance(n, ast.Constant) and n.value in KINDS for n in ast.walk(tree))
    ]


def private_names(syntax: dict[Path, ast.Module]) -> list[str]:
    """Underscored names that tests import from the package or the benchmarks."""
    return [
        f"{file.name}: {alias.name}"
        for file, tree in syntax.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.name.startswith("_") and not alias.name.startswith("__")
    ]


def measured() -> dict[str, tuple[int, list[str]]]:
    """All figures by name, each with what it counts."""
    source, tests = trees(SOURCE), trees(TESTS)
    top = [f.name for f in SOURCE.glob("*.py")]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = project["tool"]["importlinter"]["contracts"][0]["layers"]
    tied = [*circles(SOURCE, SOURCE.name), *circles(BENCHMARKS)]
    lines = {f: len(f.read_text(encoding="utf-8").splitlines()) for f in source}
    unset = [f for f in source for _ in UNSET.findall(f.read_text(encoding="utf-8"))]
    sizes, own = spans(source), bodies(source)
    figures = {
        "modules directly in the package": top,
        "layers of the contract": layers,
        "files that import each other in a circle": [
            " ".join(sorted(map(_shown, one))) for one in tied
        ],
        "places where a field may lack its modality or full scale": unset,
        "files that name kinds of output as literals": naming_kinds(source),
        "private names that tests import": private_names(tests),
    }
    longest = max(lines, key=lines.__getitem__)
    numbers = {
        "median lines of a function": (sizes[len(sizes) // 2], ""),
        "95th percentile of lines of a function": (sizes[int(0.95 * len(sizes))], ""),
        "longest body of a function": own[-1],
        "longest module": (lines[longest], _shown(longest)),
    }
    counted = {name: (len(what), _words(what)) for name, what in figures.items()}
    return counted | {name: (n, [word]) for name, (n, word) in numbers.items()}


def _words(what: list[str] | list[Path]) -> list[str]:
    return [_shown(one) if isinstance(one, Path) else str(one) for one in what]


def _shown(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def main() -> int:
    """Print all figures; 1 if one is over its limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true", help="name what is counted")
    everything = parser.parse_args().all
    over = 0
    for name, (n, what) in measured().items():
        bad = n > LIMITS[name]
        over += bad
        print(f"{'!!' if bad else 'ok'} {name}: {n} (at most {LIMITS[name]})")
        if bad or everything:
            print("".join(f"     {one}\n" for one in what if one), end="")
    print(f"   lines of src: {_lines(SOURCE)}, of benchmarks: {_lines(BENCHMARKS)}")
    return int(over > 0)


def _lines(folder: Path) -> int:
    return sum(len(f.read_text(encoding="utf-8").splitlines()) for f in trees(folder))


if __name__ == "__main__":
    sys.exit(main())
