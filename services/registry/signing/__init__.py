"""Signing the log: the keys, what was signed last, and when a checkpoint is and is not signed."""
