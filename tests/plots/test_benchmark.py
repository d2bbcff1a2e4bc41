"""The plot of a benchmark."""

import pytest
from PIL import Image

from keras_ganvae.plots import benchmark

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
RESULTS = pytest.mark.parametrize("result", [RESULT, RESULT | {"quality": QUALITY}])


@RESULTS
def test_labels_overlap_neither_each_other_nor_points(result):
    figure = benchmark.figure(result)
    figure.draw_without_rendering()
    axes = figure.axes[0]
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


@RESULTS
def test_the_file_is_a_png(tmp_path, result):
    benchmark.write(tmp_path / "plot.png", result)
    with Image.open(tmp_path / "plot.png") as image:
        assert (image.format, image.size) == ("PNG", (640, 440))
