"""Training: a whole run is in `train.py`."""
