"""`vaultctl completion`, and what the shell is told when a person presses the tab key."""

from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem, get_completion_class

from vaultd_client.cli.failure import Failure
from vaultd_client.cli.session import Command, Session
from vaultd_client.client import VaultClient
from vaultd_client.errors import VaultClientError

VARIABLE = "_VAULTCTL_COMPLETE"
FILES = {
    "bash": "~/.local/share/bash-completion/completions/vaultctl",
    "zsh": "a directory of your $fpath, as _vaultctl",
    "fish": "~/.config/fish/completions/vaultctl.fish",
}
ANSWER_SECONDS = 1.0
"""A person who pressed the tab key does not wait longer."""


class _Named(click.ParamType):  # type: ignore[type-arg]  # not generic before click 8.4
    """Text that the vault's open lists complete."""

    def __init__(self, name: str, names: Callable[[VaultClient], Iterable[str]]) -> None:
        self.name = name
        self._names = names

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Returns the names that begin so. Without a vault there is nothing to offer, and nowhere to say why."""
        del param
        socket = ctx.find_root().params.get("socket")
        try:
            with VaultClient(socket, timeout=ANSWER_SECONDS) as client:
                return [CompletionItem(each) for each in self._names(client) if each.startswith(incomplete)]
        except VaultClientError:
            return []


EXCHANGE = _Named("exchange", lambda client: [each.name for each in client.list()])
KIND = _Named("kind", lambda client: [each.kind for each in client.kinds()])


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(sorted(FILES)))
@click.pass_context
def completion(ctx: click.Context, *, shell: str) -> None:
    """Print the script that completes commands and names.

    \b
      vaultctl completion bash > ~/.local/share/bash-completion/completions/vaultctl
      vaultctl completion zsh  > _vaultctl      in a directory of your $fpath
      vaultctl completion fish > ~/.config/fish/completions/vaultctl.fish
    """  # noqa: D301 - the backspace is click's
    root = ctx.find_root()
    made = get_completion_class(shell)
    if made is None:
        raise Failure(f"no completion for {shell}", "vaultctl completion --help")
    script = made(root.command, {}, root.info_name or "vaultctl", VARIABLE).source()
    terminal = ctx.ensure_object(Session).terminal
    if terminal.results_are_seen:
        terminal.note(f"Write this to {FILES[shell]}:")
    terminal.result({"shell": shell, "script": script}, *script.splitlines())
