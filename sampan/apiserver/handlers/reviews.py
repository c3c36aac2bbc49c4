"""Reviews: questions about users, tokens and rights that are answered at once and stored nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.api import errors, field
from sampan.api.errors import BadRequest
from sampan.api.gvk import GroupVersionKind
from sampan.apiserver.authn.user import User
from sampan.apiserver.authz.interface import Attributes
from sampan.apiserver.handlers import body as bodies
from sampan.apiserver.options import write_options
from sampan.apiserver.registry import metadata as meta
from sampan.apiserver.registry import ownership
from sampan.apiserver.registry.write import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from sampan.api.object import Object
    from sampan.apiserver.authn.authenticator import Authenticator
    from sampan.apiserver.authz.interface import Authorizer
    from sampan.apiserver.authz.rbac import RBACAuthorizer
    from sampan.apiserver.handlers.call import Call
    from sampan.base.clock import Clock

_AUTHENTICATION, _AUTHORIZATION = "authentication.k8s.io", "authorization.k8s.io"


class Reviews:
    """Handlers of the virtual resources of authentication.k8s.io and authorization.k8s.io."""

    def __init__(
        self, authorizer: Authorizer, rbac: RBACAuthorizer, authenticator: Callable[[], Authenticator], clock: Clock
    ) -> None:
        self._authorizer = authorizer
        self._rbac = rbac
        self._authenticator = authenticator
        self._clock = clock

    def table(self) -> dict[tuple[str, str], Callable[[Any], Any]]:
        """Handlers by group and resource."""
        return {
            (_AUTHENTICATION, "selfsubjectreviews"): self.self_subject,
            (_AUTHENTICATION, "tokenreviews"): self.token,
            (_AUTHORIZATION, "selfsubjectaccessreviews"): self.self_access,
            (_AUTHORIZATION, "subjectaccessreviews"): self.access,
            (_AUTHORIZATION, "localsubjectaccessreviews"): self.local_access,
            (_AUTHORIZATION, "selfsubjectrulesreviews"): self.rules,
        }

    def _decode(self, call: Call, kind: str) -> Object:
        gvk = GroupVersionKind(call.info.group, call.info.version, kind)
        options = write_options(call.query, "CreateOptions")
        obj = bodies.decode(call, gvk, options.field_validation)
        ownership.virtual(gvk, obj, manager=call.manager(options.field_manager), subresource="", clock=self._clock)
        return obj

    def self_subject(self, call: Call) -> Outcome:
        """Say who asks."""
        obj = self._decode(call, "SelfSubjectReview")
        obj["metadata"]["creationTimestamp"] = meta.now_text(self._clock.time())
        obj["status"] = {"userInfo": call.user.info}
        return _answer(obj)

    def token(self, call: Call) -> Outcome:
        """Say whose a token is."""
        obj = self._decode(call, "TokenReview")
        spec = obj.get("spec") or {}
        if not spec.get("token"):
            raise BadRequest("token is required for TokenReview in authentication")
        found = self._authenticator().review(spec["token"], spec.get("audiences") or ())
        status: Object = {}
        if found.user is not None:
            status["authenticated"] = True
            status["user"] = found.user.info
            status["audiences"] = found.audiences
        else:
            status["user"] = {}
            if found.error:
                status["error"] = found.error
        obj["status"] = status
        return _answer(obj)

    def self_access(self, call: Call) -> Outcome:
        """Say whether the user may do something."""
        obj = self._decode(call, "SelfSubjectAccessReview")
        _check(_check_attributes(obj.get("spec") or {}))
        return self._decide(obj, call.user)

    def access(self, call: Call) -> Outcome:
        """Say whether some user may do something."""
        obj = self._decode(call, "SubjectAccessReview")
        spec = obj.get("spec") or {}
        _check(_check_attributes(spec) + _check_subject(spec))
        return self._decide(obj, _user_of(spec))

    def local_access(self, call: Call) -> Outcome:
        """Say whether some user may do something in this namespace."""
        obj = self._decode(call, "LocalSubjectAccessReview")
        spec, metadata = obj.get("spec") or {}, obj.setdefault("metadata", {})
        given = metadata.get("namespace", "")
        if given and given != call.info.namespace:
            raise BadRequest("the namespace of the provided object does not match the namespace sent on the request")
        metadata["namespace"] = call.info.namespace
        found = _check_attributes(spec) + _check_subject(spec)
        attributes = spec.get("resourceAttributes")
        if attributes is not None and attributes.get("namespace", "") != metadata["namespace"]:
            path = "spec.resourceAttributes.namespace"
            found.append(field.invalid(path, attributes.get("namespace", ""), "must match metadata.namespace"))
        if spec.get("nonResourceAttributes") is not None:
            value = _go_attributes(spec["nonResourceAttributes"])
            found.append(field.invalid("spec.nonResourceAttributes", value, "disallowed on this kind of request"))
        _check(found)
        return self._decide(obj, _user_of(spec))

    def _decide(self, obj: Object, user: User) -> Outcome:
        spec = obj["spec"]
        resource = spec.get("resourceAttributes")
        if resource is not None:
            attributes = Attributes(
                user, resource.get("verb", ""), resource.get("group", ""), resource.get("version", ""),
                resource.get("resource", ""), resource.get("subresource", ""), resource.get("namespace", ""),
                resource.get("name", ""),
            )  # fmt: skip
        else:
            other = spec["nonResourceAttributes"]
            attributes = Attributes(user, other.get("verb", ""), path=other.get("path", ""), is_resource=False)
        decision = self._authorizer.authorize(attributes)
        status: Object = {"allowed": decision.allowed}
        if decision.denied:
            status["denied"] = True
        if decision.reason:
            status["reason"] = decision.reason
        obj["status"] = status
        return _answer(obj)

    def rules(self, call: Call) -> Outcome:
        """Say what the user may do in a namespace."""
        obj = self._decode(call, "SelfSubjectRulesReview")
        namespace = (obj.get("spec") or {}).get("namespace", "")
        if not namespace:
            raise BadRequest("no namespace on request")
        found, problem = self._rbac.rules_for(call.user, namespace)
        keys = ("verbs", "apiGroups", "resources", "resourceNames")
        resources = [{key: rule[key] for key in keys if rule.get(key)} for rule in found if rule.get("resources")]
        others = [
            {key: rule[key] for key in ("verbs", "nonResourceURLs") if rule.get(key)}
            for rule in found
            if rule.get("nonResourceURLs")
        ]
        is_node = bool(call.user.node_name)
        status: Object = {
            "resourceRules": resources,
            "nonResourceRules": others,
            "incomplete": is_node or bool(problem),
        }
        problems = [problem] if problem else []
        if is_node:
            problems.insert(0, "node authorizer does not support user rule resolution")
        if problems:
            status["evaluationError"] = ", ".join(problems)
        obj["status"] = status
        return _answer(obj)


def _answer(obj: Object) -> Outcome:
    return Outcome(201, object=obj, as_is=True)


def _user_of(spec: Object) -> User:
    return User(
        spec.get("user", ""), uid=spec.get("uid", ""), groups=spec.get("groups") or (), extra=spec.get("extra") or {}
    )


def _check(found: list[field.FieldError]) -> None:
    """Raise Invalid as these kinds do: without naming the kind."""
    if found:
        error = errors.invalid(_AUTHORIZATION, "", "", found)
        if error.details is not None:
            error.details.pop("kind", None)
        raise error


def _check_attributes(spec: Object) -> list[field.FieldError]:
    resource, other = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if resource is not None and other is not None:
        detail = "cannot be specified in combination with resourceAttributes"
        return [field.invalid("spec.nonResourceAttributes", _go_attributes(other), detail)]
    if resource is None and other is None:
        detail = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        return [field.invalid("spec.resourceAttributes", None, detail)]
    return _check_selectors(resource) if resource is not None else []


def _check_selectors(resource: Object) -> list[field.FieldError]:
    found: list[field.FieldError] = []
    for key in ("fieldSelector", "labelSelector"):
        selector = resource.get(key)
        if selector is None:
            continue
        path = f"spec.resourceAttributes.{key}"
        raw, requirements = selector.get("rawSelector"), selector.get("requirements")
        if raw and requirements:
            detail = "may not specified at the same time as requirements"
            found.append(field.invalid(f"{path}.rawSelector", raw, detail))
        elif not raw and not requirements:
            found.append(
                field.required(
                    f"{path}.requirements", "when fieldSelector is specified, requirements or rawSelector is required"
                )
            )
    return found


def _check_subject(spec: Object) -> list[field.FieldError]:
    if spec.get("user") or spec.get("groups"):
        return []
    return [field.invalid("spec.user", "", "at least one of user or group must be specified")]


def _go_attributes(attributes: Object) -> Object:
    """NonResourceAttributes as Go prints the internal type."""
    return {"Path": attributes.get("path", ""), "Verb": attributes.get("verb", "")}
