"""The process that talks: sockets, peers, gRPC. Knows no key, passphrase or plaintext."""
