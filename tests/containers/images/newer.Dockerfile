# The image as a later version would be: one more migration, and one read model that says more.
ARG BASE
FROM ${BASE}
USER 0
COPY newer.py /newer.py
RUN cd /opt/registry/lib/python3*/site-packages && python3 /newer.py . && python3 -m compileall -q projections
USER 65532:65532
