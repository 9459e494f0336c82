"""Ciphertext at rest: rows, not keys."""
