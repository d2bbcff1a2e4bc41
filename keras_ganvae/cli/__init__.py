"""The command line: one module for each group of commands, and the only place with flags.

A command's module has `add(commands)`, which registers its options, and functions that
make one call and print its result. They import TensorFlow only after checking the options.
"""
