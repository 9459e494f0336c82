"""Feeding the bots that people run: one module a bot, and `names.py` with the words that each of them uses."""
