"""Evidence packs: what the registry has of a cooperation, with all that it takes to check it without the registry."""
