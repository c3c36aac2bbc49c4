"""Describing autoscalers, disruption budgets and certificate signing requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.kubectl.describe.events import events_of, write_events
from sampan.kubectl.describe.writer import rfc1123, selector_text

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.kubectl.describe.writer import Writer
    from sampan.kubectl.session import Session

_UNKNOWN = "<unknown>"


async def describe_autoscaler(session: Session, writer: Writer, obj: Object, *, events: bool) -> None:
    """Describe a HorizontalPodAutoscaler (autoscaling/v2)."""
    meta, spec, status = obj["metadata"], obj["spec"], obj.get("status") or {}
    found = await events_of(session, obj) if events else None
    writer.metadata(obj)
    writer.write(0, f"CreationTimestamp:\t{rfc1123(meta.get('creationTimestamp'))}\n")
    target = spec["scaleTargetRef"]
    writer.write(0, f"Reference:\t{target['kind']}/{target['name']}\n")
    writer.write(0, "Metrics:\t( current / target )\n")
    current = status.get("currentMetrics") or []
    for index, metric in enumerate(spec.get("metrics") or []):
        _write_metric(writer, metric, current[index] if index < len(current) else {})
    writer.write(0, f"Min replicas:\t{spec.get('minReplicas', '<unset>')}\n")
    writer.write(0, f"Max replicas:\t{spec['maxReplicas']}\n")
    writer.write(0, f"{target['kind']} pods:\t{status.get('currentReplicas', 0)} current / "
                    f"{status.get('desiredReplicas', 0)} desired\n")  # fmt: skip
    if status.get("conditions"):
        writer.write(0, "Conditions:\n")
        writer.write(1, "Type\tStatus\tReason\tMessage\n")
        writer.write(1, "----\t------\t------\t-------\n")
        for one in status["conditions"]:
            writer.write(1, f"{one['type']}\t{one['status']}\t{one.get('reason', '')}\t{one.get('message', '')}\n")
    write_events(writer, found)


def _write_metric(writer: Writer, metric: Object, status: Object) -> None:
    kind = metric["type"]
    field = kind[0].lower() + kind[1:]
    source: Object = metric.get(field) or {}
    current: Object = (status.get(field) or {}).get("current") or {}
    target: Object = source.get("target") or {}
    if kind in ("Resource", "ContainerResource"):
        where = f" of container {source['container']!r}".replace("'", '"') if kind == "ContainerResource" else ""
        title = f"resource {source['name']}{where} on pods"
        if target.get("averageValue") is not None:
            writer.write(1, f"{title}:\t{current.get('averageValue', _UNKNOWN)} / {target['averageValue']}\n")
            return
        now = _UNKNOWN
        if current.get("averageUtilization") is not None:
            now = f"{current['averageUtilization']}% ({current.get('averageValue', '0')})"
        goal = "<auto>" if target.get("averageUtilization") is None else f"{target['averageUtilization']}%"
        writer.write(1, f"{title}  (as a percentage of request):\t{now} / {goal}\n")
        return
    name = f'"{(source.get("metric") or {}).get("name", "")}"'
    shown = {"Pods": f"{name} on pods", "External": f"{name} (target {_words(target)})"}.get(kind)
    if shown is None:
        described = source.get("describedObject") or {}
        shown = f"{name} on {described.get('kind')}/{described.get('name')} (target {_words(target)})"
    key = "averageValue" if target.get("averageValue") is not None else "value"
    writer.write(1, f"{shown}:\t{current.get(key, _UNKNOWN)} / {target.get(key)}\n")


def _words(target: Object) -> str:
    return "average value" if target.get("averageValue") is not None else "value"


async def describe_disruption_budget(session: Session, writer: Writer, obj: Object, *, events: bool) -> None:
    """Describe a PodDisruptionBudget."""
    spec, status = obj["spec"], obj.get("status") or {}
    found = await events_of(session, obj) if events else None
    writer.write(0, f"Name:\t{obj['metadata']['name']}\nNamespace:\t{obj['metadata']['namespace']}\n")
    if "minAvailable" in spec:
        writer.write(0, f"Min available:\t{spec['minAvailable']}\n")
    elif "maxUnavailable" in spec:
        writer.write(0, f"Max unavailable:\t{spec['maxUnavailable']}\n")
    selector = spec.get("selector")
    writer.write(0, f"Selector:\t{'<unset>' if selector is None else selector_text(selector)}\n")
    writer.write(0, "Status:\n")
    for title, field in (("Allowed disruptions", "disruptionsAllowed"), ("Current", "currentHealthy"),
                         ("Desired", "desiredHealthy"), ("Total", "expectedPods")):  # fmt: skip
        writer.write(2, f"{title}:\t{status.get(field, 0)}\n")
    write_events(writer, found)


async def describe_signing_request(session: Session, writer: Writer, obj: Object, *, events: bool) -> None:
    """Describe a CertificateSigningRequest."""
    meta, spec, status = obj["metadata"], obj["spec"], obj.get("status") or {}
    found = await events_of(session, obj) if events else None
    writer.write(0, f"Name:\t{meta['name']}\n")
    labels: dict[str, Any] = meta.get("labels") or {}
    writer.write(0, f"Labels:\t{','.join(f'{key}={value}' for key, value in sorted(labels.items())) or '<none>'}\n")
    annotations = meta.get("annotations") or {}
    shown = ",".join(f"{key}={value}" for key, value in sorted(annotations.items())) or "<none>"
    writer.write(0, f"Annotations:\t{shown}\n")
    writer.write(0, f"CreationTimestamp:\t{rfc1123(meta.get('creationTimestamp'))}\n")
    writer.write(0, f"Requesting User:\t{spec.get('username', '')}\n")
    if spec.get("signerName"):
        writer.write(0, f"Signer:\t{spec['signerName']}\n")
    if spec.get("expirationSeconds") is not None:
        writer.write(0, f"Requested Duration:\t{spec['expirationSeconds']}s\n")
    conditions = [one["type"] for one in status.get("conditions") or []]
    text = ",".join(conditions) or "Pending"
    if status.get("certificate"):
        text += ",Issued"
    writer.write(0, f"Status:\t{text}\n")
    _write_subject(writer, spec["request"])
    write_events(writer, found)


def _write_subject(writer: Writer, request: str) -> None:
    import base64  # noqa: PLC0415 - only here

    from cryptography import x509  # noqa: PLC0415 - start-up time
    from cryptography.x509.oid import NameOID  # noqa: PLC0415 - start-up time

    try:
        parsed = x509.load_pem_x509_csr(base64.b64decode(request))
    except ValueError:
        writer.write(0, "\nError parsing CSR\n")
        return
    values = {
        oid: [str(one.value) for one in parsed.subject.get_attributes_for_oid(oid)]
        for oid in (NameOID.COMMON_NAME, NameOID.SERIAL_NUMBER, NameOID.ORGANIZATION_NAME,
                    NameOID.ORGANIZATIONAL_UNIT_NAME, NameOID.COUNTRY_NAME, NameOID.LOCALITY_NAME)
    }  # fmt: skip
    writer.write(0, "Subject:\n")
    writer.write(0, f"\tCommon Name:\t{''.join(values[NameOID.COMMON_NAME][:1])}\n")
    writer.write(0, f"\tSerial Number:\t{''.join(values[NameOID.SERIAL_NUMBER][:1])}\n")
    for title, oid in (("Organization", NameOID.ORGANIZATION_NAME),
                       ("Organizational Unit", NameOID.ORGANIZATIONAL_UNIT_NAME),
                       ("Country", NameOID.COUNTRY_NAME), ("Locality", NameOID.LOCALITY_NAME)):  # fmt: skip
        for value in values[oid]:
            writer.write(0, f"\t{title}:\t{value}\n")
    _write_names(writer, parsed)


def _write_names(writer: Writer, parsed: Any) -> None:
    from cryptography import x509  # noqa: PLC0415 - start-up time

    try:
        names = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return
    writer.write(0, "Subject Alternative Names:\n")
    for title, kind in (("DNS Names", x509.DNSName), ("Email Addresses", x509.RFC822Name),
                        ("URIs", x509.UniformResourceIdentifier), ("IP Addresses", x509.IPAddress)):  # fmt: skip
        found = [str(one) for one in names.get_values_for_type(kind)]
        for index, value in enumerate(found):
            writer.write(0, f"\t{title if index == 0 else ''}{':' if index == 0 else ''}\t{value}\n")
