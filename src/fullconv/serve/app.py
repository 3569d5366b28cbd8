"""The addresses of the service.

========================================  ===============================================================================
``POST /v1/segment``                      an image in, its labels out
``GET /v1/models``                        what is served
``GET /v1/geometry``                      stride, receptive field and offset of every layer of a model that is served
``GET /v1/geometry/{backbone}``           the same of a net that is built for it, without weights
``GET /healthz`` ``/readyz``              whether the process lives; whether it takes images
``GET /metrics``                          for Prometheus
``GET /docs`` ``/openapi.json``           this, for people and for programs
``GET /`` ``/page/{file}``                the page
========================================  ===============================================================================
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import FileResponse, HTMLResponse, JSONResponse

from fullconv.errors import SpecError
from fullconv.serve import schema
from fullconv.serve.answers import Format, Polygons
from fullconv.serve.body import receive
from fullconv.serve.docs_page import STYLE_HASH, docs_page
from fullconv.serve.geometry import build_net, depends_on, describe_net
from fullconv.serve.middleware import Guard
from fullconv.serve.problem import Problem
from fullconv.serve.security import POLICY
from fullconv.serve.service import Service, Wanted

PAGE = Path(__file__).parent / "page"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
}


class SegmentQuery(BaseModel):
    """What may stand behind the question mark; anything else is refused, so that a slip of the pen is seen."""

    model_config = ConfigDict(extra="forbid")
    model: str | None = Field(None, description="name of the model; the first that is served by default", max_length=64)
    head: str | None = Field(None, description="which of the model's outputs; the first by default", max_length=64)
    format: Format = Field("png", description="of the answer")
    polygons: Polygons | None = Field(None, description="also give outlines in this layout; with format=json")
    refine: bool = Field(False, description="sharpen outlines by a fully connected CRF, which takes seconds")


class EntryQuery(BaseModel):
    """An entry of a layer's map, of which to say what it depends on; all five together, or none."""

    model_config = ConfigDict(extra="forbid")
    layer: int | None = Field(None, ge=0, le=100_000, description="its place in layers")
    row: int | None = Field(None, ge=0, le=100_000)
    column: int | None = Field(None, ge=0, le=100_000)
    height: int | None = Field(None, ge=1, le=65_535, description="of the image in pixels")
    width: int | None = Field(None, ge=1, le=65_535, description="of the image in pixels")


class ModelQuery(EntryQuery):
    """A model that is served, and an entry."""

    model: str | None = Field(None, max_length=64)


class NetQuery(EntryQuery):
    """How a net is built, and an entry."""

    stride: int = Field(8, description="32, 16, 8 or 4")
    padding: str | None = Field(
        None, pattern="^(same|paper)$", description="same, or paper (the first convolution by 100 pixels)"
    )


