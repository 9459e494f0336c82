"""Speed and scale, side by side with a bare gRPC echo and with what a user would pick instead."""
