"""Pages of the documentation that are generated from the code, as hooks of MkDocs.

- reference/commands.md: every command, as its `--help` prints it.
- reference/settings.md: every field of `TrainConfig`, the values of the presets, and the comments
  that give the reasons for these values in `architectures/`.
- The table of metrics in explanation/protocol.md, from `metrics/definitions.py`.
- model_card.schema.json: the schema that docs/model-card.md links to.

`mkdocs.yml` names this file; MkDocs calls the functions `on_...`.
"""

import ast
import dataclasses
import inspect
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from keras_ganvae import architectures, config
from keras_ganvae.cli.main import build_parser
from keras_ganvae.config import PRESETS, TrainConfig, scalar_type
from keras_ganvae.metrics.definitions import LIKELIHOOD, SAMPLES

ROOT = Path(__file__).parents[1]
SCHEMA = "keras_ganvae/bundle/model_card.schema.json"
METRICS_MARK = "<!-- table of metrics -->"
HELP_COLUMNS = "78"  # narrower than a page at 1280 pixels
GROUPS = {
    "data": "Data",
    "model": "Model",
    "training": "Training",
    "GAN": "GANs only",
    "VAE": "VAEs only",
    "hardware": "Hardware",
}
TYPES = {int: "whole number", float: "number", bool: "true or false", str: "text"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated files."""
    generated = {
        "reference/commands.md": commands_page(),
        "reference/settings.md": settings_page(),
        Path(SCHEMA).name: (ROOT / SCHEMA).read_text(encoding="utf-8"),
    }
    for path, content in generated.items():
        files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, **context: Any) -> str:
    """Insert the table of metrics, and link to the site's copy of the schema.

    In the repository the schema is outside of docs/.
    """
    linked = markdown.replace(f"(../{SCHEMA})", f"({Path(SCHEMA).name})")
    return linked.replace(METRICS_MARK, metrics_table())


def on_page_content(html: str, **context: Any) -> str:
    """Open the source code, where a page shows any."""
    return html.replace('<details class="mkdocstrings-source"', '<details open class="source"')


def commands_page() -> str:
    """The help of every command, in Markdown."""
    os.environ["COLUMNS"] = HELP_COLUMNS
    parser, commands = build_parser()
    lines = [
        "# Commands",
        "",
        "What `--help` prints. Results go to stdout, logs and progress to stderr;"
        " [exit codes](exit-codes.md) tell what went wrong.",
        "",
        *_code(parser.format_help()),
    ]
    for name, command in commands.items():
        lines += [f"## {name}", "", *_code(command.format_help())]
    return "\n".join(lines)


def _code(text: str) -> list[str]:
    return ["```text", text.strip(), "```", ""]


def metrics_table() -> str:
    """Every metric of `evaluate`, in Markdown."""
    lines = ["| metric | better | what | source |", "|---|---|---|---|"]
    for metric in (*SAMPLES.values(), *LIKELIHOOD.values()):
        unit = f" ({metric.unit})" if metric.unit else ""
        what, source = _cell(metric.what), _cell(metric.source)
        lines.append(f"| {metric.name}{unit} | {metric.better or '-'} | {what} | {source or '-'} |")
    return "\n".join(lines)


def settings_page() -> str:
    """Every setting with its limits and defaults, and the reasons for the presets, in Markdown."""
    lines = [
        "# Settings",
        "",
        "Every setting is a flag of `keras-ganvae train` (`batch_size` is `--batch-size`), a key of"
        " `--config FILE.toml` and of `--set KEY=VALUE`, a field of `TrainConfig`, and a key of"
        " `config.json` in a run folder. `--dry-run` shows all of a run.",
        "",
    ]
    remarks = _remarks_on_fields()
    for group, title in GROUPS.items():
        lines += [
            f"## {title}",
            "",
            "| setting | meaning | values | default |",
            "|---|---|---|---|",
        ]
        for field in dataclasses.fields(TrainConfig):
            if field.metadata["group"] == group:
                lines.append(_row(field, remarks.get(field.name)))
        lines.append("")
    return "\n".join([*lines, *_presets(), *_reasons()])


def _row(field: dataclasses.Field, remark: str | None) -> str:
    meaning = _cell(field.metadata["help"])
    if remark:
        meaning += f". {_cell(remark).removesuffix('.')}"
    default = "of the preset" if _is_preset(field.name) else _value(field.default)
    return f"| `{field.name}` | {meaning} | {_values(field)} | {default} |"


def _cell(text: str) -> str:
    """Text for a cell of a table: a bar would end it."""
    return text.replace("|", "\\|")


def _values(field: dataclasses.Field) -> str:
    """What a setting takes, in words."""
    limits, kind = field.metadata, scalar_type(field)
    choices = architectures.names() if field.name == "arch" else limits["choices"]
    words = [f"`{each}`" for each in choices or ()]
    if words and kind is str:
        return ", ".join(words)
    bounds = [
        f"{text} {limits[name]:g}"
        for name, text in (("least", "at least"), ("above", "above"), ("most", "at most"))
        if limits[name] is not None
    ]
    return ", or ".join([*words, " ".join([TYPES[kind], ", ".join(bounds)]).strip()])


def _is_preset(name: str) -> bool:
    return any(
        name in preset
        for arch in architectures.names()
        for preset in architectures.load(arch).PRESETS.values()
    )


def _value(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _presets() -> Iterator[str]:
    """A table for each preset: settings by architecture."""
    names = architectures.names()
    for preset in PRESETS:
        values = {arch: architectures.load(arch).PRESETS[preset] for arch in names}
        yield from (f"## Preset {preset}", "")
        yield from ("| setting | " + " | ".join(names) + " |", "|---|" + "---|" * len(names))
        for field in dataclasses.fields(TrainConfig):
            if any(field.name in each for each in values.values()):
                cells = [_value(values[arch].get(field.name)) for arch in names]
                yield f"| `{field.name}` | " + " | ".join(cells) + " |"
        yield ""


def _reasons() -> Iterator[str]:
    """Why the default presets have their values: the comments above them."""
    yield from (
        "## Reasons",
        "",
        "Why the default presets differ from the paper's. `dcgan` starts from the values of `gan`,"
        " `cvae` from those of `vae`.",
        "",
    )
    for arch in architectures.names():
        yield from (f"### {arch}", "")
        for names, reason in _comments_of_preset(inspect.getsource(architectures.load(arch))):
            yield f"- {', '.join(f'`{name}`' for name in names)}: {reason}"
        yield ""


def _comments_of_preset(source: str) -> list[tuple[list[str], str]]:
    """(settings, comment) pairs of the dictionary DEFAULT.

    A comment is about the setting below it and those after, up to the next comment.
    """
    lines, found = source.splitlines(), []
    for key in _keys_of_default(source):
        comment = _comment_above(lines, key.lineno)
        if comment:
            found.append(([key.value], comment))
        elif found:
            found[-1][0].append(key.value)
    return found


def _keys_of_default(source: str) -> list[ast.Constant]:
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "DEFAULT":
            assert isinstance(node.value, ast.BinOp) and isinstance(node.value.right, ast.Dict)
            return [key for key in node.value.right.keys if isinstance(key, ast.Constant)]
    raise LookupError("an architecture without the dictionary DEFAULT")


def _remarks_on_fields() -> dict[str, str]:
    """The comments above fields of `TrainConfig`, by the field's name."""
    source = inspect.getsource(config)
    lines = source.splitlines()
    (body,) = (
        node.body
        for node in ast.parse(source).body
        if isinstance(node, ast.ClassDef) and node.name == TrainConfig.__name__
    )
    comments = {
        node.target.id: _comment_above(lines, node.lineno)
        for node in body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    return {name: comment for name, comment in comments.items() if comment}


def _comment_above(lines: list[str], number: int) -> str:
    """The comment that ends just above a line, counted from 1; empty if there is none."""
    comment: list[str] = []
    for line in reversed(lines[: number - 1]):
        if not line.strip().startswith("#"):
            break
        comment.insert(0, line.strip().removeprefix("#").strip())
    return " ".join(comment)
