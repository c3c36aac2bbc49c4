"""`kubectl create KIND NAME ...`: objects from flags."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sampan.api.errors import APIStatusError
from sampan.kubectl.builder import Target
from sampan.kubectl.command import Command
from sampan.kubectl.errors import KubectlError
from sampan.kubectl.flags import Flag
from sampan.kubectl.writing import VALIDATE_FLAGS, WRITE_FLAGS, create, manager_flag, report

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sampan.api.object import Object
    from sampan.kubectl.flags import Values
    from sampan.kubectl.session import Session

_COMMON = (
    *WRITE_FLAGS,
    *VALIDATE_FLAGS,
    manager_flag("create"),
    Flag(name="save-config", kind="bool", help="Keep the object in its annotation, for apply."),
)
_DATA_FLAGS = (
    Flag(name="append-hash", kind="bool", help="Accepted for compatibility."),
    Flag(name="from-env-file", kind="list", help="File of KEY=value lines."),
    Flag(name="from-file", kind="list", help="[key=]file or directory."),
    Flag(name="from-literal", kind="array", help="key=value."),
)
_TCP = Flag(name="tcp", kind="list", help="port[:targetPort] pairs.")
_CLUSTER_IP = Flag(name="clusterip", help="The cluster IP; None for a headless service.")
_NODE_PORT = Flag(name="node-port", kind="int", help="The port on every node.")
_RULE_FLAGS = (
    Flag(name="verb", kind="list", help="Verbs of the rule."),
    Flag(name="resource", kind="list", help="Resources of the rule."),
    Flag(name="resource-name", kind="array", help="Names that the rule is about."),
)
_SUBJECT_FLAGS = (
    Flag(name="clusterrole", help="The cluster role to bind."),
    Flag(name="group", kind="array", help="Groups to bind to."),
    Flag(name="serviceaccount", kind="array", help="Service accounts to bind to, namespace:name."),
    Flag(name="user", kind="array", help="Users to bind to."),
)
_RBAC = "rbac.authorization.k8s.io"


def _generator(
    name: str,
    resource: str,
    make: Callable[[Session, str, list[str]], Object],
    flags: Sequence[Flag] = (),
    usage: str = "",
) -> Command:
    async def run(session: Session, arguments: list[str], dash: int) -> None:
        names = arguments[:dash] if dash >= 0 else arguments[:1]
        command = arguments[dash:] if dash >= 0 else arguments[1:]
        if len(names) != 1 or (dash < 0 and len(arguments) > 1 and not name.startswith(("job", "deployment"))):
            raise KubectlError(
                f"exactly one NAME is required, got {len(arguments)}\nSee '{session.command} -h' for help and examples"
            )
        found = (await session.mapper()).resource(resource)
        obj = make(session, names[0], command)
        target = Target(resource=found, namespace=session.namespace if found.namespaced else "", name=names[0])
        if found.namespaced and session.namespace_given:
            obj["metadata"]["namespace"] = session.namespace
        report(session, target, await create(session, target, obj), "created", typed=True)

    return Command(name=name, short=f"Create a {name}.", usage=usage or "NAME", run=run, flags=(*_COMMON, *flags))


def _object(api_version: str, kind: str, name: str, **fields: Any) -> Object:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, **fields}


def _namespace(session: Session, name: str, rest: list[str]) -> Object:
    del session, rest
    return _object("v1", "Namespace", name, spec={}, status={})


def _service_account(session: Session, name: str, rest: list[str]) -> Object:
    del session, rest
    return _object("v1", "ServiceAccount", name)


def _config_map(session: Session, name: str, rest: list[str]) -> Object:
    del rest
    data: dict[str, str] = {}
    binary: dict[str, str] = {}
    for key, content in _contents(session.values):
        try:
            data[key] = content.decode()
        except UnicodeDecodeError:
            binary[key] = base64.b64encode(content).decode()
    fields: dict[str, Any] = {"data": data} if data else {}
    return _object("v1", "ConfigMap", name, **fields, **({"binaryData": binary} if binary else {}))


def _contents(values: Values) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    for spec in values.from_file:
        key, equals, path = spec.partition("=")
        file = Path(path if equals else spec)
        if not file.exists():
            raise KubectlError(f"error reading {file}: no such file or directory")
        files = sorted(one for one in file.iterdir() if one.is_file()) if file.is_dir() else [file]
        found += [(key if equals else one.name, one.read_bytes()) for one in files]
    for spec in values.from_literal:
        key, equals, text = spec.partition("=")
        if not equals or not key:
            raise KubectlError(f"invalid literal source {spec}, expected key=value")
        text = text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text
        found.append((key, text.encode()))
    for path in values.from_env_file:
        for line in Path(path).read_text().splitlines():
            text = line.strip()
            if text and not text.startswith("#"):
                key, _, value = text.partition("=")
                found.append((key, value.encode()))
    keys = [key for key, _ in found]
    for key in keys:
        if keys.count(key) > 1:
            raise KubectlError(f'cannot add key "{key}", another key by that name already exists')
    return found


def _secret(kind: str) -> Callable[[Session, str, list[str]], Object]:
    def make(session: Session, name: str, rest: list[str]) -> Object:
        del rest
        values = session.values
        if kind == "generic":
            data = dict(_contents(values))
            type_ = values.type
        elif kind == "tls":
            if not values.cert or not values.key:
                raise KubectlError("key and cert must be specified")
            data = {"tls.crt": Path(values.cert).read_bytes(), "tls.key": Path(values.key).read_bytes()}
            type_ = "kubernetes.io/tls"
        else:
            data = {".dockerconfigjson": _docker_config(values)}
            type_ = "kubernetes.io/dockerconfigjson"
        encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
        fields: dict[str, Any] = {"data": encoded} if encoded else {}
        return _object("v1", "Secret", name, **fields, **({"type": type_} if type_ else {}))

    return make


def _docker_config(values: Values) -> bytes:
    if values.from_file:
        return Path(values.from_file[0].partition("=")[2] or values.from_file[0]).read_bytes()
    if not values.docker_username or not values.docker_password or not values.docker_server:
        raise KubectlError(
            "either --from-file or the combination of --docker-username, --docker-password and "
            "--docker-server is required"
        )
    auth = base64.b64encode(f"{values.docker_username}:{values.docker_password}".encode()).decode()
    entry = {"username": values.docker_username, "password": values.docker_password}
    if values.docker_email:
        entry["email"] = values.docker_email
    entry["auth"] = auth
    return json.dumps({"auths": {values.docker_server: entry}}, separators=(",", ":")).encode()


def _image_name(image: str) -> str:
    """A container's name from its image: the last part without tag, digest and what names may not hold."""
    base = image.rpartition("/")[2].partition("@")[0].partition(":")[0]
    return "".join(char if char.isalnum() or char == "-" else "-" for char in base.lower())


