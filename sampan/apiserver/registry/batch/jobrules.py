"""What is valid in a job's spec, in jobs and in cron jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import field
from sampan.apiserver.registry.core.podspec.template import pod_template
from sampan.apiserver.registry.validation import gotypes, names, numbers, selectors

if TYPE_CHECKING:
    from sampan.api.field import Path
    from sampan.api.object import Object
    from sampan.apiserver.registry.core.podspec.options import PodOptions
    from sampan.apiserver.registry.validation.names import Errors

_MAX_PARALLEL_INDEXED = 100_000
_MAX_RULES = 20
_MAX_CODES = 255
_MAX_PATTERNS = 20
_ACTIONS = ("Count", "FailIndex", "FailJob", "Ignore")


def is_indexed(spec: Object) -> bool:
    return spec.get("completionMode") == "Indexed"


def job_spec(errors: Errors, path: Path, spec: Object, options: PodOptions) -> None:
    """All but the selector."""
    counts = ("parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished")
    numbers.nonnegative_fields(errors, path, spec, *counts)
    _per_index(errors, path, spec)
    _indexed(errors, path, spec)
    template = spec.get("template") or {}
    if "managedBy" in spec:
        _managed_by(errors, path.child("managedBy"), spec["managedBy"])
    if "podFailurePolicy" in spec:
        _failure_policy(errors, path.child("podFailurePolicy"), spec, template)
    if "successPolicy" in spec:
        _success_policy(errors, path.child("successPolicy"), spec)
    if spec.get("podReplacementPolicy") is not None:
        _replacement(errors, path.child("podReplacementPolicy"), spec)
    pod_template(errors, path.child("template"), template, options)
    restart = (template.get("spec") or {}).get("restartPolicy", "")
    where = path.child("template", "spec", "restartPolicy")
    if restart in ("", "Always") or restart not in ("OnFailure", "Never"):
        # "Always" is defaulted, so the message is that of a value left out.
        detail = 'valid values: "OnFailure", "Never"'
        errors.append(
            field.required(where, detail)
            if restart in ("", "Always")
            else field.not_supported(where, restart, ("OnFailure", "Never"))
        )
    elif "podFailurePolicy" in spec and restart != "Never":
        detail = 'only "Never" is supported when podFailurePolicy is specified'
        errors.append(field.invalid(where, restart, detail))


def _per_index(errors: Errors, path: Path, spec: Object) -> None:
    limit, failed = spec.get("backoffLimitPerIndex"), spec.get("maxFailedIndexes")
    numbers.nonnegative(errors, path.child("backoffLimitPerIndex"), limit)
    numbers.nonnegative(errors, path.child("maxFailedIndexes"), failed)
    if limit is not None and not is_indexed(spec):
        errors.append(field.invalid(path.child("backoffLimitPerIndex"), limit, "requires indexed completion mode"))
    if failed is not None and limit is None:
        detail = "when maxFailedIndexes is specified"
        errors.append(field.required(path.child("backoffLimitPerIndex"), detail))


def _indexed(errors: Errors, path: Path, spec: Object) -> None:  # noqa: C901 - one check a field
    mode = spec.get("completionMode")
    if mode is None:
        return
    if mode not in ("NonIndexed", "Indexed"):
        errors.append(field.not_supported(path.child("completionMode"), mode, ("NonIndexed", "Indexed")))
        return
    if mode != "Indexed":
        return
    completions, parallelism = spec.get("completions"), spec.get("parallelism", 0)
    if completions is None:
        errors.append(field.required(path.child("completions"), "when completion mode is Indexed"))
    if parallelism > _MAX_PARALLEL_INDEXED:
        detail = f"must be less than or equal to {_MAX_PARALLEL_INDEXED} when completion mode is Indexed"
        errors.append(field.invalid(path.child("parallelism"), parallelism, detail))
    failed = spec.get("maxFailedIndexes")
    if completions is None:
        return
    if failed is not None and failed > completions:
        detail = "must be less than or equal to completions"
        errors.append(field.invalid(path.child("maxFailedIndexes"), failed, detail))
    if failed is not None and failed > 100_000:
        errors.append(field.invalid(path.child("maxFailedIndexes"), failed, "must be less than or equal to 100000"))
    if "backoffLimitPerIndex" in spec and completions > 100_000:
        if failed is None:
            detail = "must be specified when completions is above 100000"
            errors.append(field.required(path.child("maxFailedIndexes"), detail))
        if parallelism > 10_000:
            detail = (
                "must be less than or equal to 10000 when completions are above "
                "100000 and used with backoff limit per index"
            )
            errors.append(field.invalid(path.child("parallelism"), parallelism, detail))
        if failed is not None and failed > 10_000:
            detail = (
                "must be less than or equal to 10000 when completions are above "
                "100000 and used with backoff limit per index"
            )
            errors.append(field.invalid(path.child("maxFailedIndexes"), failed, detail))


def _managed_by(errors: Errors, path: Path, value: str) -> None:
    domain, slash, rest = value.partition("/")
    if not slash or not rest:
        errors.append(field.invalid(path, value, 'must be a domain-prefixed path (such as "acme.io/foo")'))
        return
    names.dns_subdomain(errors, path, domain)
    if len(value) > 63:
        errors.append(field.too_long(path, value, 63))


def _replacement(errors: Errors, path: Path, spec: Object) -> None:
    value = spec["podReplacementPolicy"]
    if "podFailurePolicy" in spec:
        names.one_of(errors, path, value, ("Failed",))
    else:
        names.one_of(errors, path, value, ("Failed", "TerminatingOrFailed"))


def _failure_policy(errors: Errors, path: Path, spec: Object, template: Object) -> None:
    rules = spec["podFailurePolicy"].get("rules") or []
    here = path.child("rules")
    if len(rules) > _MAX_RULES:
        errors.append(field.too_many(here, len(rules), _MAX_RULES))
    pod = template.get("spec") or {}
    known = {one.get("name") for kind in ("containers", "initContainers") for one in pod.get(kind) or ()}
    for position, rule in enumerate(rules):
        _failure_rule(errors, here.index(position), rule, spec, known)


def _failure_rule(errors: Errors, path: Path, rule: Object, spec: Object, known: set[str]) -> None:
    action = rule.get("action", "")
    if not action:
        names.one_of_required(errors, path.child("action"), action, _ACTIONS)
        errors[-1].detail = 'valid values: "Count", "FailIndex", "FailJob", "Ignore"'
    elif action == "FailIndex" and "backoffLimitPerIndex" not in spec:
        errors.append(field.invalid(path.child("action"), action, "requires the backoffLimitPerIndex to be set"))
    elif action not in _ACTIONS:
        errors.append(field.not_supported(path.child("action"), action, _ACTIONS))
    codes, conditions = rule.get("onExitCodes"), rule.get("onPodConditions") or []
    if codes is not None:
        _exit_codes(errors, path.child("onExitCodes"), codes, known)
    if len(conditions) > _MAX_PATTERNS:
        errors.append(field.too_many(path.child("onPodConditions"), len(conditions), _MAX_PATTERNS))
    for position, one in enumerate(conditions):
        where = path.child("onPodConditions").index(position)
        names.qualified_name(errors, where.child("type"), one.get("type", ""))
        names.one_of_required(errors, where.child("status"), one.get("status", ""), ("False", "True", "Unknown"))
    if codes is not None and conditions:
        shown = gotypes.internal("batch.v1.PodFailurePolicyRule", rule)
        detail = "specifying both OnExitCodes and OnPodConditions is not supported"
        errors.append(field.invalid(path, shown, detail))
    if codes is None and not conditions:
        shown = gotypes.internal("batch.v1.PodFailurePolicyRule", rule)
        errors.append(field.invalid(path, shown, "specifying one of OnExitCodes and OnPodConditions is required"))


def _exit_codes(errors: Errors, path: Path, codes: Object, known: set[str]) -> None:
    operator, values = codes.get("operator", ""), codes.get("values") or []
    if not operator:
        errors.append(field.required(path.child("operator"), 'valid values: "In", "NotIn"'))
    else:
        names.one_of(errors, path.child("operator"), operator, ("In", "NotIn"))
    container = codes.get("containerName")
    if container is not None and container not in known:
        errors.append(
            field.invalid(
                path.child("containerName"),
                container,
                "must be one of the container or initContainer names in the pod template",
            )
        )
    where = path.child("values")
    if not values:
        errors.append(field.invalid(where, values, "at least one value is required"))
    elif len(values) > _MAX_CODES:
        errors.append(field.too_many(where, len(values), _MAX_CODES))
    ordered = True
    seen: set[int] = set()
    for position, value in enumerate(values):
        if operator == "In" and value == 0:
            detail = "must not be 0 for the In operator"
            errors.append(field.invalid(where.index(position), value, detail))
        if value in seen:
            errors.append(field.duplicate(where.index(position), value))
        elif position and values[position - 1] > value:
            ordered = False
        seen.add(value)
    if not ordered:
        errors.append(field.invalid(where, values, "must be ordered"))


def _success_policy(errors: Errors, path: Path, spec: Object) -> None:
    if not is_indexed(spec):
        errors.append(field.invalid(path, spec["successPolicy"], "requires indexed completion mode"))
        return
    rules = spec["successPolicy"].get("rules") or []
    where = path.child("rules")
    if not rules:
        errors.append(field.required(where, "at least one rules must be specified when the successPolicy is specified"))
    if len(rules) > _MAX_RULES:
        errors.append(field.too_many(where, len(rules), _MAX_RULES))
    for position, rule in enumerate(rules):
        _success_rule(errors, where.index(position), rule, spec.get("completions") or 0)


def _success_rule(errors: Errors, path: Path, rule: Object, completions: int) -> None:
    count, indexes = rule.get("succeededCount"), rule.get("succeededIndexes")
    if count is None and indexes is None:
        detail = "at least one of succeededCount or succeededIndexes must be specified"
        errors.append(field.required(path, detail))
    total = completions
    if indexes is not None:
        where = path.child("succeededIndexes")
        if len(indexes) > 64 * 1024:
            errors.append(field.too_long(where, indexes, 64 * 1024))
        parsed, fault = _count_indexes(indexes, completions)
        if fault:
            errors.append(field.invalid(where, indexes, f"error parsing succeededIndexes: {fault}"))
        else:
            total = parsed
    if count is not None:
        where = path.child("succeededCount")
        numbers.nonnegative(errors, where, count)
        if count > completions:
            errors.append(
                field.invalid(
                    where, count, f"must be less than or equal to {completions} (the number of specified completions)"
                )
            )
        if indexes is not None and count > total:
            errors.append(
                field.invalid(
                    where,
                    count,
                    (
                        f"must be less than or equal to {total} (the number of indexes "
                        "in the specified succeededIndexes field)"
                    ),
                )
            )


def _count_indexes(text: str, completions: int) -> tuple[int, str]:
    """Count the indexes of ``1,3-5``; with what is wrong with the text, if anything."""
    if not text:
        return 0, ""
    total, last = 0, -1
    for part in text.split(","):
        bounds = part.split("-")
        if len(bounds) > 2:
            return (
                0,
                (
                    f"the fragment {field.go_quote(part)} violates the requirement that an index "
                    "interval can have at most two parts separated by '-'"
                ),
            )
        values = []
        for bound in bounds:
            if not (bound.isascii() and bound.isdigit()):
                return 0, f"cannot convert string to integer for index: {field.go_quote(bound)}"
            if int(bound) >= completions:
                return 0, f"too large index: {field.go_quote(bound)}"
            values.append(int(bound))
        if values[0] <= last:
            return 0, f"non-increasing order, previous: {last}, current: {values[0]}"
        if len(values) == 2 and values[1] <= values[0]:
            return 0, f"non-increasing order, previous: {values[0]}, current: {values[1]}"
        total += values[-1] - values[0] + 1
        last = values[-1]
    return total, ""


def selector(errors: Errors, path: Path, spec: Object) -> None:
    """The selector of a job, generated or the user's own."""
    value = spec.get("selector")
    if value is None:
        errors.append(field.required(path.child("selector")))
    else:
        selectors.label_selector(errors, path.child("selector"), value)
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels") or None
    if value is None or (selectors.is_valid(value) and not selectors.selector_matches(value, labels or {})):
        where = path.child("template", "metadata", "labels")
        errors.append(field.invalid(where, gotypes.string_map(labels), "`selector` does not match template `labels`"))
