"""Verifying a log from outside: whatever of it is at hand, holding every part of it against every other."""
