"""`kubectl config`: look at kubeconfig files and change them."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sampan.client import kubeconfig
from sampan.client.config import ConfigError
from sampan.kubectl.command import Command
from sampan.kubectl.errors import KubectlError
from sampan.kubectl.flags import Flag
from sampan.kubectl.output import OUTPUT_FLAGS, printer
from sampan.kubectl.tableprint import render_rows

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.client.kubeconfig import Kubeconfig
    from sampan.kubectl.session import Session

_DATA = {
    "certificate-authority": "certificate-authority-data",
    "client-certificate": "client-certificate-data",
    "client-key": "client-key-data",
}


def _load(session: Session) -> Kubeconfig:
    try:
        return session.kubeconfig
    except ConfigError as error:
        raise KubectlError(str(error)) from error


def _file(session: Session) -> Path:
    """The file that changes go to: --kubeconfig, the first of KUBECONFIG that exists, or the default."""
    if session.values.kubeconfig:
        return Path(session.values.kubeconfig)
    paths = kubeconfig.default_paths()
    return next((one for one in paths if one.exists()), paths[-1])


def _change(session: Session) -> tuple[Path, Kubeconfig]:
    path = _file(session)
    return path, kubeconfig.load_file(path) if path.exists() else kubeconfig.Kubeconfig()


async def view(session: Session, arguments: list[str], dash: int) -> None:
    """Run view."""
    del arguments, dash
    values, config = session.values, _load(session)
    if values.minify:
        config = _minified(config, values.context or config.current_context)
    document = config.to_object()
    for section, inner in (("clusters", "cluster"), ("users", "user")):
        for entry in document[section]:
            entry[inner] = _shown(entry[inner] or {}, flatten=values.flatten, raw=values.raw)
    for section in ("clusters", "contexts", "users"):
        document[section] = document[section] or None
    if not values.output:
        values.set("output", "yaml")
    if values.output == "json":
        document = _as_go_prints(document)
    print(printer(values, typed=True)(document), end="")


def _as_go_prints(document: Object) -> Object:
    """The document with its fields in the order of kubectl's types."""
    order = ("kind", "apiVersion", "preferences", "clusters", "users", "contexts", "current-context")
    found = {key: document[key] for key in order if key in document}
    for section, inner in (("clusters", "cluster"), ("users", "user"), ("contexts", "context")):
        found[section] = [
            {"name": one["name"], inner: _ordered_entry(one[inner])} for one in found[section] or []
        ] or None
    return found


def _ordered_entry(entry: Object) -> Object:
    order = (
        "server",
        "tls-server-name",
        "insecure-skip-tls-verify",
        "certificate-authority",
        "certificate-authority-data",
        "client-certificate",
        "client-certificate-data",
        "client-key",
        "client-key-data",
        "token",
        "tokenFile",
        "cluster",
        "user",
        "namespace",
    )
    return {key: entry[key] for key in sorted(entry, key=lambda key: order.index(key) if key in order else len(order))}


def _minified(config: Kubeconfig, name: str) -> Kubeconfig:
    if name not in config.contexts:
        if not name:
            raise KubectlError("current-context must exist in order to minify")
        raise KubectlError(f"cannot locate context {name}")
    context = config.contexts[name]
    return kubeconfig.Kubeconfig(
        clusters={key: value for key, value in config.clusters.items() if key == context.get("cluster")},
        users={key: value for key, value in config.users.items() if key == context.get("user")},
        contexts={name: context},
        current_context=name,
    )


def _shown(entry: Object, *, flatten: bool, raw: bool) -> Object:
    out = dict(entry)
    if flatten:
        for path, data in _DATA.items():
            if out.get(path) and not out.get(data):
                out[data] = base64.b64encode(Path(out.pop(path)).read_bytes()).decode()
    if not raw:
        for data in _DATA.values():
            if out.get(data):
                out[data] = "DATA+OMITTED"
        for secret in ("token", "password"):
            if out.get(secret):
                out[secret] = "REDACTED"
    return out


