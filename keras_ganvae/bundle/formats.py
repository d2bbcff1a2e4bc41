"""From a trained run to what an app needs: SavedModel, TFLite files, golden numbers."""

# The file of each variant, and what else a bundle holds.
VARIANTS = {
    "float32": "model.tflite",
    "float16": "model_float16.tflite",
    "dynamic_int8": "model_dynamic_int8.tflite",
    "int8": "model_int8.tflite",
}
SAMPLER = "sampler.tflite"
SAVED_MODEL = "saved_model"
GOLDEN = "golden.npz"
