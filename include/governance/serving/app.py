"""The scoring service: ``uvicorn governance.serving.app:app``.

Speaks MLflow's scoring protocol, so that clients of ``mlflow models serve`` need no change, and answers with the
version and the evidence that each prediction rests on. Which version that is, and why none may serve, is
:mod:`governance.serving.champions`'s to say.

Requests are validated against the contract that was signed with the model. Values of a request are told to the one
who sent it and to nobody else: no log line holds any. What was asked and answered is kept in the prediction log
(:mod:`governance.predictions`), which an answer never waits for; labels come in here, too.

Labels change what the monitor decides, so each sender proves who it is (:mod:`governance.predictions.senders`).

Not guaranteed: for questions there is no login here. Who may ask is the network's to say; nothing that is asked changes
what serves. Protected values beside a question are the caller's word.
"""

import json
import logging
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from anyio import to_thread
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

from governance.errors import GovernanceError, InputError, UnavailableError
from governance.ledger.log import Ledger
from governance.predictions import labels as label_rules
from governance.predictions.log import PredictionLog
from governance.predictions.record import Batch, Refusal, caller_of, request_id_of
from governance.predictions.senders import Sender, find_sender, read_senders
from governance.release.inputs import Row, sentence
from governance.release.registry import CHAMPION
from governance.serving import docs, protocol
from governance.serving.champions import Champions, Clock, Serving, now_utc
from governance.serving.live import Asked, Live
from governance.serving.metrics import Metrics, label
from governance.serving.record import Record
from governance.serving.scorer import Scores
from governance.serving.stops import Stops
from governance.settings import Settings, load_settings

Json = dict[str, Any]

log = logging.getLogger("governance.serving")

LARGEST_BODY = 8 * 1024 * 1024
"""Bytes of a request; more is refused unread."""

BODY_AT_ONCE = 64 * 1024
"""Bytes of a request that are read in place; a larger one must not keep the others waiting."""

ROWS_AT_ONCE = 64
"""Up to so many rows are predicted in place: handing them to a thread costs more than it saves."""

MOST_LABELS = label_rules.AT_ONCE
"""Labels in one request: they are written in one transaction."""

REQUEST_ID, CALLER = "X-Request-Id", "X-Caller"


