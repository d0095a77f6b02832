"""Whether an installation is set up as it has to be, and what to do where it is not. Nothing is changed by looking."""
