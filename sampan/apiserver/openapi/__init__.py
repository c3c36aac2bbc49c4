"""OpenAPI v2 and v3, as kube-apiserver serves them."""

from sampan.apiserver.openapi.documents import OpenAPI, OpenAPIDocument, Part, Redirect

__all__ = ["OpenAPI", "OpenAPIDocument", "Part", "Redirect"]
