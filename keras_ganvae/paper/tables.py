"""Tables of numbers with their errors, and how a number is written."""

import math

from keras_ganvae.paper.markup import tag

NONE = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
DIRECTIONS = {"lower": "↓ lower is better", "higher": "↑ higher is better"}
MOST_PLACES = 6  # after the point; what is smaller gets powers of ten


def written(value, error=None) -> tuple[str, str | None]:
    """A number and its error, to two digits of the error, or to four digits without one."""
    if not math.isfinite(value):
        return str(value), None
    known = error is not None and math.isfinite(error)
    if 0 < max(abs(value), error if known else 0) < 10.0**-MOST_PLACES:
        return _minus(f"{value:.1e}"), f"{error:.1e}" if known else None
    if known and error > 0:
        places = _places(error, 2)
    else:
        places = 0 if value == int(value) else _places(value, 4)
    return _fixed(value, places), _fixed(error, places if error else 0) if known else None


def _places(value, digits):
    return min(MOST_PLACES, digits - 1 - math.floor(math.log10(abs(value))))


def _fixed(value, places):
    # + 0.0: nothing is not written with a minus
    return _minus(f"{round(value, places) + 0.0:,.{max(places, 0)}f}")


def _minus(text):
    return text.replace("-", MINUS)


def number(found, strong=False):
    """{"value", "error"}, or a plain number, as elements for a cell."""
    if found is None:
        return NONE
    value, error = _pair(found)
    if value is None:
        return NONE
    shown, spread = written(value, error)
    shown = tag("strong", shown) if strong else tag("span", shown)
    return [shown, tag("small", f" ± {spread}") if spread else None]


def _pair(found):
    return (found["value"], found["error"]) if isinstance(found, dict) else (found, None)


def best(found, better) -> set[int]:
    """Which of some numbers are the best: their places; none of one, or without a direction.

    Args:
        found: as `number` takes them, or None.
        better: of a `Metric`.
    """
    values = {i: _pair(each)[0] for i, each in enumerate(found) if each is not None}
    values = {i: value for i, value in values.items() if math.isfinite(value)}
    if better is None or len(values) < 2:
        return set()
    extreme = (min if better == "lower" else max)(values.values())
    return {i for i, value in values.items() if value == extreme}


def table(*content, label, **attributes):
    """A table in a box of its own, which scrolls if it is wider than the page."""
    box = {"class_": "scroll", "role": "region", "aria_label": label, "tabindex": "0"}
    return tag("div", tag("table", *content, **attributes), **box)


def head(*names):
    return tag("thead", tag("tr", [tag("th", name, scope="col") for name in names]))


def numbers(metrics, columns, *, label, prefix, floor=None):
    """One row a metric, one column a model and prior; the best in bold.

    Args:
        metrics: name -> Metric.
        columns: (model, what below it or None, numbers by name); neighbours with the same
            model share its heading.
        prefix: of the ids of the footnotes, see `footnotes`.
        floor: numbers by name, for a column of their own that is never the best.
    """
    rows = [
        _row(i, name, metric, columns, floor, prefix)
        for i, (name, metric) in enumerate(metrics.items(), start=1)
    ]
    return table(_headings(columns, floor), tag("tbody", rows), label=label, class_="numbers")


def _headings(columns, floor):
    two = any(below for _, below, _ in columns)
    rows = "2" if two else None
    above = [tag("th", "number", scope="col", rowspan=rows)]
    if floor is not None:
        above.append(tag("th", "floor", tag("small", " real images"), scope="col", rowspan=rows))
    for label, width in _groups([label for label, _, _ in columns]):
        spans = {"colspan": str(width), "scope": "colgroup"} if width > 1 else {"scope": "col"}
        above.append(tag("th", label, **spans))
    below = [tag("th", below or "", scope="col") for _, below, _ in columns]
    if not two:
        return tag("thead", tag("tr", above))
    return tag("thead", tag("tr", above, class_="above"), tag("tr", below, class_="below"))


def _groups(labels):
    groups = []
    for label in labels:
        if groups and groups[-1][0] == label:
            groups[-1][1] += 1
        else:
            groups.append([label, 1])
    return groups


def _row(i, name, metric, columns, floor, prefix):
    found = [numbers.get(name) for _, _, numbers in columns]
    bold = best(found, metric.better)
    about = [tag("small", each) for each in (metric.unit, DIRECTIONS.get(metric.better)) if each]
    mark = tag("sup", tag("a", str(i), href=f"#{prefix}-{name}"))
    title = tag("th", metric.name, mark, about, scope="row")
    cells = [tag("td", number(each, strong=i in bold)) for i, each in enumerate(found)]
    if floor is not None:
        cells.insert(0, tag("td", number(floor.get(name)), class_="floor"))
    return tag("tr", title, cells)


def footnotes(metrics, prefix):
    """What the metrics are and where they come from, in the order of their marks."""
    return tag(
        "ol",
        [
            tag(
                "li",
                tag("b", metric.name),
                f": {metric.what}" if metric.what else None,
                f" {metric.source}." if metric.source else None,
                id=f"{prefix}-{name}",
            )
            for name, metric in metrics.items()
        ],
        class_="notes",
    )
