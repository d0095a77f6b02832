"""The log as files: written for any web server, object store or CDN, and read back into an empty database."""