class RefusalError(Exception):
    """A request that is answered with an error: status, MLflow's error code, and a message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


class ContentError(RefusalError):
    """A request that is refused for what it says: the kind of fault, the feature, and how many rows it had."""

    def __init__(self, status: int, code: str, message: str, about: tuple[str, str, int]) -> None:
        super().__init__(status, code, message)
        self.about = about


def create_app(settings: Settings | None = None, clock: Clock = now_utc, alias: str = CHAMPION) -> FastAPI:
    """Return the service.

    Args:
        settings: Where things are; read from the environment, at start, by default.
        clock: What time it is, for the permits.
        alias: The alias in MLflow that is followed; another one for a shadow.
    """
    app = FastAPI(title="Scoring service", lifespan=_lifespan, docs_url=None, redoc_url=None)
    app.state.settings, app.state.clock, app.state.alias = settings, clock, alias
    app.state.metrics = Metrics()
    app.exception_handler(RefusalError)(_refused)
    app.post("/invocations", openapi_extra=docs.REQUEST, summary="Score rows with the only model")(invoke_only)
    app.post("/models/{model}/invocations", openapi_extra=docs.REQUEST, summary="Score rows")(invoke)
    app.post("/models/{model}/refresh", status_code=202, summary="Look at the champion now")(refresh)
    app.post("/labels", openapi_extra=docs.LABELS, summary="Say what came true")(labels)
    app.get("/models", summary="Every model that is followed")(models)
    app.get("/models/{model}", summary="What serves, and why not")(model_state)
    app.get("/health", summary="Whether the process is up")(health)
    app.get("/ready", summary="Whether every champion serves")(ready)
    app.get("/metrics", summary="Prometheus metrics", response_class=PlainTextResponse)(metrics)
    app.get("/docs", include_in_schema=False)(documentation)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings = app.state.settings or load_settings()
    app.state.label_tokens = settings.label_tokens
    ledger = Ledger(settings.ledger_url) if settings.ledger_url else None
    followed = (Record(ledger), app.state.clock, Stops(ledger), app.state.alias)
    champions = app.state.champions = Champions(settings, *followed)
    predictions = app.state.predictions = None
    if ledger is not None:
        predictions = app.state.predictions = PredictionLog(settings.state, settings.require("ledger_url"), ledger)
        predictions.start()
    live = app.state.live = Live(ledger, app.state.clock) if ledger is not None else None
    if live is not None:
        live.start()
    champions.start()
    try:
        yield
    finally:
        await to_thread.run_sync(champions.stop)
        if live is not None:
            await to_thread.run_sync(live.stop)
        if predictions is not None:
            await to_thread.run_sync(predictions.stop)
        if ledger is not None:
            ledger.close()


async def invoke_only(request: Request) -> Response:
    """Score rows with the only model that there is."""
    known = [
        name for name, state in _champions(request).states.items() if state.serving or state.champion or state.stopped
    ]
    if len(known) != 1:
        raise RefusalError(
            404 if known else 503,
            "RESOURCE_DOES_NOT_EXIST",
            f"Expected one model at /invocations, found {len(known)}: {', '.join(sorted(known)) or _problem(request)}. "
            f"Use /models/<name>/invocations.",
        )
    return await invoke(known[0], request)


async def invoke(model: str, request: Request) -> Response:
    """Score rows with a model."""
    began = time.perf_counter()
    status, rows = 500, 0
    request.state.request_id = request_id_of(request.headers.get(REQUEST_ID))
    counted = model if model in _champions(request).states else "unknown"
    try:
        serving = _serving(request, model)
        body = await _body(request)
        asked = await _read(request, serving, body)
        rows = len(asked.rows)
        answer = await _answer(serving, asked.rows)
        _keep(request, serving, asked, answer)
        status = 200
        return Response(answer.body, headers=_headers(request, serving), media_type="application/json")
    except RefusalError as refusal:
        status = refusal.status
        raise
    finally:
        request.app.state.metrics.count(counted, status, rows, time.perf_counter() - began)


async def labels(request: Request) -> Json:
    """Take what came true from who may say so, checked against the signed spec."""
    sender = _sender(request)
    document = _label_request(await _body(request))
    if not sender.may_send(document["model"]):
        allowed = ", ".join(sorted(sender.models or ()))
        raise RefusalError(403, "PERMISSION_DENIED", f"{sender.name} may send labels of {allowed} only.")
    predictions: PredictionLog | None = request.app.state.predictions
    serving = _followed(request, document["model"])
    if predictions is None:
        raise RefusalError(503, "TEMPORARILY_UNAVAILABLE", "No prediction log here: GOVERNANCE_LEDGER_URL is not set.")
    try:
        items = label_rules.check(document["labels"], serving.expected)
        source = f"http:{sender.name}"
        told = await to_thread.run_sync(label_rules.write, predictions.database, serving.name, source, items)
    except InputError as error:
        raise RefusalError(422, "INVALID_PARAMETER_VALUE", str(error)) from error
    except UnavailableError as error:
        raise RefusalError(503, "TEMPORARILY_UNAVAILABLE", f"{error} Send these labels again later.") from error
    except GovernanceError as error:
        raise RefusalError(500, "INTERNAL_ERROR", str(error)) from error
    return {"model": serving.name, **told.to_dict()}


async def refresh(model: str, request: Request) -> Json:
    """Look at the champion now rather than at the next round."""
    return {"model": model, "look": _champions(request).nudge(model)}


async def models(request: Request) -> Json:
    """Return every model that is followed."""
    champions = _champions(request)
    return {"models": [state.to_dict(champions.now()) for _, state in sorted(champions.states.items())]}


async def model_state(model: str, request: Request) -> Json:
    """Say what serves for a model, and why its champion does not."""
    champions = _champions(request)
    looked = champions.looked  # read first: the state is then at least as new
    document = champions.state(model).to_dict(champions.now())
    if document["state"] == "none" and champions.problem:
        document["reason"] = champions.problem
    return {**document, "looked": looked}


async def health() -> Json:
    """Say that the process is up."""
    return {"status": "up"}


async def ready(request: Request) -> JSONResponse:
    """Say whether every champion serves, and why not."""
    champions = _champions(request)
    now, states = champions.now(), sorted(champions.states.items())
    stopped = {name: state.stopped for name, state in states if state.stopped}  # on purpose: the others serve on
    reasons = {
        name: reason
        for name, state in states
        if (reason := state.why_not(now)) and state.champion and name not in stopped
    }
    warnings = {name: w for name, state in states if state.serving and (w := state.serving.ended(now))}
    serves = [name for name, state in states if state.serving and name not in reasons]
    nothing = " ".join(stopped.values()) or "No model has a champion: nothing was released."
    reason = None if serves or reasons else champions.problem or nothing
    document = {"ready": not reasons and not reason, "serving": serves, "refused": reasons, "stopped": stopped}
    document["warnings"] = warnings
    document |= {"reason": reason, "mlflow": champions.problem, "ledger_waiting": champions.waiting}
    predictions: PredictionLog | None = request.app.state.predictions
    document["predictions"] = predictions.state() if predictions else None
    return JSONResponse(document, status_code=200 if document["ready"] else 503)


async def metrics(request: Request) -> PlainTextResponse:
    """Return Prometheus metrics."""
    predictions: PredictionLog | None = request.app.state.predictions
    kept = predictions.metrics() if predictions else ()
    live: Live | None = request.app.state.live
    moved = live.metrics() if live else ()
    text = request.app.state.metrics.text([*_gauges(_champions(request)), *kept, *moved])
    return PlainTextResponse(text, media_type="text/plain; version=0.0.4")


async def documentation(request: Request) -> HTMLResponse:
    """Show how to ask."""
    champions = _champions(request)
    served = [state.serving for _, state in sorted(champions.states.items()) if state.serving]
    return HTMLResponse(docs.page(served), headers={"Content-Security-Policy": docs.POLICY})


def _serving(request: Request, model: str) -> Serving:
    champions = _champions(request)
    state = champions.states.get(model)
    if state is None or state.serving is None:
        reason = state.why_not(champions.now()) if state else champions.problem or f"There is no model {model} here."
        code = 503 if state or champions.problem else 404
        raise RefusalError(code, "RESOURCE_DOES_NOT_EXIST" if code == 404 else "TEMPORARILY_UNAVAILABLE", str(reason))
    stopped = state.serving.stopped(champions.now())
    if stopped:
        raise RefusalError(503, "TEMPORARILY_UNAVAILABLE", stopped)
    return state.serving


def _followed(request: Request, model: str) -> Serving:
    """Return the version whose spec says what labels may be; it need not answer any more for them to come in."""
    state = _champions(request).states.get(model)
    return state.serving if state and state.serving else _serving(request, model)


@dataclass(frozen=True)
class Arranged:
    """What was asked: rows in the order of the features, and what is known of protected attributes."""

    rows: list[Row]
    protected: list[Json] | None


@dataclass(frozen=True)
class Answered:
    """What is answered: the body, and the same as values for the prediction log."""

    body: bytes
    predictions: list[Any]
    scores: list[Any]


async def _read(request: Request, serving: Serving, body: bytes) -> Arranged:
    """Read a request; one that is refused for its content is counted, for an upstream that broke looks like that."""
    try:
        in_thread = len(body) > BODY_AT_ONCE
        return await to_thread.run_sync(_arranged, serving, body) if in_thread else _arranged(serving, body)
    except ContentError as error:
        predictions: PredictionLog | None = request.app.state.predictions
        if predictions is not None:
            fault, feature, rows = error.about
            predictions.refuse(Refusal(serving.logged_as, fault, feature, _champions(request).now(), rows))
        raise


def _arranged(serving: Serving, body: bytes) -> Arranged:
    inputs = serving.permitted.inputs
    try:
        asked = protocol.read(body, inputs.features)
    except InputError as error:
        raise ContentError(400, "BAD_REQUEST", str(error), ("form", "", 0)) from error
    arranged, faults = inputs.arrange(asked.columns, asked.rows)
    if faults:
        about = (*inputs.kind(asked.columns, faults), len(asked.rows))
        raise ContentError(422, "INVALID_PARAMETER_VALUE", sentence(faults), about)
    return Arranged(arranged, _apart(serving, asked.protected))


def _apart(serving: Serving, protected: list[Any] | None) -> list[Json] | None:
    if protected is None:
        return None
    try:
        return [serving.expected.apart({} if values is None else values) for values in protected]
    except ValueError as error:
        told = f"params.protected: {error}."
        raise ContentError(422, "INVALID_PARAMETER_VALUE", told, ("protected", "", len(protected))) from error


async def _answer(serving: Serving, rows: list[Row]) -> Answered:
    try:
        if len(rows) <= ROWS_AT_ONCE:
            return _predicted(serving, serving.scorer.scores_in_place(rows))
        return _predicted(serving, await to_thread.run_sync(serving.scorer.scores, rows))
    except Exception as error:  # its text may hold values of the request: it is told to nobody
        log.error("%s: version %s could not answer: %s", serving.name, serving.version, type(error).__name__)
        raise RefusalError(500, "INTERNAL_ERROR", f"{serving.name} {serving.version} could not answer.") from None


def _predicted(serving: Serving, scores: Scores) -> Answered:
    model = serving.permitted.model
    task = model.description.asked
    predictions, listed = task.values(task.decide(scores, model.description.threshold)), scores.tolist()
    document = {
        "predictions": predictions,
        "scores": listed,
        **({"classes": list(task.classes)} if task.classes else {}),
        "model": {
            "name": serving.name,
            "version": serving.version,
            "registry_version": serving.registry_version,
            "evidence": serving.evidence,
        },
    }
    body = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
    return Answered(body, predictions, listed)


def _keep(request: Request, serving: Serving, asked: Arranged, answer: Answered) -> None:
    predictions: PredictionLog | None = request.app.state.predictions
    if predictions is not None:
        predictions.take(
            Batch(
                serving.logged_as,
                request.state.request_id,
                _caller(request),
                _champions(request).now(),
                asked.rows,
                answer.predictions,
                answer.scores,
                asked.protected,
            )
        )
    live: Live | None = request.app.state.live
    if live is not None:
        live.take(Asked(serving, serving.permitted.inputs.features, asked.rows, answer.predictions, answer.scores))


def _caller(request: Request) -> str:
    return caller_of(request.headers.get(CALLER), request.client.host if request.client else None)


def _sender(request: Request) -> Sender:
    """Return who sends labels, by its token; nothing of a request from nobody is read."""
    path = request.app.state.label_tokens
    try:
        senders = read_senders(path) if path is not None else ()
    except InputError as error:  # it names files and lines of this machine: for the log alone
        log.error("Labels are refused: %s", error)
        raise RefusalError(503, "TEMPORARILY_UNAVAILABLE", "Who may send labels cannot be read: see the log.") from None
    if not senders:
        nobody = "Labels are taken from nobody here: set GOVERNANCE_LABEL_TOKENS (docs/predictions.md)."
        raise RefusalError(403, "PERMISSION_DENIED", nobody)
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    sender = find_sender(senders, token.strip()) if scheme.lower() == "bearer" else None
    if sender is None:
        found = "one that is nobody's" if token else "none"
        asked = "the token of a sender of labels as Authorization: Bearer <token>"
        raise RefusalError(401, "UNAUTHENTICATED", f"Expected {asked}, found {found}.")
    return sender


def _label_request(body: bytes) -> Json:
    try:
        document = protocol.read_json(body)
    except InputError as error:
        raise RefusalError(400, "BAD_REQUEST", str(error)) from error
    asked = document if isinstance(document, dict) else {}
    if (
        set(asked) != {"model", "labels"}
        or not isinstance(asked["model"], str)
        or not isinstance(asked["labels"], list)
    ):
        form = '{"model": name, "labels": [{"request_id": id, "row": 0, "label": value}, …]}'
        raise RefusalError(400, "BAD_REQUEST", f"Expected {form}, found another form.")
    if not 1 <= len(asked["labels"]) <= MOST_LABELS:
        many = f"Expected 1 to {MOST_LABELS:,} labels at a time, found {len(asked['labels']):,}."
        raise RefusalError(413 if asked["labels"] else 400, "BAD_REQUEST", many)
    return asked


def _headers(request: Request, serving: Serving) -> dict[str, str]:
    headers = {"X-Model-Version": serving.version, "X-Evidence": serving.evidence}
    headers[REQUEST_ID] = request.state.request_id
    ended = serving.ended(_champions(request).now())
    return {**headers, "X-Permit-Expired": ended} if ended else headers


async def _body(request: Request) -> bytes:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise RefusalError(415, "BAD_REQUEST", f"Expected the content type application/json, found {kind or 'none'}.")
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > LARGEST_BODY:
            limit = f"{LARGEST_BODY // 1024 // 1024} MiB"
            raise RefusalError(413, "BAD_REQUEST", f"Expected at most {limit}, found more. Send fewer rows at a time.")
        parts.append(part)
    return b"".join(parts)


async def _refused(request: Request, refusal: Exception) -> JSONResponse:
    status, code = (refusal.status, refusal.code) if isinstance(refusal, RefusalError) else (500, "INTERNAL_ERROR")
    given = getattr(request.state, "request_id", None)
    headers = {REQUEST_ID: given} if given else {}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse({"error_code": code, "message": str(refusal)}, status_code=status, headers=headers)


def _champions(request: Request) -> Champions:
    champions: Champions = request.app.state.champions
    return champions


def _problem(request: Request) -> str:
    return _champions(request).problem or "nothing was released"


def _gauges(champions: Champions) -> Iterator[str]:
    now = champions.now()
    yield "# TYPE governance_model_serving gauge"
    for name, state in sorted(champions.states.items()):
        yield f"governance_model_serving{{model={label(name)}}} {0 if state.why_not(now) else 1}"
    yield "# TYPE governance_permit_expires_timestamp_seconds gauge"
    for name, state in sorted(champions.states.items()):
        if state.serving:
            expires = state.serving.permitted.permit.expires_at.timestamp()
            labels = f"model={label(name)},version={label(state.serving.version)}"
            yield f"governance_permit_expires_timestamp_seconds{{{labels}}} {expires:.0f}"
    yield "# TYPE governance_ledger_waiting_entries gauge"
    yield f"governance_ledger_waiting_entries {champions.waiting}"


app = create_app()
