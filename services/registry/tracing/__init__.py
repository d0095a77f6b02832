"""Traces from a request to its commit and to the read models, for OpenTelemetry (ADR 0026). Off unless configured.

`standard` knows the variables that OpenTelemetry shares between programs, `spans` is what the service marks its work
with, `switch` is where tracing begins. These three import nothing of OpenTelemetry; the others are imported by `switch`
where the settings name a collector: `exporting`, `serving` (requests), `recording` (commits), `following` (projector).
"""
