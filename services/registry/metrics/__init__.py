"""What the registry measures of itself, for Prometheus (ADR 0023). Nothing personal, and no label without bounds.

`catalogue` names every metric, `requests` counts what is served, `figures` asks the database, `exposition` writes the
page, `listener` serves it where there is no API.
"""