def _deployment(session: Session, name: str, command: list[str]) -> Object:
    values = session.values
    if not values.image:
        raise KubectlError('required flag(s) "image" not set')
    if command and len(values.image) > 1:
        raise KubectlError("cannot specify multiple --image options and command")
    containers: list[Object] = [{"name": _image_name(one), "image": one, "resources": {}} for one in values.image]
    if command:
        containers[0]["command"] = command
    if values.port > 0:
        containers[0]["ports"] = [{"containerPort": values.port}]
    labels = {"app": name}
    obj = _object(
        "apps/v1",
        "Deployment",
        name,
        status={},
        spec={
            "replicas": values.replicas,
            "selector": {"matchLabels": labels},
            "strategy": {},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
        },
    )
    obj["metadata"]["labels"] = labels
    return obj


def _service(kind: str) -> Callable[[Session, str, list[str]], Object]:
    def make(session: Session, name: str, rest: list[str]) -> Object:
        del rest
        values = session.values
        spec: Object = {"type": kind}
        if kind == "ExternalName":
            spec["externalName"] = values.external_name
        spec["selector"] = {"app": name}
        if ports := [_service_port(one, values) for one in values.tcp]:
            spec["ports"] = ports
        elif kind != "ExternalName" and values.get("clusterip") != "None":
            raise KubectlError("at least one tcp port specifier must be provided")
        if values.get("clusterip"):
            spec["clusterIP"] = values.clusterip
        obj = _object("v1", "Service", name, spec=spec, status={"loadBalancer": {}})
        obj["metadata"]["labels"] = {"app": name}
        return obj

    return make