async def get_contexts(session: Session, arguments: list[str], dash: int) -> None:
    """Run get-contexts."""
    del dash
    values, config = session.values, _load(session)
    missing = [name for name in arguments if name not in config.contexts]
    names = [name for name in arguments or sorted(config.contexts) if name in config.contexts]
    if values.output == "name":
        for name in names:
            print(name)
    else:
        rows = [] if values.no_headers else [["CURRENT", "NAME", "CLUSTER", "AUTHINFO", "NAMESPACE"]]
        for name in names:
            context = config.contexts[name] or {}
            mark = "*" if name == config.current_context else ""
            rows.append([mark, name, context.get("cluster", ""), context.get("user", ""), context.get("namespace", "")])
        for line in render_rows(rows):
            print(line)
    if missing:
        raise KubectlError(f"context {missing[0]} not found")


async def current_context(session: Session, arguments: list[str], dash: int) -> None:
    """Run current-context."""
    del arguments, dash
    config = _load(session)
    if not config.current_context:
        raise KubectlError("current-context is not set")
    print(config.current_context)


async def get_clusters(session: Session, arguments: list[str], dash: int) -> None:
    """Run get-clusters."""
    del arguments, dash
    print("\n".join(["NAME", *sorted(_load(session).clusters)]))


async def get_users(session: Session, arguments: list[str], dash: int) -> None:
    """Run get-users."""
    del arguments, dash
    print("\n".join(["NAME", *sorted(_load(session).users)]))


def _name(arguments: list[str], command: str) -> str:
    if len(arguments) != 1:
        raise KubectlError(
            f"Unexpected args: [{' '.join(arguments)}]\nSee 'kubectl config {command} -h' for help and examples"
        )
    return arguments[0]


async def use_context(session: Session, arguments: list[str], dash: int) -> None:
    """Run use-context."""
    del dash
    name = _name(arguments, "use-context")
    if name not in _load(session).contexts:
        raise KubectlError(f'no context exists with the name: "{name}"')
    path, config = _change(session)
    config.current_context = name
    kubeconfig.write(path, config)
    print(f'Switched to context "{name}".')


async def set_context(session: Session, arguments: list[str], dash: int) -> None:
    """Run set-context."""
    del dash
    values = session.values
    path, config = _change(session)
    name = config.current_context if values.current else _name(arguments, "set-context")
    if not name:
        raise KubectlError("no current context is set")
    context = dict(config.contexts.get(name) or {})
    verb = "modified" if name in config.contexts else "created"
    for flag in ("cluster", "namespace", "user"):
        if flag in values.changed:
            context[flag] = values.get(flag)
    config.contexts[name] = {key: value for key, value in context.items() if value}
    kubeconfig.write(path, config)
    print(f'Context "{name}" {verb}.')


async def set_cluster(session: Session, arguments: list[str], dash: int) -> None:
    """Run set-cluster."""
    del dash
    values = session.values
    path, config = _change(session)
    name = _name(arguments, "set-cluster")
    cluster = dict(config.clusters.get(name) or {})
    if "server" in values.changed:
        cluster["server"] = values.server
    if "insecure-skip-tls-verify" in values.changed:
        cluster["insecure-skip-tls-verify"] = values.insecure_skip_tls_verify
    if "tls-server-name" in values.changed:
        cluster["tls-server-name"] = values.tls_server_name
    _set_file(session, cluster, "certificate-authority")
    config.clusters[name] = {key: value for key, value in cluster.items() if value}
    kubeconfig.write(path, config)
    print(f'Cluster "{name}" set.')


async def set_credentials(session: Session, arguments: list[str], dash: int) -> None:
    """Run set-credentials."""
    del dash
    values = session.values
    path, config = _change(session)
    name = _name(arguments, "set-credentials")
    user = dict(config.users.get(name) or {})
    for flag in ("token", "username", "password"):
        if flag in values.changed:
            user[flag] = values.get(flag)
    for flag in ("client-certificate", "client-key"):
        _set_file(session, user, flag)
    config.users[name] = {key: value for key, value in user.items() if value}
    kubeconfig.write(path, config)
    print(f'User "{name}" set.')


def _set_file(session: Session, entry: Object, flag: str) -> None:
    values = session.values
    if flag not in values.changed:
        return
    path = Path(values.get(flag)).absolute()
    if values.embed_certs:
        try:
            entry[_DATA[flag]] = base64.b64encode(path.read_bytes()).decode()
        except OSError as error:
            raise KubectlError(f"could not read {flag} data from {path}: {error.strerror}") from error
        entry.pop(flag, None)
    else:
        entry[flag] = str(path)
        entry.pop(_DATA[flag], None)


