"""What Hypothesis is held to in unit tests."""

from hypothesis import settings

settings.register_profile("unhurried", deadline=None)  # a busy machine is not a finding
settings.load_profile("unhurried")
