"""Event stores that a user might pick instead: installed from their registries, and driven by their own clients."""
