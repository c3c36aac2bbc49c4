"""`kubectl auth`: who one is, and what one may do."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from sampan.kubectl.command import Command
from sampan.kubectl.errors import KubectlError
from sampan.kubectl.flags import Flag
from sampan.kubectl.output import to_yaml
from sampan.kubectl.tableprint import render_rows

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.kubectl.session import Session

_API = "authorization.k8s.io/v1"


async def can_i(session: Session, arguments: list[str], dash: int) -> int:
    """Run can-i; the exit code is 0 for yes, 1 for no."""
    del dash
    values = session.values
    if values.list:
        await _list(session)
        return 0
    if len(arguments) not in (2, 3):
        raise KubectlError("you must specify two arguments: verb resource or verb resource/resourceName.\n"
                           "See 'kubectl auth can-i -h' for help and examples")  # fmt: skip
    spec = await _attributes(session, arguments)
    body = {"apiVersion": _API, "kind": "SelfSubjectAccessReview", "spec": spec}
    status = (await session.json("POST", f"/apis/{_API}/selfsubjectaccessreviews", body=body))["status"]
    if status.get("allowed"):
        if not values.quiet:
            print("yes")
        return 0
    if not values.quiet:
        text = "no"
        if status.get("reason"):
            text += f" - {status['reason']}"
        if status.get("evaluationError"):
            text += f" - {status['evaluationError']}"
        print(text)
    return 1


async def _attributes(session: Session, arguments: list[str]) -> Object:
    verb, what, *name = arguments
    if what.startswith("/"):
        return {"nonResourceAttributes": {"verb": verb, "path": what}}
    if "/" in what:
        what, _, given = what.partition("/")
        name = [given]
    namespace = "" if session.values.all_namespaces else session.namespace
    attributes: Object = {"verb": verb, "namespace": namespace}
    try:
        resource = (await session.mapper()).resource(what)
        attributes |= {"group": resource.gvr.group, "version": resource.gvr.version, "resource": resource.gvr.resource}
        if not resource.namespaced and verb != "*":
            where = f" in group '{resource.gvr.group}'" if resource.gvr.group else ""
            print(f"Warning: resource '{resource.gvr.resource}' is not namespace scoped{where}\n", file=sys.stderr)
    except KubectlError:
        kind, _, group = what.partition(".")
        attributes |= {"group": group, "resource": kind}
        if what != "*":
            print(f"Warning: the server doesn't have a resource type '{kind}'"
                  + (f" in group '{group}'" if group else "") + "\n", file=sys.stderr)  # fmt: skip
    if name:
        attributes["name"] = name[0]
    if session.values.subresource:
        attributes["subresource"] = session.values.subresource
    return {"resourceAttributes": attributes}


async def _list(session: Session) -> None:
    body = {"apiVersion": _API, "kind": "SelfSubjectRulesReview", "spec": {"namespace": session.namespace}}
    status = (await session.json("POST", f"/apis/{_API}/selfsubjectrulesreviews", body=body))["status"]
    from sampan.kubectl.describe.rbac import rules_in_order  # noqa: PLC0415 - start-up time
    from sampan.kubectl.describe.writer import go_list  # noqa: PLC0415 - start-up time

    rules = [*(status.get("resourceRules") or []), *(status.get("nonResourceRules") or [])]
    rules = [{**one, "nonResourceURLs": one.get("nonResourceURLs") or []} for one in rules]
    rows = [] if session.values.no_headers else [["Resources", "Non-Resource URLs", "Resource Names", "Verbs"]]
    rows += [
        [
            one.resource,
            go_list([one.url] if one.url else []),
            go_list([one.name] if one.name else []),
            go_list(one.verbs),
        ]
        for one in rules_in_order(rules)
    ]
    for line in render_rows(rows):
        print(line)


async def whoami(session: Session, arguments: list[str], dash: int) -> None:
    """Run whoami."""
    del arguments, dash
    api = "authentication.k8s.io/v1"
    body = {"apiVersion": api, "kind": "SelfSubjectReview"}
    answer = await session.json("POST", f"/apis/{api}/selfsubjectreviews", body=body)
    if session.values.output == "json":
        print(json.dumps(answer, indent=4))
        return
    if session.values.output == "yaml":
        sys.stdout.write(to_yaml(answer))
        return
    user = (answer.get("status") or {}).get("userInfo") or {}
    rows = [["ATTRIBUTE", "VALUE"], ["Username", user.get("username", "")]]
    if user.get("uid"):
        rows.append(["UID", user["uid"]])
    if user.get("groups"):
        rows.append(["Groups", "[" + " ".join(user["groups"]) + "]"])
    for key, value in sorted((user.get("extra") or {}).items()):
        rows.append([f"Extra: {key}", "[" + " ".join(value) + "]"])
    for line in render_rows(rows):
        print(line)


async def _group(session: Session, arguments: list[str], dash: int) -> None:
    del session, arguments, dash
    print(AUTH.help("kubectl auth"))


AUTH = Command(name="auth", short="Inspect authorization.", usage="SUBCOMMAND", run=_group, subcommands={
    "can-i": Command(name="can-i", short="Check whether an action is allowed.", usage="VERB [TYPE | TYPE/NAME | URL]",
                     run=can_i, flags=(
        Flag(name="all-namespaces", short="A", kind="bool", help="In all namespaces."),
        Flag(name="list", kind="bool", help="All that is allowed."),
        Flag(name="no-headers", kind="bool", help="Leave the header out."),
        Flag(name="quiet", short="q", kind="bool", help="Only the exit code."),
        Flag(name="subresource", help="Subresource, e.g. log or scale."))),
    "whoami": Command(name="whoami", short="Show who the server takes one for.", run=whoami,
                      flags=(Flag(name="output", short="o", help="json or yaml."),)),
})  # fmt: skip
