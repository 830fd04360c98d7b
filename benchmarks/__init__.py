"""How fast zopio-trigger is, measured beside a loop without its features and beside the bare disk.

`python -m benchmarks --help`; docs/benchmarks.md says how to read what it prints.
"""
