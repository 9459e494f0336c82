"""The standard health service (grpc.health.v1), over what one value says.

grpc_health's own holds a lock while it writes to a watcher: one that does not read would stop every later report.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthServicer


class Health(HealthServicer):  # type: ignore[misc]  # the generated base is untyped
    """Says of each service whether it is served; `report` replaces all that is said."""

    def __init__(self) -> None:
        self._serving: Mapping[str, bool] = {}
        self._changed = asyncio.Event()

    def report(self, serving: Mapping[str, bool]) -> None:
        """Takes service name to whether it is served, and tells the watchers."""
        self._serving = dict(serving)
        self._changed.set()
        self._changed = asyncio.Event()

    async def Check(self, request: HealthCheckRequest, context: Any) -> HealthCheckResponse:  # noqa: N802  gRPC's name
        """Answers once; NOT_FOUND for a service that does not exist."""
        if request.service not in self._serving:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such service")
        return self._answer(request.service)

    async def Watch(self, request: HealthCheckRequest, context: Any) -> None:  # noqa: N802  gRPC's name
        """Answers at once and after every change."""
        last = None
        while True:
            changed = self._changed
            answer = self._answer(request.service)
            if answer != last:
                await context.write(answer)
                last = answer
            await changed.wait()

    def _answer(self, service: str) -> HealthCheckResponse:
        served = self._serving.get(service)
        unknown, up, down = (
            HealthCheckResponse.SERVICE_UNKNOWN,
            HealthCheckResponse.SERVING,
            HealthCheckResponse.NOT_SERVING,
        )
        return HealthCheckResponse(status=unknown if served is None else up if served else down)
