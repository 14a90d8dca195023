"""The import rule, read from the sources: who may know whom, and what may not be used at all."""

import ast
import functools
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

import matcher

ROOT = Path(__file__).parents[1]

# Each line: a module and the modules right below it. What these may import, it may import too. Of several lines that
# fit a name the first counts; a module that no line fits has to be given its place here.
LAYERS = {
    "dsp": "",
    "dsp.errors": "",
    "dsp.units": "dsp.errors",
    "dsp.audio": "dsp.units",
    "dsp.effect": "dsp.audio",
    "dsp.kernels": "dsp.kernels._kernels",
    "dsp.kernels._kernels": "",
    "dsp.curves": "dsp.effect",
    "dsp.transforms": "",
    "dsp.fir": "dsp.effect dsp.transforms",
    "dsp.columns": "",
    "dsp.segments": "",
    "dsp.shaping": "dsp.transforms",
    "dsp.effects": "",
    "dsp.effects.*": "dsp.curves dsp.fir dsp.segments dsp.shaping dsp.kernels",
    "dsp.meters": "",
    "dsp.meters.*": "dsp.audio dsp.columns dsp.segments dsp.transforms dsp.kernels dsp.meters.*",
    "dsp.restoration": "",
    "dsp.restoration.*": "dsp.restoration.* dsp.effects dsp.effects.*",
    "dsp.chain": "dsp.effects dsp.effects.* dsp.meters.* dsp.restoration dsp.restoration.*",
    "dsp.surround": "dsp.chain",
    "matcher": "matcher.albums matcher.learning matcher.restoring",  # the lazy door
    "matcher.version": "",
    "matcher.demo": "dsp.units dsp.audio dsp.transforms",
    "matcher.aims": "dsp.effect",
    "matcher.io": "matcher.io.*",
    "matcher.io.*": "matcher.io.* dsp.surround matcher.version matcher.metadata",
    "matcher.metadata": "matcher.metadata.*",
    "matcher.metadata.*": "matcher.metadata.* dsp.errors",
    "matcher.profile": "dsp.chain",
    "matcher.cache": "matcher.profile matcher.version",
    "matcher.features": "matcher.profile",
    "matcher.reference": "matcher.features",
    "matcher.distance": "matcher.reference",
    "matcher.plans": "dsp.chain matcher.aims matcher.version",
    "matcher.sketching": "matcher.profile",
    "matcher.analysis": "matcher.cache matcher.io matcher.sketching",
    "matcher.mending": "matcher.io",
    "matcher.flowing": "matcher.analysis",
    "matcher.rendering": "matcher.flowing matcher.plans matcher.analysis matcher.mending",
    "matcher.planner": "matcher.planner.*",
    "matcher.planner.*": "matcher.planner.* matcher.rendering matcher.distance matcher.priors",
    "matcher.suitability": "matcher.reference",
    "matcher.blending": "matcher.reference matcher.rendering",
    "matcher.presets": "matcher.reference matcher.io",
    "matcher.preset_*": "matcher.preset_* matcher.presets matcher.priors matcher.planner matcher.planner.*",
    "matcher.remaining": "matcher.planner.*",
    "matcher.refining": "matcher.planner.*",
    "matcher.reporting": "matcher.rendering matcher.distance matcher.aims matcher.remaining",
    "matcher.priors": "dsp.effect",
    "matcher.music": "matcher.analysis",
    "matcher.verifying": "matcher.profile",
    "matcher.damage": "matcher.analysis matcher.mending",
    "matcher.masters": "matcher.plans matcher.cache",
    "matcher.matching": "matcher.planner matcher.reporting matcher.blending matcher.suitability matcher.masters"
    " matcher.damage matcher.preset_* matcher.refining",
    "matcher.restoring": "matcher.damage matcher.rendering matcher.planner",
    "matcher.memory": "",
    "matcher.executors": "matcher.version matcher.memory",
    "matcher.corpus": "matcher.analysis matcher.executors",
    "matcher.tables": "matcher.corpus",
    "matcher.batches": "matcher.matching matcher.executors",
    "matcher.learned": "dsp.errors",
    "matcher.learning": "matcher.matching matcher.preset_* matcher.learned",
    "matcher.click_sounds": "",
    "matcher.click_learning": "dsp.restoration.* matcher.io matcher.version matcher.click_sounds matcher.learned",
    "matcher.album_*": "matcher.album_* matcher.matching matcher.executors",
    "matcher.albums": "matcher.album_*",
    "matcher.delivery": "",
    "matcher.delivery.*": "matcher.delivery.* matcher.planner.* matcher.rendering",
    "matcher.page": "",
    "matcher.page.*": "matcher.page.* matcher.reporting matcher.delivery.* matcher.album_* matcher.preset_*",
    "matcher.exporting": "",
    "matcher.exporting.*": "matcher.exporting.* matcher.plans",
    "matcher.serve": "",
    "matcher.serve.*": "matcher.serve.* matcher.page.* matcher.memory matcher.albums matcher.delivery.*",
    "matcher.commands": "",
    "matcher.commands.*": "matcher.commands.* matcher matcher.page.* matcher.verifying matcher.music matcher.restoring"
    " matcher.serve.* matcher.exporting.* matcher.delivery.* matcher.memory matcher.demo matcher.corpus matcher.tables"
    " matcher.batches matcher.preset_*",
    "matcher.cli": "matcher.commands.*",
}

