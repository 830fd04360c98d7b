"""Durable background jobs and event-driven workflows for Python."""

__version__ = "0.1.0"