def _service_port(spec: str, values: Values) -> Object:
    port, colon, target = spec.partition(":")
    if not port.isdigit():
        raise KubectlError(f'strconv.Atoi: parsing "{port}": invalid syntax')
    text = target if colon else port
    entry: Object = {
        "name": spec.replace(":", "-"),
        "port": int(port),
        "protocol": "TCP",
        "targetPort": int(text) if text.isdigit() else text,
    }
    if values.get("node-port"):
        entry["nodePort"] = values.get("node-port")
    return entry


def _job(session: Session, name: str, command: list[str]) -> Object:
    values = session.values
    if not values.image:
        raise KubectlError("either --image or --from must be specified")
    container: Object = {"name": name, "image": values.image, "resources": {}}
    if command:
        container["command"] = command
    pod = {"containers": [container], "restartPolicy": "Never"}
    return _object("batch/v1", "Job", name, spec={"template": {"metadata": {}, "spec": pod}}, status={})


def _cron_job(session: Session, name: str, command: list[str]) -> Object:
    values = session.values
    for flag in ("image", "schedule"):
        if not values.get(flag):
            raise KubectlError(f'required flag(s) "{flag}" not set')
    container: Object = {"name": name, "image": values.image, "resources": {}}
    if command:
        container["command"] = command
    pod = {"containers": [container], "restartPolicy": values.restart or "OnFailure"}
    job = {"metadata": {"name": name}, "spec": {"template": {"metadata": {}, "spec": pod}}}
    return _object("batch/v1", "CronJob", name, spec={"jobTemplate": job, "schedule": values.schedule}, status={})


def _rules(values: Values) -> list[Object]:
    if not values.verb:
        raise KubectlError("at least one verb must be specified")
    rules: dict[str, Object] = {}
    for one in values.resource:
        name, _, subresource = one.partition("/")
        name, _, group = name.partition(".")
        rule = rules.setdefault(group, {"apiGroups": [group], "resources": [], "verbs": list(values.verb)})
        rule["resources"].append(f"{name}/{subresource}" if subresource else name)
        if values.resource_name:
            rule["resourceNames"] = list(values.resource_name)
    return list(rules.values())


def _role(session: Session, name: str, rest: list[str]) -> Object:
    del rest
    if not session.values.resource:
        raise KubectlError("at least one resource must be specified")
    return _object(f"{_RBAC}/v1", "Role", name, rules=_rules(session.values))


def _cluster_role(session: Session, name: str, rest: list[str]) -> Object:
    del rest
    values = session.values
    rules = _rules(values) if values.resource or not values.non_resource_url else []
    if values.non_resource_url:
        rules.append({"nonResourceURLs": list(values.non_resource_url), "verbs": list(values.verb)})
    return _object(f"{_RBAC}/v1", "ClusterRole", name, rules=rules)


def _binding(kind: str) -> Callable[[Session, str, list[str]], Object]:
    def make(session: Session, name: str, rest: list[str]) -> Object:
        del rest
        values = session.values
        if bool(values.clusterrole) == bool(values.get("role")):
            raise KubectlError(
                "exactly one of clusterrole or role must be specified"
                if kind == "RoleBinding"
                else "exactly one clusterrole must be specified"
            )
        role = ("ClusterRole", values.clusterrole) if values.clusterrole else ("Role", values.get("role"))
        subjects: list[Object] = [
            {"apiGroup": _RBAC, "kind": word, "name": one}
            for word, names in (("User", values.user), ("Group", values.group))
            for one in names
        ]
        for one in values.serviceaccount:
            namespace, colon, account = one.partition(":")
            if not colon or not namespace or not account:
                raise KubectlError("serviceaccount must be <namespace>:<name>")
            subjects.append({"kind": "ServiceAccount", "name": account, "namespace": namespace})
        fields: dict[str, Any] = {"subjects": subjects} if subjects else {}
        ref = {"apiGroup": _RBAC, "kind": role[0], "name": role[1]}
        return _object(f"{_RBAC}/v1", kind, name, roleRef=ref, **fields)

    return make