BANNED = {
    "pedalboard": "GPL",
    "matchering": "GPL",
    "mutagen": "GPL",
    "essentia": "AGPL",
    "madmom": "models for non-commercial use only",
    "numba": "the kernels are compiled ahead of time",
    "torch": "hundreds of megabytes for what a small estimate does",
}
SLOW = ("librosa", "sklearn", "pyloudnorm", "matplotlib", "scipy.signal", "scipy.stats")
"""Seconds to import: inside the function that needs them, and never in `dsp`."""
FILE_LIBRARIES = {
    "soundfile": {
        "matcher.io", "matcher.io.*", "matcher.page.*", "matcher.demo", "matcher.verifying",
        "matcher.delivery.*"
    }
}  # fmt: skip
PUBLIC_FUNCTIONS = {"match", "analyze", "plan", "render", "album", "learn"}


@functools.cache
def modules() -> dict[str, Path]:
    """Dotted name to file of every module of both packages."""
    found = {}
    for package in ("dsp", "matcher"):
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def is_module(name: str) -> bool:
    """Whether a dotted name is a module of ours, compiled ones included."""
    return name in modules() or name == "dsp.kernels._kernels"


def imports_in(module: str, source: str, *, is_package: bool, at_import: bool = False) -> set[str]:
    """Full dotted names of what a module imports, in functions too unless `at_import`."""
    found = set()
    for node in _nodes(ast.parse(source), at_import=at_import):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parents = module.split(".")
            above = parents[: len(parents) - node.level + is_package] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                full = f"{base}.{alias.name}"
                # `from package import thing` is an import of `package.thing` where that is a module.
                found.add(full if is_module(full) or not is_module(base) else base)
    return found


def _nodes(tree: ast.AST, *, at_import: bool) -> list[ast.AST]:
    """All nodes, or only those run when the module is imported."""
    if not at_import:
        return list(ast.walk(tree))
    found: list[ast.AST] = []
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        found += [node, *_nodes(node, at_import=True)]
    return found


def imports_of(module: str, *, at_import: bool = False) -> set[str]:
    """What a module of ours imports."""
    path = modules()[module]
    source = path.read_text(encoding="utf-8")
    return imports_in(module, source, is_package=path.name == "__init__.py", at_import=at_import)


def layer_of(module: str) -> str | None:
    """The line of the table a module belongs to."""
    return next((line for line in LAYERS if fnmatchcase(module, line) and module.count(".") == line.count(".")), None)


@functools.cache
def allowed(line: str) -> frozenset[str]:
    """Every line that a line of the table may import: those named, and what they may."""
    found: set[str] = set()
    todo = LAYERS[line].split()
    while todo:
        below = todo.pop()
        if below not in found:
            found.add(below)
            todo += LAYERS[below].split()
    if line.startswith("matcher"):
        found |= {name for name in LAYERS if name.startswith("dsp")}
    return frozenset(found)


