"""The daemon: server, keyholder, store. Nothing is imported here: the keyholder runs this before it is hardened."""
