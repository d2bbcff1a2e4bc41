# With an NVIDIA GPU (the host needs its driver and the NVIDIA container toolkit, not CUDA):
#   docker build -t keras-ganvae .
#   docker run --rm --gpus all -v ganvae-runs:/app/runs -v ganvae-data:/data \
#       keras-ganvae train --arch cvae
# Without one:
#   docker build -t keras-ganvae --build-arg EXTRAS= .
# TensorBoard on http://localhost:6006:
#   docker run --rm -p 6006:6006 -v ganvae-runs:/app/runs --entrypoint tensorboard \
#       keras-ganvae --logdir runs --bind_all

# The gpu extra brings CUDA and cuDNN as wheels, the ones that this TensorFlow was built with, so
# a plain Python serves both builds. The tensorflow/tensorflow images were no choice: their Python
# is a release candidate, 3.11.0rc1 (tensorflow/tensorflow#82529). 3.11 is what the tests run on.
ARG BASE=python:3.11-slim-bookworm
FROM ${BASE}

ARG EXTRAS=gpu
ENV PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore \
    PYTHONUNBUFFERED=1 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility

# The dependencies first, around an empty package: this large layer stays when only code changes.
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
RUN mkdir keras_ganvae \
    && touch keras_ganvae/__init__.py \
    && pip install --constraint constraints.txt ".${EXTRAS:+[$EXTRAS]}"
COPY keras_ganvae keras_ganvae
RUN pip install --no-deps --force-reinstall .

# Volumes take their owner from these folders.
RUN useradd --create-home ganvae \
    && mkdir -p /app/runs /data \
    && chown -R ganvae:ganvae /app /data
USER ganvae
WORKDIR /app
ENV TFDS_DATA_DIR=/data \
    MPLCONFIGDIR=/tmp/matplotlib
VOLUME ["/app/runs", "/data"]
EXPOSE 6006
ENTRYPOINT ["keras-ganvae"]
CMD ["--help"]
