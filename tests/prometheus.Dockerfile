# Debian's Prometheus in the place of the official image, where no image registry is reached.
ARG BASE_IMAGE=python:3.13-slim-trixie
FROM ${BASE_IMAGE}
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends prometheus >/dev/null \
    && install -d -o 65534 /prometheus
USER 65534
