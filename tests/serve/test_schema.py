"""What OpenAPI promises holds for requests that schemathesis makes up: no 5xx, and answers of the promised form."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from served import LIMITS, until
from starlette.types import Receive, Scope, Send

from fullconv.serve.app import create_app
from fullconv.serve.service import Service
from fullconv.serve.settings import Settings

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
FEW = settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def schema(checkpoint: Path) -> Iterator[object]:
    service = Service(Settings((("scenes", str(checkpoint)),), limits=LIMITS, threads=1))
    app = create_app(service)

    async def requests_alone(scope: Scope, receive: Receive, send: Send) -> None:
        """Schemathesis starts and ends the application many times, and a service starts once."""
        if scope["type"] == "lifespan":
            for word in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{word}.complete"})
        else:
            await app(scope, receive, send)

    service.start()
    until(lambda: service.is_ready)
    yield schemathesis.openapi.from_asgi("/openapi.json", requests_alone)
    service.stop()


def test_the_promise_holds(schema: schemathesis.BaseSchema) -> None:
    asked = []
    for found in schema.get_all_operations():
        operation = found.ok()

        @FEW
        @given(operation.as_strategy())
        def holds(case: schemathesis.Case) -> None:
            case.call_and_validate(checks=CHECKS)

        holds()
        asked.append(operation.path)
    assert {"/v1/segment", "/v1/models", "/v1/geometry", "/metrics"} <= set(asked)
