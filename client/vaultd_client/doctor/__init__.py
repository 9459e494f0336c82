"""Looks a host and its vault over: each check is one small function of `checks.py`'s table, and says the fix.

It runs without the daemon as far as it can, as any user, and changes nothing. What the caller may not see is skipped
in words: an unprivileged look must never read like a clean one.
"""
