"""Speed and scale, side by side with a bare gRPC echo and with what a user would pick instead."""

import os

# gRPC's core writes each connection that ends to stderr, between the lines of the table.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
