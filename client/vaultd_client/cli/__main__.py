"""Runs `vaultctl` as `python -m vaultd_client.cli`."""

from vaultd_client.cli.main import main

if __name__ == "__main__":
    main()
