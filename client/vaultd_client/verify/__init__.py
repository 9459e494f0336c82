"""Asks an exchange whether a key pair works and what it may do, through ccxt, outside the daemon.

A check is one short-lived child process (`child`) that gets one credential over a pipe and answers in words of this
package's own tables. Threat: ccxt and what an exchange sends back are foreign, large and print what they like; answers
hold secrets (Deribit documents one with those of every key). Measures: nothing that the exchange or ccxt said crosses
the pipe, only words of `words` and `answers`; the child's output goes nowhere; a deadline ends it whatever it waits for;
its copies of the credential end with it; its environment is empty, so no variable sends the key to another host.
Limit: who can run code as this user needs none of that.

`asking` starts the child. `child` is what runs there: `connection` makes the ccxt object, `venues` knows which requests
tell what a key may do and reads their answers, `refusals` turns errors into words. `policy` says which keys are taken.
"""

from vaultd_client.verify.asking import Asked, Credential, ask, need_ccxt
from vaultd_client.verify.policy import Policy

__all__ = ["Asked", "Credential", "Policy", "ask", "need_ccxt"]