def create_app(service: Service, page: Path = PAGE) -> FastAPI:
    """Return the ASGI application of a service, which it starts and stops.

    Parameters
    ----------
    service
        Not started yet.
    page
        The folder of what is shown to people: ``index.html`` and files beside it.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service.start()
        yield
        await asyncio.to_thread(service.stop)

    app = FastAPI(
        title="fullconv",
        version=metadata.version("fullconv"),
        description="An image in, the class of every pixel out.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        responses=schema.PROBLEMS,
    )
    app.add_middleware(Guard, service=service)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _refused)
    _add_images(app, service)
    _add_geometry(app, service)
    _add_state(app, service)
    _add_pages(app, page)
    return app


def _add_images(app: FastAPI, service: Service) -> None:
    @app.post("/v1/segment", response_class=Response, responses=schema.SEGMENTED, openapi_extra=schema.IMAGE, tags=["images"])
    async def segment(request: Request, query: Annotated[SegmentQuery, Query()]) -> Response:
        """Label every pixel of an image."""
        service.check_open()
        service.models.get(query.model)  # before the image comes
        service.check_room()
        with service.held.share() as share:
            with service.metrics.seconds.labels("receive").time():
                content = await receive(request, service.limits, share)
            with service.place():
                found = await _unless_gone(request, service.segment(content, Wanted(**dict(query))))
        headers = {"X-Fullconv-Model": found.model, "X-Fullconv-Seconds": f"{found.seconds:.4f}"}
        return Response(found.answer.content, 200, headers, found.answer.media_type)

    @app.get("/v1/models", responses={200: schema.MODELS}, response_class=JSONResponse, tags=["images"])
    async def models() -> Response:
        """Say what is served: classes, colours, preprocessing, scores."""
        service.check_open()
        default = service.models.default
        return JSONResponse([model.describe(model.name == default) for model in service.models.all()])


def _add_geometry(app: FastAPI, service: Service) -> None:
    @app.get("/v1/geometry", responses={200: schema.GEOMETRY}, response_class=JSONResponse, tags=["geometry"])
    async def of_model(query: Annotated[ModelQuery, Query()]) -> Response:
        """Say the geometry of a model that is served."""
        service.check_open()
        model = service.models.get(query.model)
        try:
            net = model.predictor.model
        except SpecError as error:
            raise Problem("not-found", "an exported file holds no net that could be looked into; serve its checkpoint") from error
        return JSONResponse(await service.in_thread(_described, net, f"{model.name}", query))

    @app.get("/v1/geometry/{backbone:path}", responses={200: schema.GEOMETRY}, response_class=JSONResponse, tags=["geometry"])
    async def of_backbone(backbone: str, query: Annotated[NetQuery, Query()]) -> Response:
        """Say the geometry of a net of a backbone, built without weights."""
        service.check_open()
        with service.place():
            net = await service.in_thread(build_net, backbone, query.stride, query.padding)
            return JSONResponse(await service.in_thread(_described, net, net.spec.name, query))


def _described(net: Any, name: str, query: EntryQuery) -> dict[str, Any]:
    found = describe_net(net, name)
    entry = query.layer, query.row, query.column, query.height, query.width
    layer, row, column, height, width = entry
    if layer is not None and row is not None and column is not None and height is not None and width is not None:
        return found | {"depends_on": depends_on(net, layer, (row, column), (height, width))}
    if any(value is not None for value in entry):
        raise Problem("bad-request", "give layer, row, column, height and width together, or none of them")
    return found


def _add_state(app: FastAPI, service: Service) -> None:
    @app.get("/healthz", responses={200: schema.STATE}, response_class=JSONResponse, tags=["state"])
    async def healthz() -> Response:
        """Say that the process lives."""
        return JSONResponse({"status": "alive"})

    @app.get("/readyz", responses={200: schema.STATE}, response_class=JSONResponse, tags=["state"])
    async def readyz() -> Response:
        """Say whether images are taken: 503 while the service starts or stops."""
        service.check_open()
        return JSONResponse({"status": "ready"})

    @app.get("/metrics", responses={200: schema.TEXT}, response_class=Response, tags=["state"])
    async def metrics() -> Response:
        """Give the numbers that Prometheus collects."""
        service.metrics.held.set(service.held.now)
        return Response(await service.in_thread(service.metrics.text), media_type=CONTENT_TYPE_LATEST)


def _add_pages(app: FastAPI, page: Path) -> None:
    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        policy = POLICY.replace("style-src 'self'", f"style-src 'self' {STYLE_HASH}")
        return HTMLResponse(docs_page(app.openapi()), headers={"content-security-policy": policy})

    @app.get("/", include_in_schema=False)
    async def index() -> Response:
        return _file(page, "index.html")

    @app.get("/page/{name}", include_in_schema=False)
    async def file(name: str) -> Response:
        return _file(page, name)


def _file(page: Path, name: str) -> Response:
    """Return a file of the page; only what lies in its folder, by its bare name, and is of a kind that a page is made of."""
    known = {path.name: path for path in page.iterdir() if path.is_file()} if page.is_dir() else {}
    path = known.get(name)
    if path is None or path.suffix not in TYPES:
        raise Problem("not-found", "the page has no such file")
    # browsers ask each time whether it is still the same, and get no second copy
    return FileResponse(path, media_type=TYPES[path.suffix], headers={"cache-control": "no-cache"})


async def _unless_gone(request: Request, asked: Any) -> Any:
    """Return what is asked; stop when the client goes away meanwhile, as nobody would hear the answer."""
    answer = asyncio.ensure_future(asked)
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait((answer, gone), return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            raise ClientDisconnect
        return answer.result()
    finally:
        for task in (answer, gone):
            task.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # as it is registered for
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:])
    if first["type"] == "extra_forbidden":
        raise Problem(
            "bad-request", f"{where} is no parameter of this address; /docs lists those that are, leave it out"
        ) from error
    raise Problem("bad-request", f"{where}: {first['msg']}" if where else str(first["msg"])) from error


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # as it is registered for
    if error.status_code == 405:
        raise Problem("method", "this address takes another method; see /docs") from error
    raise Problem("not-found", "there is no such address; see /docs") from error
