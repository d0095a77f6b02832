"""What Hypothesis is held to in unit tests."""

from hypothesis import HealthCheck, settings

# A busy machine is not a finding.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")
