"""The process that holds keys, and its boundary. protocol, process and stub are the server's side of it."""
