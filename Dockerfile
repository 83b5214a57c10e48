# The commands in a container:
#   docker build -t atmnet .                                             PyTorch's CPU build
#   docker build -t atmnet:cuda --build-arg TORCH_BACKEND=cu132 .        for NVIDIA GPUs: docker run --gpus all ...
#   docker run --rm --shm-size 2g -v "$PWD:/work" atmnet train --config digits --output runs/demo
# EXTRAS chooses the optional parts, as in pip install '.[demo,dense]'.

FROM python:3.13-slim AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN pip install --no-cache-dir build==1.6.1 && python -m build --wheel --outdir /wheels

FROM python:3.13-slim
ARG TORCH_BACKEND=cpu
ARG EXTRAS=compare,demo,dense,export
COPY --from=build /wheels /wheels
COPY constraints.txt /wheels/
# uv finds the build of PyTorch for a backend; pip cannot.
RUN pip install --no-cache-dir uv==0.13.8 \
    && wheel="$(find /wheels -name '*.whl')" \
    && uv pip install --system --no-cache --torch-backend "${TORCH_BACKEND}" --constraint /wheels/constraints.txt \
        "atmnet[${EXTRAS}] @ file://${wheel}" \
    && rm -rf /wheels \
    && useradd --create-home --uid 1000 user \
    && mkdir /work \
    && chown user /work
USER 1000
WORKDIR /work
ENTRYPOINT ["atmnet"]
CMD ["--help"]
