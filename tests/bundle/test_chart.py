"""The plot of a benchmark."""

import pytest
from matplotlib.figure import Figure
from PIL import Image

from keras_ganvae.bundle import chart

RESULT = {
    "bundle": "vae-mnist",
    "files": {
        name: {"bytes": size, "speed": [{"p50_ms": time}]}
        for name, size, time in (
            ("float32", 1_371_516, 0.0371),
            ("float16", 687_628, 0.0280),
            ("dynamic_int8", 383_000, 0.0104),
            ("int8", 382_192, 0.0103),
            ("sampler", 1_475_548, 0.0280),
        )
    },
}
QUALITY = {name: {"frechet": {"value": 8.73}} for name in (*RESULT["files"], "real images")}


@pytest.mark.parametrize("result", [RESULT, RESULT | {"quality": QUALITY}])
def test_labels_cover_neither_each_other_nor_points(tmp_path, monkeypatch, result):
    drawn = []
    save = Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda self, *a, **k: (drawn.append(self), save(self, *a, **k))
    )
    chart.write(tmp_path / "plot.png", result)
    axes = drawn[0].axes[0]
    boxes = [text.get_window_extent() for text in axes.texts]
    assert len(boxes) == len(result["files"])
    points = axes.transData.transform(
        [(each["bytes"] / 1000, each["speed"][0]["p50_ms"]) for each in result["files"].values()]
    )
    inside = axes.get_window_extent()
    for i, box in enumerate(boxes):
        assert not box.count_overlaps(boxes[:i])
        assert not any(box.contains(*point) for point in points)
        assert inside.y0 <= box.y0 and box.y1 <= inside.y1
    with Image.open(tmp_path / "plot.png") as image:
        assert image.size == (640, 440)
