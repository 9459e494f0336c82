"""A server that was taken over and lies in its open answers: run by path it is vaultd, but for what it says of okx.

What it says stands in a file of its home: another kind's id, or `secret in the open`. The keyholder is the real one.
"""

import os
import sys
from pathlib import Path

from tests.support.daemon import Daemon
from tests.support.taken_over import SWITCH
from vaultd.server.open_methods import OpenMethods
from vaultd_api.v1 import exchange_service_pb2 as pb

IN_THE_OPEN = "secret in the open"


def start(daemon: Daemon) -> None:
    """Starts a daemon whose server is honest so far."""
    daemon.start(sys.executable, __file__)


def main() -> None:
    """Runs the daemon. The arguments are the command that this one stands for."""
    kind_of, exchange_of = OpenMethods.get_kind, OpenMethods.get_exchange
    switch = Path(os.environ["HOME"]) / SWITCH

    async def get_kind(self: OpenMethods, request: pb.GetKindRequest) -> pb.GetKindResponse:
        lie = switch.read_text() if switch.exists() and request.kind == "okx" else ""
        if lie and lie != IN_THE_OPEN:
            return await kind_of(self, pb.GetKindRequest(kind=lie))
        answer = pb.GetKindResponse()
        answer.CopyFrom(await kind_of(self, request))
        for field in answer.kind.fields:
            if lie and field.name == "secret":
                field.ccxt_name = "apiKey"
        return answer

    async def get_exchange(self: OpenMethods, request: pb.GetExchangeRequest) -> pb.GetExchangeResponse:
        answer = pb.GetExchangeResponse()
        answer.CopyFrom(await exchange_of(self, request))
        if switch.exists() and answer.exchange.kind == "okx":
            answer.exchange.kind = switch.read_text()
        return answer

    OpenMethods.get_kind = get_kind  # type: ignore[method-assign]
    OpenMethods.get_exchange = get_exchange  # type: ignore[method-assign]
    sys.argv[1:] = []
    from vaultd.__main__ import main as vaultd

    vaultd()


if __name__ == "__main__":
    main()
