"""The page at ``/docs``: how to ask, with a request that works. No scripts, nothing from elsewhere."""

import html
import json
from collections.abc import Sequence
from typing import Any

from governance.serving.champions import Serving

POLICY = "default-src 'none'; style-src 'unsafe-inline'"

REQUEST: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "description": "One of the three forms of MLflow's scoring protocol.",
                    "properties": {
                        "dataframe_split": {"type": "object"},
                        "dataframe_records": {"type": "array", "items": {"type": "object"}},
                        "inputs": {},
                        "params": {
                            "type": "object",
                            "properties": {"protected": {"type": "array", "items": {"type": "object"}}},
                        },
                    },
                }
            }
        },
    }
}
"""What OpenAPI says of a scoring request."""

LABELS: dict[str, Any] = {
    "parameters": [
        {
            "name": "Authorization",
            "in": "header",
            "required": True,
            "description": "Bearer and the sender's token.",
            "schema": {"type": "string"},
        }
    ],
    "responses": {
        "401": {"description": "No sender's token."},
        "403": {"description": "Not this sender's model, or labels are taken from nobody."},
    },
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["model", "labels"],
                    "properties": {
                        "model": {"type": "string"},
                        "labels": {
                            "type": "array",
                            "items": {
                                "type": "object",
                                "required": ["request_id"],
                                "properties": {
                                    "request_id": {"type": "string"},
                                    "row": {"type": "integer", "minimum": 0, "default": 0},
                                    "label": {},
                                    "protected": {"type": "object"},
                                },
                            },
                        },
                    },
                }
            }
        },
    },
}
"""What OpenAPI says of labels."""

ROUTES = (
    ("POST /models/<name>/invocations", "Score rows: dataframe_split, dataframe_records or inputs."),
    ("POST /invocations", "The same, where there is one model only."),
    ("GET /models/<name>", "What serves, since when, on what evidence; why the champion does not serve."),
    ("POST /models/<name>/refresh", "Look at the champion now."),
    ("POST /labels", "Say what came true, by request id: see X-Request-Id of an answer. Takes a sender's token."),
    ("GET /ready", "200 while every champion serves; else 503, and why."),
    ("GET /health", "200 while the process is up."),
    ("GET /metrics", "Prometheus metrics."),
    ("GET /openapi.json", "The same for machines."),
)

STYLE = """:root{color-scheme:light dark}
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
code,pre{font:13px/1.5 ui-monospace,monospace}pre{overflow:auto;padding:1rem;border:1px solid #8888}
td,th{text-align:left;padding:.2rem 1rem .2rem 0;vertical-align:top}"""


def page(served: Sequence[Serving]) -> str:
    """Return the page.

    Args:
        served: What serves now.
    """
    routes = "".join(f"<tr><td><code>{html.escape(r)}</code></td><td>{html.escape(w)}</td></tr>" for r, w in ROUTES)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Scoring service</title>'
        f"<style>{STYLE}</style><h1>Scoring service</h1><table>{routes}</table>"
        + "".join(_section(serving) for serving in served)
    )


def _section(serving: Serving) -> str:
    permit, spec = serving.permitted.permit, serving.permitted.spec
    rows = "".join(
        f"<tr><td><code>{html.escape(name)}</code></td><td>{html.escape(meaning)}</td></tr>"
        for name, meaning in spec.features.items()
    )
    return (
        f"<h2>{html.escape(spec.title)} {html.escape(permit.version)}</h2><p>{html.escape(spec.purpose)}</p>"
        f"<p>Evidence <code>{permit.evidence_digest}</code></p><pre>{html.escape(_example(serving))}</pre>"
        f"<table><tr><th>Feature</th><th>Meaning</th></tr>{rows}</table>"
    )


def _example(serving: Serving) -> str:
    body = json.dumps({"dataframe_records": [serving.permitted.inputs.example()]})
    path = f"/models/{serving.permitted.permit.model}/invocations"
    return f"curl -H 'Content-Type: application/json' \\\n  -d '{body}' \\\n  http://<this host>{path}"
