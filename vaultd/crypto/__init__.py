"""Pure functions on bytes: no file, socket, clock or log. The only importer of primitives."""
