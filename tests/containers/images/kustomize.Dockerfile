# kustomize of Debian's.
ARG BASE
FROM ${BASE}
RUN apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends kustomize
ENTRYPOINT ["kustomize"]
