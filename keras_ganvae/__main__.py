"""`python -m keras_ganvae` is `keras-ganvae`."""

import sys

from keras_ganvae.cli import main

sys.exit(main())