def uses(imported: str, library: str) -> bool:
    """Whether an imported name is a library or inside it."""
    return imported == library or imported.startswith(f"{library}.")


@pytest.mark.parametrize("module", modules())
def test_imports_only_what_lies_below(module: str) -> None:
    """A module has a place in the table and imports only from the places below it."""
    line = layer_of(module)
    assert line is not None, f"{module} has no place in LAYERS"
    for imported in imports_of(module):
        if imported.split(".")[0] in ("dsp", "matcher"):
            assert is_module(imported), f"{module} imports {imported}, which is not there"
            assert layer_of(imported) in allowed(line), f"{module} ({line}) may not import {imported}"


@pytest.mark.parametrize("module", [m for m in modules() if m.split(".")[0] == "dsp"])
def test_dsp_never_imports_matcher(module: str) -> None:
    """The shared chain stands without the planner."""
    assert not [name for name in imports_of(module) if uses(name, "matcher")]


def test_the_table_has_no_circles() -> None:
    """No line of the table may import itself, except packages whose modules know each other."""
    circles = {line for line in LAYERS if line in allowed(line)}
    assert circles == {line for line in LAYERS if line in LAYERS[line].split()}


@pytest.mark.parametrize("module", modules())
def test_uses_nothing_ruled_out(module: str) -> None:
    """No licence that is not ours, no second compiler."""
    assert not [name for name in imports_of(module) for banned in BANNED if uses(name, banned)]


@pytest.mark.parametrize("module", modules())
def test_slow_libraries_wait_until_needed(module: str) -> None:
    """What takes seconds to import is imported inside a function, and never by the chain."""
    seen = imports_of(module, at_import=not module.startswith("dsp"))
    assert not [name for name in seen for slow in SLOW if uses(name, slow)]


@pytest.mark.parametrize("library", FILE_LIBRARIES)
def test_files_are_touched_at_the_border_only(library: str) -> None:
    """One package reads and writes sound files; the demo writes its own, and a second opinion reads by itself."""
    users = {layer_of(m) for m in modules() if any(uses(name, library) for name in imports_of(m))}
    assert users <= FILE_LIBRARIES[library]


@pytest.mark.parametrize("module", modules())
def test_no_module_bears_the_name_of_a_function(module: str) -> None:
    """`matcher.plan` is the function; a module of that name would hide it once imported."""
    exported = set(getattr(matcher, "__all__", ()))
    assert module.rpartition(".")[2] not in PUBLIC_FUNCTIONS | (exported if module.count(".") == 1 else set())


class TestTheReader:
    """The reading of imports itself."""

    def test_sees_every_form(self) -> None:
        """Plain, from, relative and hidden imports are all found."""
        source = "import dsp.units as u\nfrom dsp import audio\nfrom dsp.audio import Audio\nimport librosa.feature\n"
        source += "from . import cache\ndef f():\n    from .plans import Plan\n"
        assert imports_in("matcher.profile", source, is_package=False) >= {
            "dsp.units", "dsp.audio", "matcher.cache", "matcher.plans", "librosa.feature"
        }  # fmt: skip

    def test_tells_import_time_from_later(self) -> None:
        """An import in a function or for types only is not one that start-up pays for."""
        source = "if TYPE_CHECKING:\n import a\ndef f():\n import b\nclass C:\n import c\nif x:\n import d\n"
        assert imports_in("matcher.io", source, is_package=False, at_import=True) == {"c", "d"}

    def test_relative_names_count_from_the_package(self) -> None:
        """One dot is the package itself in its door, and the parent elsewhere."""
        assert imports_in("dsp.effects", "from . import gain", is_package=True) == {"dsp.effects.gain"}
        assert imports_in("dsp.effects.gain", "from ..units import x", is_package=False) == {"dsp.units"}

    def test_refuses_a_step_up(self) -> None:
        """The table does forbid: units may not import audio, profile not the planner, an effect not another."""
        assert "dsp.audio" not in allowed("dsp.units")
        assert "matcher.planner.*" not in allowed("matcher.profile")
        assert "dsp.effects.*" not in allowed("dsp.effects.*")
        assert layer_of("matcher.planner.tone") == "matcher.planner.*"
        assert layer_of("matcher.something_new") is None
