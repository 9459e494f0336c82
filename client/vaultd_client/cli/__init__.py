"""The `vaultctl` command: a tree of commands over `vaultd_client`, and nothing that a program could not do itself."""
