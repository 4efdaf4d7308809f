"""What is written to logs and shown in errors, without the secrets in it. Standard library only."""

from __future__ import annotations

import re

# Compiled when they are first used: the add-on loads this with Blender, and writes a log only when it sets up.
_SECRETS = (
    (r"(?i)([a-z][a-z0-9+.-]*://)[^/\s@]+@", r"\1***@"),
    (r"(?<![\w/])[^\s/:@'\"]+:[^\s/:@'\"]+@(?=[\w.-]+:\d)", "***@"),  # a proxy may go without its scheme
    (r"(?i)(authorization['\"]?\s*[:=]\s*['\"]?)(?:(?:bearer|basic|token)\s+)?[^\s'\",]+", r"\1***"),
    (r"(?i)\b(bearer\s+)[\w.~+/=-]{8,}", r"\1***"),
    (r"\bhf_[A-Za-z0-9]{6,}", "hf_***"),
    (r"(?i)([?&](?:access_token|token|api_key|key|password|signature|x-amz-\w+)=)[^&\s'\"]+", r"\1***"),
)


def redacted(text: str) -> str:
    """``text`` without passwords in addresses, authorization headers and access tokens."""
    for pattern, replacement in _SECRETS:
        text = re.sub(pattern, replacement, text)
    return text
