"""The log as a Merkle tree, and how others check it: bytes in, bytes out, no I/O, no clock, no randomness."""
