"""HTML as a tree: what is made of it nests and is escaped by construction."""

from xml.etree import ElementTree

# Ends the line in the source, where a line break means nothing to the reader.
BLOCKS = {"div", "dl", "figure", "h1", "h2", "h3", "li", "meta", "nav", "ol", "p", "section", "tr"}


def tag(name, /, *children, **attributes):
    """An element.

    Args:
        children: elements, strings, lists of such, or None for nothing.
        attributes: strings, or None to leave one out; `class_` is class, `aria_label`
            aria-label.
    """
    given = {k.rstrip("_").replace("_", "-"): v for k, v in attributes.items() if v is not None}
    element = ElementTree.Element(name, given)
    if name in BLOCKS:
        element.tail = "\n"
    for child in _flat(children):
        _append(element, child)
    return element


def document(root) -> str:
    """The tree as the text of an HTML file."""
    return "<!doctype html>\n" + ElementTree.tostring(root, encoding="unicode", method="html")


def _flat(children):
    for child in children:
        if isinstance(child, list):
            yield from _flat(child)
        elif child is not None:
            yield child


def _append(element, child):
    if not isinstance(child, str):
        element.append(child)
    elif len(element):
        element[-1].tail = (element[-1].tail or "") + child
    else:
        element.text = (element.text or "") + child
