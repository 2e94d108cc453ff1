"""Protocols of one's own, as YAML files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from facemask_inpaint._internal.settings import as_type, parse_yaml, read_text
from facemask_inpaint.benchmark.mask_sources import FreeFormMasks, MaskRecipe, SemanticMasks
from facemask_inpaint.benchmark.protocols.records import Protocol, Split
from facemask_inpaint.errors import OptionError, unknown_name

Record = TypeVar("Record", bound=Protocol | Split | MaskRecipe)

_RECIPES: Mapping[str, type[SemanticMasks] | type[FreeFormMasks]] = {
    "semantic": SemanticMasks,
    "free-form": FreeFormMasks,
}


def read_protocol(path: str | Path) -> Protocol:
    """Read a protocol of your own from a YAML file, as :func:`protocol_text` writes it.

    Example:
        >>> from facemask_inpaint.benchmark import protocols
        >>> protocols.read_protocol("ours.yaml").sha256  # doctest: +SKIP

    Args:
        path: the file.

    Raises:
        OptionError: the file cannot be read, or a field is missing or of another type.
        UnknownNameError: there is no such field.
    """
    content = _mapping(parse_yaml(read_text(path), str(path)), str(path))
    where = f"{path}: masks"
    masks = dict(_mapping(content.get("masks"), where))
    kind = masks.pop("kind", None)
    if kind not in _RECIPES:
        raise unknown_name(f"kind of {where}", str(kind), _RECIPES)
    if isinstance(masks.get("generators"), Mapping):
        masks["generators"] = list(map(list, masks["generators"].items()))
    recipe: MaskRecipe = _built(_RECIPES[kind], masks, where)
    split = _built(Split, _mapping(content.get("split"), f"{path}: split"), f"{path}: split")
    return _built(Protocol, {**content, "masks": recipe, "split": split}, str(path))


def protocol_text(protocol: Protocol) -> str:
    """Return a protocol as YAML, to be edited and given as a file.

    Example:
        >>> from facemask_inpaint.benchmark import protocols
        >>> text = protocols.protocol_text(protocols.find_protocol("mat-celeba512"))
        >>> text.splitlines()[0]
        'name: mat-celeba512'

    Args:
        protocol: the protocol.
    """
    import yaml

    content = asdict(protocol)
    kind = next(name for name, recipe in _RECIPES.items() if isinstance(protocol.masks, recipe))
    content["masks"] = {"kind": kind, **content["masks"]}
    if isinstance(protocol.masks, FreeFormMasks):
        content["masks"]["generators"] = dict(protocol.masks.generators)
    text: str = yaml.safe_dump(_plain(content), sort_keys=False, allow_unicode=True, width=96)
    return text


def _built(record: type[Record], content: Mapping[str, Any], where: str) -> Record:
    """Return a record from plain values.

    Raises:
        UnknownNameError: it has no such field.
        OptionError: a field is missing or of another type.
    """
    hints = get_type_hints(record)
    named = {field.name: field for field in fields(record)}
    if unknown := [name for name in content if name not in named]:
        raise unknown_name(f"field of {where}", str(unknown[0]), named)
    for name, field in named.items():
        if name not in content and field.default is MISSING:
            raise OptionError(f"{where} needs the field {name}")
    values: dict[str, Any] = {
        name: value
        if isinstance(value, Split | SemanticMasks | FreeFormMasks)
        else as_type(hints[name], value, f"{where}: {name}")
        for name, value in content.items()
    }
    return record(**values)


def _mapping(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise OptionError(f"{where} is a mapping of fields to values, not {value!r:.80}")
    return dict(value)


def _plain(value: Any) -> Any:
    """Return a value with lists in place of tuples."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value
