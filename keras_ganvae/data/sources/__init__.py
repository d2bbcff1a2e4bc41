"""Where images come from: folders, npz files, TFDS, and synthetic digits."""
