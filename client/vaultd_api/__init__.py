"""Generated protobuf messages of package vaultd.v1 (proto/generate.py)."""
