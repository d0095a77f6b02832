"""The Merkle tree and what is published of it, as pure functions: bytes in, bytes out."""


class VerificationError(Exception):
    """What was handed in does not show what it is said to show, or is not in form.

    Everything here that reads what comes from outside raises this (a subclass of it) and nothing else, whatever the
    bytes are.
    """
