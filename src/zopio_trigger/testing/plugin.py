"""The pytest fixtures of zopio-trigger (loaded by pytest through its entry point)."""
