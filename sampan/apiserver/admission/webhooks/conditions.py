"""Match conditions of webhooks: CEL expressions that all must hold before a webhook is called.

Behaviour: k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions: one that is false skips the webhook, however
others fail; else one that fails counts as the webhook's failure policy says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import errors
from sampan.base.errors import SampanError

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.apiserver.admission.interface import AdmissionRequest
    from sampan.apiserver.admission.webhooks.hooks import Hook
    from sampan.apiserver.admission.webhooks.matching import Invocation
    from sampan.apiserver.authz.interface import Authorizer


def matches(  # noqa: PLR0917 - one caller
    hook: Hook, invocation: Invocation, request: AdmissionRequest, authorizer: Authorizer, obj: Object | None,
    old: Object | None,
) -> bool:  # fmt: skip
    """Whether the hook's conditions hold. Raises Forbidden when they fail and the policy is Fail."""
    from sampan.apiserver.admission import expressions  # noqa: PLC0415 - CEL only where it is used

    problems: list[str] = []
    variables = expressions.admission_variables(request, invocation.resource, invocation.kind, authorizer, obj, old)
    for condition in hook.conditions:
        try:
            value = expressions.evaluate(hook.memo, condition["expression"], variables)
        except SampanError as error:
            problems.append(f"expression '{condition['expression']}' resulted in error: {error}")
            continue
        if value is not True:
            return False
    if not problems:
        return True
    if hook.ignores_failures:
        return False
    listed = problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"
    raise errors.forbidden(request.resource, request.name, listed)