def _deleter(section: str, word: str) -> Any:
    async def delete(session: Session, arguments: list[str], dash: int) -> None:
        del dash
        name = _name(arguments, f"delete-{word}")
        path, config = _change(session)
        entries: dict[str, Object] = getattr(config, section)
        if name not in entries:
            raise KubectlError(f"cannot delete {word} {name}, not in {path}")
        if section == "contexts" and config.current_context == name:
            print(
                'warning: this removed your active context, use "kubectl config use-context" to select a different one'
            )
        del entries[name]
        kubeconfig.write(path, config)
        print(f"deleted {word} {name} from {path}")

    return delete


async def rename_context(session: Session, arguments: list[str], dash: int) -> None:
    """Run rename-context."""
    del dash
    if len(arguments) != 2:
        raise KubectlError(
            f"Unexpected args: [{' '.join(arguments)}]\nSee 'kubectl config rename-context -h' for help and examples"
        )
    old, new = arguments
    path, config = _change(session)
    if old not in config.contexts:
        raise KubectlError(f'cannot rename the context "{old}", it\'s not in {path}')
    if new in config.contexts:
        raise KubectlError(f'cannot rename the context "{old}", the context "{new}" already exists in {path}')
    config.contexts[new] = config.contexts.pop(old)
    if config.current_context == old:
        config.current_context = new
    kubeconfig.write(path, config)
    print(f'Context "{old}" renamed to "{new}".')


async def _help(session: Session, arguments: list[str], dash: int) -> None:
    del session, dash
    if arguments:
        raise KubectlError(f"unknown command \"{arguments[0]}\"\nSee 'kubectl config -h' for help and examples")
    print(CONFIG.help("kubectl config"))


_EMBED = Flag(name="embed-certs", kind="bool", help="Put the files' content into the kubeconfig.")
_NO_HEADERS = Flag(name="no-headers", kind="bool", help="Leave the header out.")
_SUBCOMMANDS = {
    "view": Command(
        name="view",
        short="Show merged kubeconfig settings.",
        run=view,
        flags=(
            *OUTPUT_FLAGS,
            Flag(name="flatten", kind="bool", help="Put files' content into the output."),
            Flag(name="minify", kind="bool", help="Only what the current context uses."),
            Flag(name="merge", kind="bool", default=True, help="Accepted for compatibility."),
            Flag(name="raw", kind="bool", help="Show certificates and secrets."),
        ),
    ),
    "get-contexts": Command(
        name="get-contexts", short="Describe contexts.", run=get_contexts, flags=(OUTPUT_FLAGS[0], _NO_HEADERS)
    ),
    "current-context": Command(name="current-context", short="Display the current context.", run=current_context),
    "get-clusters": Command(name="get-clusters", short="Display clusters.", run=get_clusters),
    "get-users": Command(name="get-users", short="Display users.", run=get_users),
    "use-context": Command(name="use-context", short="Set the current context.", usage="CONTEXT_NAME", run=use_context),
    "set-context": Command(
        name="set-context",
        short="Set a context entry.",
        usage="[NAME | --current]",
        run=set_context,
        flags=(Flag(name="current", kind="bool", help="Change the current context."),),
    ),
    "set-cluster": Command(
        name="set-cluster", short="Set a cluster entry.", usage="NAME", run=set_cluster, flags=(_EMBED,)
    ),
    "set-credentials": Command(
        name="set-credentials", short="Set a user entry.", usage="NAME", run=set_credentials, flags=(_EMBED,)
    ),
    "delete-context": Command(
        name="delete-context", short="Delete a context.", usage="NAME", run=_deleter("contexts", "context")
    ),
    "delete-cluster": Command(
        name="delete-cluster", short="Delete a cluster.", usage="NAME", run=_deleter("clusters", "cluster")
    ),
    "delete-user": Command(name="delete-user", short="Delete a user.", usage="NAME", run=_deleter("users", "user")),
    "rename-context": Command(
        name="rename-context", short="Rename a context.", usage="CONTEXT_NAME NEW_NAME", run=rename_context
    ),
}
_SUBCOMMANDS["use"] = _SUBCOMMANDS["use-context"]
CONFIG = Command(
    name="config", short="Modify kubeconfig files.", usage="SUBCOMMAND", run=_help, subcommands=_SUBCOMMANDS
)
