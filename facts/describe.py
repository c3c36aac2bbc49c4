"""Descriptions in the OpenAPI documents: of schemas from kubernetes-validate, of operations and parameters from here.

The recorded documents carry none; OpenAPI requires one of every response, and generators make documentation of all.
"""
# ruff: noqa: INP001  a script beside the facts, no package

from __future__ import annotations

from typing import Any

RESPONSES = {"200": "OK", "201": "Created", "202": "Accepted", "401": "Unauthorized"}

PARAMETERS = {
    "allowWatchBookmarks": "Let the server send BOOKMARK events, which carry nothing but a newer resourceVersion.",
    "body": "The object.",
    "command": "The command to run and its arguments; not run in a shell.",
    "container": "The container to use; may be left out when the pod has only one.",
    "continue": "The token of the last page, to get the next one of the same list.",
    "dryRun": "With All, every stage of the request is processed, and nothing is stored.",
    "fieldManager": "Name of the actor on whose behalf fields are changed; required for apply patches.",
    "fieldSelector": "Restrict the objects by their fields; everything by default.",
    "fieldValidation": "What to do about unknown and duplicate fields: Ignore, Warn (the default) or Strict.",
    "follow": "Keep the log stream open and send what is added.",
    "force": "Take over fields that conflict with other managers; apply patches only.",
    "gracePeriodSeconds": "Seconds that the object is given to end before it is deleted; zero means at once.",
    "ignoreStoreReadErrorWithClusterBreakingPotential": "Delete the object even if it cannot be read from the store.",
    "insecureSkipTLSVerifyBackend": "Do not verify the certificate of the node that serves the log.",
    "labelSelector": "Restrict the objects by their labels; everything by default.",
    "limit": "The number of objects to return at most; the rest is reached by continue.",
    "limitBytes": "The number of log bytes to send at most.",
    "name": "Name of the object.",
    "namespace": "Namespace of the object.",
    "orphanDependents": "Deprecated, use propagationPolicy: whether dependent objects are left behind.",
    "path": "The part of the URL path to pass on.",
    "ports": "The ports to forward.",
    "pretty": "With true, the answer is indented.",
    "previous": "Show the log of the container's previous run.",
    "propagationPolicy": "What happens to dependent objects: Orphan, Background or Foreground.",
    "resourceVersion": "Constrains the versions that may be served; what it means depends on the request.",
    "resourceVersionMatch": "How resourceVersion is applied to lists: Exact or NotOlderThan.",
    "sendInitialEvents": "Begin a watch with events of all existing objects, followed by a bookmark.",
    "shardSelector": "Restrict the objects to one shard.",
    "sinceSeconds": "Only log lines that are at most this many seconds old.",
    "stderr": "Attach to standard error.",
    "stdin": "Attach to standard input.",
    "stdout": "Attach to standard output.",
    "stream": "The log stream to send: All, Stdout or Stderr.",
    "tailLines": "The number of lines from the end of the log to begin with.",
    "timeoutSeconds": "Seconds after which the call ends.",
    "timestamps": "Prefix every log line with its time.",
    "tty": "Allocate a terminal.",
    "watch": "Watch for changes instead of listing.",
}
_OPERATIONS = {
    "get": "read {what}",
    "list": "list or watch objects of kind {kind}",
    "post": "create {what}",
    "put": "replace {what}",
    "patch": "partially update {what}",
    "delete": "delete {what}",
    "deletecollection": "delete a collection of {kind}",
    "watch": "watch changes to one object of kind {kind}; deprecated, use the watch parameter with a list",
    "watchlist": "watch changes to a list of {kind}; deprecated, use the watch parameter with a list",
    "connect": "connect {method} requests to {what}",
}


def describe_schemas(schemas: dict[str, Any], described: dict[str, Any]) -> None:
    """Merge descriptions of types and fields into schemas, in place."""
    for name, schema in schemas.items():
        source = described.get(name)
        if source is None:
            continue
        if text := source.get("description"):
            schema["description"] = text
        for field, prop in schema.get("properties", {}).items():
            if text := source.get("properties", {}).get(field, {}).get("description"):
                prop["description"] = text


def describe_paths(document: dict[str, Any]) -> None:
    """Describe operations, parameters and responses, in place."""
    for parameter in document.get("parameters", {}).values():
        _describe_parameter(parameter)
    for path, item in document.get("paths", {}).items():
        for parameter in item.get("parameters", ()):
            _describe_parameter(parameter)
        for method, operation in item.items():
            if method != "parameters":
                _describe_operation(path, method, operation)


def _describe_operation(path: str, method: str, operation: dict[str, Any]) -> None:
    for parameter in operation.get("parameters", ()):
        _describe_parameter(parameter)
    for code, response in operation.get("responses", {}).items():
        response.setdefault("description", RESPONSES.get(code, ""))
    action = operation.get("x-kubernetes-action")
    if action in _OPERATIONS:
        kind = operation["x-kubernetes-group-version-kind"]["kind"]
        subresource = path.partition("{name}/")[2].partition("/")[0]
        what = f"{subresource} of the specified object" if subresource else f"the specified {kind}"
        if action == "post" and not subresource:
            what = f"{'an' if kind[0] in 'AEIOU' else 'a'} {kind}"
        operation["description"] = _OPERATIONS[action].format(what=what, kind=kind, method=method.upper())


def _describe_parameter(parameter: dict[str, Any]) -> None:
    if "$ref" not in parameter and (text := PARAMETERS.get(parameter.get("name", ""))):
        parameter.setdefault("description", text)
