# The image whose clock can be set: with LD_PRELOAD=/usr/lib/faketime.so and FAKETIME=+1h.
ARG BASE
FROM ${BASE}
USER 0
RUN apt-get -qq update \
    && DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends libfaketime \
    && ln -s /usr/lib/*/faketime/libfaketimeMT.so.1 /usr/lib/faketime.so
USER 65532:65532
