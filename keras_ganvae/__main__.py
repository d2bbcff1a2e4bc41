"""`python -m keras_ganvae` runs `keras-ganvae`."""

import sys

from keras_ganvae.cli.main import main

sys.exit(main())
