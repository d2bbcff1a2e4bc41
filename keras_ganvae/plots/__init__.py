"""Pictures: sample grids, curves, GIFs, and walks through the latent space of a run."""
