"""Kubernetes' API semantics as pure functions: schema, scheme, selectors, quantities, patches, errors, tables. No I/O."""
