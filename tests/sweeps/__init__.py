"""Proof by numbers. Each sweep has a quick form that always runs and a full form behind `pytest -m full`."""
