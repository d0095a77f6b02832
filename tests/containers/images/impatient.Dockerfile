# A base on which whoever fetches packages asks once, over TLS, and keeps nothing of them.
ARG BASE
FROM ${BASE}
ARG TRIAL
ENV PIP_RETRIES=0 UV_HTTP_RETRIES=0 UV_NO_CACHE=1 TRIAL=${TRIAL}
RUN find /etc/apt/sources.list /etc/apt/sources.list.d -type f -exec sed -i 's,http://,https://,' {} + \
    && echo 'Acquire::Retries "0";' > /etc/apt/apt.conf.d/99once
