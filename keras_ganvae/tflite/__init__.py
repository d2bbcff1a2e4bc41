"""TFLite: the table of signatures, conversion, reading, lint, and the interpreter."""
