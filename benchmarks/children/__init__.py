"""Programs the benchmarks start as processes of their own: to kill them, to weigh them, to talk to them.

Each takes what is asked of it as one JSON argument and answers with one line of JSON (`benchmarks/process.py`).
"""
