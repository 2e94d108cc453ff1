"""The API reference: what every lazy stub exports, documented under its public name.

Each page of ``docs/api`` includes one generated file. A stub is all that is read to find the names,
so a name that is exported is on its page, and nothing has to be listed twice.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from docutils.nodes import Element, reference
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

import facemask_inpaint
from facemask_inpaint import models
from facemask_inpaint._internal.files import atomic_path

NAME = "facemask_inpaint"
PACKAGE = Path(facemask_inpaint.__file__).parent
_ROLE = re.compile(r":\w+:`~?\.?([\w.]+)`")
_NETWORKS = "networks"
_TYPES = "facemask_inpaint.typing"
_UNDOCUMENTED = {"facemask_inpaint.models.layers"}


@dataclass(frozen=True)
class Export:
    """A name that a stub exports.

    Attributes:
        public: where users find it, ``facemask_inpaint.metrics.fid``.
        origin: where it is defined, ``facemask_inpaint.metrics.frechet.fid``.
        is_module: whether it is a module.
    """

    public: str
    origin: str
    is_module: bool


@dataclass(frozen=True)
class Definition:
    """A name in a source file.

    Attributes:
        directive: ``"class"``, ``"function"`` or ``"data"``.
        documentation: its docstring, or the string below a constant.
        shows_inherited: whether members of a class come from a private base, too.
    """

    directive: str
    documentation: str
    shows_inherited: bool = False


def packages() -> list[str]:
    """Return the dotted names of all packages that have a stub, the root first."""
    folders = sorted(path.parent for path in PACKAGE.rglob("__init__.pyi"))
    return [".".join((NAME, *folder.relative_to(PACKAGE).parts)) for folder in folders]


def exports(package: str) -> list[Export]:
    """Return what the stub of a package exports, in its order."""
    found = []
    for node in ast.parse(_stub(package).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            module = f"{package}.{node.module}" if node.module else package
            found += [
                Export(
                    f"{package}.{alias.asname or alias.name}",
                    _origin(module, alias.name) if node.module else f"{package}.{alias.name}",
                    not node.module,
                )
                for alias in node.names
            ]
    return found


def pages() -> dict[str, str]:
    """Return the generated part of every page, by the stem of the page that includes it."""
    own = {NAME, *(name for name in packages() if name.count(".") == 1)}
    texts = {_stem(name): _text(_sections(name)) for name in sorted(own)}
    texts[_NETWORKS] = _text(_network_sections())
    return texts


def documented(page: str) -> set[str]:
    """Return the names that the tables of a generated page list."""
    return set(re.findall(r"^\| \{py:obj\}`\w+ <([\w.]+)>`", page, re.MULTILINE))


def _stem(package: str) -> str:
    return package.rpartition(".")[2]


def _text(sections: Iterator[str]) -> str:
    return "\n\n".join(sections) + "\n"


def _sections(package: str) -> Iterator[str]:
    """A table of the package's names, their documentation, and its modules."""
    names = [one for one in exports(package) if not one.is_module]
    yield from [_table(names)] if package == NAME else _entries(names)
    for export in exports(package):
        if export.is_module and not _has_own_place(export.public):
            yield from _module_section(export.public)


def _has_own_place(name: str) -> bool:
    top_level_package = name in packages() and name.count(".") == 1
    return top_level_package or name in _network_modules() or name in _UNDOCUMENTED


def _network_modules() -> list[str]:
    """Modules of the architectures, which have a page of their own."""
    return [f"{NAME}.models.{name}" for name in models.list_architectures()]


def _network_sections() -> Iterator[str]:
    for name in _network_modules():
        yield from _module_section(name)


def _module_section(name: str) -> Iterator[str]:
    """One module: what its stub exports, or its public members that no stub exports."""
    if name in packages():
        names = [one for one in exports(name) if not one.is_module]
    else:
        exported = {one.origin for package in packages() for one in exports(package)}
        if name != _TYPES:
            exported |= {one.origin for one in _members(_TYPES)}
        names = [one for one in _members(name) if one.origin not in exported]
    if names:
        yield f"## {name.removeprefix(f'{NAME}.')}\n\n{_first_paragraph(name)}"
        yield from _entries(names)


def _members(module: str) -> list[Export]:
    """Public classes, functions and described constants that a module defines itself."""
    names = {name: f"{module}.{name}" for name in _definitions(module)}
    if _path(module).name == "__init__.py":
        names |= _gathered(module)
    names |= {name: _origin(module, name) for name in _listed(module)}
    public = {name: origin for name, origin in names.items() if not name.startswith("_")}
    return [Export(f"{module}.{name}", origin, False) for name, origin in public.items()]


def _listed(module: str) -> list[str]:
    """The names in a module's ``__all__``."""
    for node in _tree(module).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value)) if isinstance(node.value, ast.List) else []
    return []


def _gathered(package: str) -> dict[str, str]:
    """What a package without a stub imports from its own modules."""
    return {
        alias.name: _origin(str(node.module), alias.name)
        for node in _tree(package).body
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith(f"{package}.")
        for alias in node.names
    }


