"""Figures as people read them."""

from __future__ import annotations

import time


def size_text(size_bytes: float) -> str:
    """``340 MB``, ``1.2 GB``: as disks are sold, in powers of ten."""
    if size_bytes >= 1e9:
        return f"{size_bytes / 1e9:.1f} GB"
    return f"{size_bytes / 1e6:.0f} MB" if size_bytes >= 1e7 else f"{size_bytes / 1e6:.1f} MB"


def time_text(seconds: float) -> str:
    """``2:05``, or with hours ``1:02:05``."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


def date_text(since_1970_s: float) -> str:
    """The day and time on this machine's clock: ``2026-03-31 18:05``."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(since_1970_s))
