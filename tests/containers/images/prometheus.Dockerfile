# Prometheus of Debian's, started as the official image is: the compose file runs it as it is.
ARG BASE
FROM ${BASE}
USER 0
RUN apt-get -qq update \
    && DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends prometheus \
    && install -d -o 65534 -g 65534 /prometheus
USER 65534
VOLUME /prometheus
WORKDIR /prometheus
ENTRYPOINT ["/usr/bin/prometheus"]
CMD ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]
