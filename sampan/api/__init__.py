"""Kubernetes' API semantics as pure functions: schema, scheme, selectors, quantities, patches, errors. No I/O."""
