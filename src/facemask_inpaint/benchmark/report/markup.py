"""HTML elements from plain calls: text is escaped, markup stays markup."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TypeAlias

Child: TypeAlias = "str | int | Iterable[Child] | None"
Attribute: TypeAlias = "str | int | float | bool | None"

_VOID = frozenset({"img", "input", "br", "meta", "line", "path", "rect"})


class Html(str):
    """Text that is markup already and is not escaped again."""

    __slots__ = ()


def element(tag: str, /, *children: Child, **attributes: Attribute) -> Html:
    """One HTML or SVG element.

    Args:
        tag: name of the element.
        children: text (escaped), numbers, :class:`Html` (kept), or iterables of them; ``None`` is
            nothing.
        attributes: a trailing underscore is dropped and inner ones become hyphens, so that
            ``class_`` and ``data_method`` can be written; ``None`` and ``False`` leave an attribute
            out, ``True`` gives it no value.
    """
    start = f"<{tag}{''.join(_attribute(*item) for item in attributes.items())}"
    return Html(f"{start}/>" if tag in _VOID else f"{start}>{join(children)}</{tag}>")


def join(children: Child) -> Html:
    """The markup of children one after another."""
    if children is None:
        return Html()
    if isinstance(children, Html):
        return children
    if isinstance(children, (str, int)):
        return Html(escape(str(children), quote=False))
    return Html("".join(join(child) for child in children))


def _attribute(name: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    name = name.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'
