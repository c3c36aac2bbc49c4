"""ValidatingAdmissionPolicy and MutatingAdmissionPolicy: admission in CEL, with bindings and parameters."""