def _first_paragraph(module: str) -> str:
    return (ast.get_docstring(_tree(module)) or "").split("\n\n")[0].replace("``", "`")


def _entries(names: Sequence[Export]) -> Iterator[str]:
    if not names:
        return
    yield _table(names)
    yield "```{eval-rst}\n" + "\n\n".join(map(_directive, names)) + "\n```"


def _table(names: Sequence[Export]) -> str:
    rows = [f"| {{py:obj}}`{_last(one)} <{one.public}>` | {_summary(one)} |" for one in names]
    return "\n".join(["| name | |", "| --- | --- |", *rows])


def _last(export: Export) -> str:
    return export.public.rpartition(".")[2]


def _definition(export: Export) -> Definition:
    module, _, name = export.origin.rpartition(".")
    return _definitions(module).get(name) or Definition("data", "")


def _summary(export: Export) -> str:
    text = _definition(export).documentation.split("\n\n")[0].replace("\n", " ")
    text = _ROLE.sub(r"`\1`", text).replace("``", "`").replace("|", "\\|")
    pieces = text.split("`")  # every second one is code
    pieces[::2] = [piece.replace("<", "\\<") for piece in pieces[::2]]
    return "`".join(pieces)


def _directive(export: Export) -> str:
    definition = _definition(export)
    if definition.directive == "class":
        options = [":members:", ":special-members: __call__"]
        options += [":inherited-members: Module"] if definition.shows_inherited else []
        return "\n   ".join([f".. autoclass:: {export.public}", *options])
    if definition.directive == "function":
        return f".. autofunction:: {export.public}"
    body = [f"   {line}" for line in definition.documentation.splitlines()]
    return "\n".join([f".. py:data:: {export.public}", "", *body])


def _stub(package: str) -> Path:
    return PACKAGE.joinpath(*package.split(".")[1:], "__init__.pyi")


def _path(module: str) -> Path:
    path = PACKAGE.joinpath(*module.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse(_path(module).read_text(encoding="utf-8"))


@cache
def _definitions(module: str) -> dict[str, Definition]:
    """Classes, functions and described constants of a module, by name."""
    found = {}
    body = _tree(module).body
    for node, after in zip(body, [*body[1:], None]):
        match node, after:
            case ast.ClassDef(), _:
                inherits = any(_is_hidden(module, ast.unparse(base)) for base in node.bases)
                found[node.name] = Definition("class", ast.get_docstring(node) or "", inherits)
            case ast.FunctionDef(), _:
                found[node.name] = Definition("function", ast.get_docstring(node) or "")
            case (
                ast.Assign(targets=[ast.Name(name)]) | ast.AnnAssign(target=ast.Name(name)),
                ast.Expr(ast.Constant(str(text))),
            ):
                found[name] = Definition("data", inspect.cleandoc(text))
    return found


def _is_hidden(module: str, base: str) -> bool:
    """Whether a base class is private to the library, so that only its subclass is documented."""
    origin = _origin(module, base)
    exported = (export.origin for package in packages() for export in exports(package))
    return "._" in origin and not origin.startswith(module) and origin not in exported


def _origin(module: str, name: str) -> str:
    """Where a name that a module holds is defined, imports and stubs followed."""
    stub = _stub(module)
    if stub.is_file():
        nodes = ast.parse(stub.read_text(encoding="utf-8")).body
    else:
        nodes = _tree(module).body
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module:
            source = f"{module}.{node.module}" if node.level else node.module
            names = {alias.asname or alias.name: alias.name for alias in node.names}
            if name in names and source.startswith(NAME):
                return _origin(source, names[name])
    return f"{module}.{name}"


def write_pages(app: Sphinx) -> None:
    """Write what the pages of ``docs/api`` include."""
    folder = Path(app.srcdir, "_generated", "api")
    for stem, text in pages().items():
        path = folder / f"{stem}.md"
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            with atomic_path(path) as temporary:
                temporary.write_text(text, encoding="utf-8")


def add_shortcuts(app: Sphinx, env: BuildEnvironment) -> None:
    """Let the names at the top of the package lead to the documentation in their packages."""
    objects = env.domains.python_domain.objects
    for export in exports(NAME):
        package = ".".join(export.origin.split(".")[:2])
        full = objects.get(f"{package}.{_last(export)}")
        if full is not None and not export.is_module:
            objects[export.public] = full._replace(aliased=True)


def resolve_origin(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, contnode: Element
) -> reference | None:
    """Link a name as it is defined to its documentation under the public name."""
    origins = {one.origin: one.public for package in packages() for one in exports(package)}
    public = origins.get(node.get("reftarget", ""))
    if node.get("refdomain") != "py" or public is None:
        return None
    domain = env.domains.python_domain
    return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", public, node, contnode)


def setup(app: Sphinx) -> dict[str, bool]:
    """Write before the pages are read, and link names across modules."""
    app.connect("builder-inited", write_pages)
    app.connect("env-updated", add_shortcuts)
    app.connect("missing-reference", resolve_origin)
    return {"parallel_read_safe": True}