def _quota(session: Session, name: str, rest: list[str]) -> Object:
    del rest
    values = session.values
    spec: Object = {}
    if values.hard:
        spec["hard"] = dict(one.split("=", 1) for one in values.hard.split(","))
    if values.scopes:
        spec["scopes"] = values.scopes.split(",")
    return _object("v1", "ResourceQuota", name, spec=spec, status={})


def _budget(session: Session, name: str, rest: list[str]) -> Object:
    del rest
    values = session.values
    if not values.selector:
        raise KubectlError("a selector must be specified")
    if bool(values.min_available) == bool(values.max_unavailable):
        raise KubectlError(
            "one of min-available or max-unavailable must be specified"
            if not values.min_available
            else "min-available and max-unavailable cannot be both specified"
        )
    field, text = (
        ("minAvailable", values.min_available) if values.min_available else ("maxUnavailable", values.max_unavailable)
    )
    labels = dict(one.split("=", 1) for one in values.selector.replace("==", "=").split(","))
    status = dict.fromkeys(("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"), 0)
    spec = {field: int(text) if text.isdigit() else text, "selector": {"matchLabels": labels}}
    return _object("policy/v1", "PodDisruptionBudget", name, spec=spec, status=status)


def _priority_class(session: Session, name: str, rest: list[str]) -> Object:
    del rest
    values = session.values
    fields: dict[str, Any] = {"value": values.value, "preemptionPolicy": values.preemption_policy}
    if values.description:
        fields["description"] = values.description
    if values.global_default:
        fields["globalDefault"] = True
    return _object("scheduling.k8s.io/v1", "PriorityClass", name, **fields)


async def _group(session: Session, arguments: list[str], dash: int) -> None:
    del dash
    raise KubectlError(
        f'unknown command "{" ".join(arguments)}" for "{session.command}"'
        if arguments
        else f"{session.command} needs a kind; see '{session.command} --help'"
    )


async def _token(session: Session, arguments: list[str], dash: int) -> None:
    del dash
    values = session.values
    if len(arguments) != 1:
        raise KubectlError(
            f"exactly one NAME is required, got {len(arguments)}\nSee 'kubectl create token -h' for help and examples"
        )
    spec: Object = {"audiences": list(values.audience)} if values.audience else {}
    if values.duration:
        spec["expirationSeconds"] = int(values.duration)
    path = f"/api/v1/namespaces/{session.namespace}/serviceaccounts/{arguments[0]}/token"
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    try:
        answer = await session.json("POST", path, body=body)
    except APIStatusError as error:
        raise KubectlError(f"failed to create token: {error.message}") from error
    print(answer["status"]["token"])


