"""Results as text for a terminal of 80 columns."""

import textwrap

SAMPLE_ROWS = {
    "frechet": "Fréchet distance",
    "kernel": "kernel distance",
    "precision": "precision",
    "recall": "recall",
    "density": "density",
    "coverage": "coverage",
    "modes": "classes covered",
    "class_kl": "KL of classes, nats",
    "confidence": "confidence",
    "nearest_training": "nearest training image",
    "sharpness": "sharpness",
    "isolated_pixels": "isolated pixels",
    "smoothness": "smoothness",
}
LIKELIHOOD_ROWS = {
    "negative_elbo": "negative ELBO",
    "reconstruction": "reconstruction",
    "kl": "KL",
    "bound": "importance-weighted bound",
}
NAMES = {"normal": "N(0, I)", "mixture": "mixture"}


def of_run(result) -> str:
    """What `evaluate` found, with the protocol below."""
    columns = {NAMES[prior]: found for prior, found in result["samples"].items()}
    columns["real images"] = result["floor"]
    lines = [_row("", columns)]
    for key, name in SAMPLE_ROWS.items():
        if any(key in column for column in columns.values()):
            lines.append(_row(name, [_number(column.get(key)) for column in columns.values()]))
    for binarisation, found in result.get("likelihood", {}).items():
        lines += ["", _row("nats per image", [binarisation])]
        lines += [
            _row(name, [_number(found[key])]) for key, name in LIKELIHOOD_ROWS.items() if found[key]
        ]
        lines.append(_row("active units", [str(found["active_units"])]))
    return "\n".join([*lines, "", textwrap.fill(_protocol(result), 79)])


def of_claims(results) -> str:
    """One line for each claim with its verdict."""
    lines = []
    for claim in results["claims"]:
        text = f"{claim['number']:2}. {claim['verdict']}: {claim['claim']}"
        if "needs" in claim:
            text += f" (needs {claim['needs']})"
        lines.append(textwrap.fill(text, 79, subsequent_indent="    "))
    return "\n".join(lines)


def _row(name, cells):
    return f"{name:26}" + "".join(f"{cell:>17}" for cell in cells)


def _number(found):
    """A value with its standard error: 6.62 ± 0.11."""
    if found is None:
        return "-"
    value = f"{found['value']:.4g}"
    return value if found["error"] is None else f"{value} ± {found['error']:.1g}"


def _protocol(result):
    protocol = result["protocol"]
    data, features = protocol["data"], protocol["features"]
    parts = [
        f"{protocol['samples']:,} samples against {data['test']:,} test images of {data['name']}",
        f"{features['dimensions']} {features['name']} features {features['hash'][:12]}",
        f"k {protocol['neighbours']}",
        f"seed {protocol['seed']}",
    ]
    if "likelihood" in result:
        parts.append(
            f"bound: {protocol['importance_samples']:,} samples for each of"
            f" {protocol['bound_images']:,} images"
        )
    return "; ".join(parts) + ". ± is one standard error."
