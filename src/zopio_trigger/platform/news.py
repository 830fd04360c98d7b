"""What followers of a platform hear after each commit: see `Platform.follow`."""

from __future__ import annotations

from zopio_trigger.engine.effects import Changed, Logged, News

__all__ = ["Changed", "Logged", "News"]
