"""A witness of other logs (C2SP tlog-witness): it cosigns a log's checkpoint once it has seen that it extends the last.

It knows nothing of the registry: no database but its own file, no entries, only sizes and roots.
"""
