import click
from vaultd_client.cli.session import Command
@click.command(cls=Command)
def quickstart() -> None:
    """x"""
