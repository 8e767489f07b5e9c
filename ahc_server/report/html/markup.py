"""HTML and SVG elements from function calls. What is not ``Markup`` is text, and text is escaped."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from ahc_server.report.words import clean

#: Elements that have no end tag in HTML.
_VOID = frozenset({"meta", "br", "link"})
#: Elements of SVG, which end with a slash when empty.
_EMPTY = frozenset({"path", "rect", "line", "circle", "use"})


class Markup(str):
    """Markup that was made here. Never build it from text that came from elsewhere."""

    __slots__ = ()


Child = str | Markup | None | Iterable["str | Markup | None"]


def tag(name: str, /, *children: Child, **attributes: str | int | float | None) -> Markup:
    """An element. Attributes: ``class_`` is "class", underscores become hyphens, None is left out, as are None children."""
    told = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(clean(_text(value)))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Markup(f"<{name}{told}>")
    inner = join(*children)
    if not inner and name in _EMPTY:
        return Markup(f"<{name}{told}/>")
    return Markup(f"<{name}{told}>{inner}</{name}>")


def join(*children: Child) -> Markup:
    """Children one after the other, texts escaped."""
    return Markup("".join(_each(children)))


def _each(children: Iterable[Child]) -> Iterable[str]:
    for child in children:
        if child is None:
            continue
        if isinstance(child, Markup):
            yield child
        elif isinstance(child, str):
            yield escape(clean(child), quote=False)
        else:
            yield from _each(child)


def _text(value: str | int | float) -> str:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)