_DOCKER = tuple(
    Flag(
        name=f"docker-{one}",
        default="https://index.docker.io/v1/" if one == "server" else None,
        help=f"Registry {one}.",
    )
    for one in ("server", "username", "password", "email")
)
_SECRETS = {
    "generic": _generator(
        "generic", "secrets", _secret("generic"), (*_DATA_FLAGS, Flag(name="type", help="Its type."))
    ),
    "tls": _generator(
        "tls",
        "secrets",
        _secret("tls"),
        (Flag(name="cert", help="Certificate file."), Flag(name="key", help="Key file."), _DATA_FLAGS[0]),
    ),
    "docker-registry": _generator("docker-registry", "secrets", _secret("docker"), (*_DOCKER, *_DATA_FLAGS)),
}
_SERVICES = {
    "clusterip": _generator("clusterip", "services", _service("ClusterIP"), (_TCP, _CLUSTER_IP)),
    "nodeport": _generator("nodeport", "services", _service("NodePort"), (_TCP, _NODE_PORT)),
    "loadbalancer": _generator("loadbalancer", "services", _service("LoadBalancer"), (_TCP,)),
    "externalname": _generator(
        "externalname", "services", _service("ExternalName"), (_TCP, Flag(name="external-name", help="The DNS name."))
    ),
}
_IMAGE = Flag(name="image", help="The image to run.")
_ROLE_BINDING_FLAGS = (*_SUBJECT_FLAGS, Flag(name="role", help="The role to bind."))
GENERATORS: dict[str, Command] = {
    "namespace": _generator("namespace", "namespaces", _namespace),
    "serviceaccount": _generator("serviceaccount", "serviceaccounts", _service_account),
    "configmap": _generator("configmap", "configmaps", _config_map, _DATA_FLAGS),
    "secret": Command(name="secret", short="Create a secret.", run=_group, subcommands=_SECRETS),
    "service": Command(name="service", short="Create a service.", run=_group, subcommands=_SERVICES),
    "deployment": _generator(
        "deployment",
        "deployments.apps",
        _deployment,
        (
            Flag(name="image", kind="list", help="The images to run."),
            Flag(name="port", kind="int", default=-1, help="Its port."),
            Flag(name="replicas", short="r", kind="int", default=1, help="Number of pods."),
        ),
    ),
    "job": _generator("job", "jobs.batch", _job, (_IMAGE, Flag(name="from", help="cronjob/NAME to run now."))),
    "cronjob": _generator(
        "cronjob",
        "cronjobs.batch",
        _cron_job,
        (_IMAGE, Flag(name="schedule", help="Cron schedule."), Flag(name="restart", help="OnFailure or Never.")),
    ),
    "role": _generator("role", f"roles.{_RBAC}", _role, _RULE_FLAGS),
    "clusterrole": _generator(
        "clusterrole",
        f"clusterroles.{_RBAC}",
        _cluster_role,
        (*_RULE_FLAGS, Flag(name="non-resource-url", kind="list", help="Paths that the rule is about.")),
    ),
    "rolebinding": _generator("rolebinding", f"rolebindings.{_RBAC}", _binding("RoleBinding"), _ROLE_BINDING_FLAGS),
    "clusterrolebinding": _generator(
        "clusterrolebinding", f"clusterrolebindings.{_RBAC}", _binding("ClusterRoleBinding"), _SUBJECT_FLAGS
    ),
    "quota": _generator(
        "quota",
        "resourcequotas",
        _quota,
        (Flag(name="hard", help="name=amount,..."), Flag(name="scopes", help="Scopes, by comma.")),
    ),
    "poddisruptionbudget": _generator(
        "poddisruptionbudget",
        "poddisruptionbudgets.policy",
        _budget,
        (
            Flag(name="selector", help="Pods' labels."),
            Flag(name="min-available", help="Number or percentage."),
            Flag(name="max-unavailable", help="Number or percentage."),
        ),
    ),
    "priorityclass": _generator(
        "priorityclass",
        "priorityclasses.scheduling.k8s.io",
        _priority_class,
        (
            Flag(name="value", kind="int", help="The priority."),
            Flag(name="description", help="What it is for."),
            Flag(name="global-default", kind="bool", help="For pods without a class."),
            Flag(name="preemption-policy", default="PreemptLowerPriority", help="Never or PreemptLowerPriority."),
        ),
    ),
    "token": Command(
        name="token",
        short="Request a service account token.",
        run=_token,
        usage="SERVICE_ACCOUNT_NAME",
        flags=(
            Flag(name="audience", kind="array", help="Audience of the token."),
            Flag(name="duration", kind="duration", help="Lifetime."),
        ),
    ),
}
GENERATORS |= {
    "ns": GENERATORS["namespace"],
    "sa": GENERATORS["serviceaccount"],
    "cm": GENERATORS["configmap"],
    "deploy": GENERATORS["deployment"],
    "cj": GENERATORS["cronjob"],
    "svc": GENERATORS["service"],
    "pdb": GENERATORS["poddisruptionbudget"],
    "pc": GENERATORS["priorityclass"],
    "resourcequota": GENERATORS["quota"],
}
