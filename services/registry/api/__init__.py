"""The HTTP contract (5-http.md): commands in, read models and the log out."""
