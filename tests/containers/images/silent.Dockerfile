# A registry whose API does not start: it is told to listen where nobody can.
ARG BASE
FROM ${BASE}
ENV REGISTRY_HOST=256.0.0.1
