"""Examples that run: each file by itself, `demo` all of them together."""
