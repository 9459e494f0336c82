"""`vaultctl wait-unlocked`: for what must not start before the vault is open."""

import time

import click

from vaultd_client.cli.session import Command, Session
from vaultd_client.errors import NotRunningError, TimedOutError, UninitializedError

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 0.5
"""Seconds between two looks: soon after a boot, seldom through a night."""


@click.command("wait-unlocked", cls=Command)
@click.option("--timeout", type=click.FloatRange(min=0), help="Give up after so many seconds; otherwise never.")
@click.pass_obj
def wait_unlocked(session: Session, *, timeout: float | None) -> None:
    """Wait until the vault is unlocked, and until vaultd runs.

    Ends with 0 where it is unlocked, 13 where the time is over, 5 where there is no vault to be unlocked. For a unit:
    After= and Requires=vaultd-unlocked.target.
    """
    began, pause = time.monotonic(), _FIRST_PAUSE
    with session.client() as client, session.terminal.working("Waiting for an unlock"):
        while True:
            try:
                state = client.vault().state
            except (NotRunningError, TimedOutError):
                state = "NOT RUNNING"
            waited = time.monotonic() - began
            if state == "UNLOCKED":
                break
            if state == "UNINITIALIZED":
                raise UninitializedError("the vault was never initialized")
            if timeout is not None and waited >= timeout:
                raise TimedOutError(f"vaultd is {state.lower()} after {timeout:g} s", hint="vaultctl status; vaultctl unlock")
            time.sleep(pause if timeout is None else min(pause, timeout - waited))
            pause = min(2 * pause, _LONGEST_PAUSE)
    session.terminal.result({"state": state, "waited": round(waited, 3)}, "The vault is unlocked.")
