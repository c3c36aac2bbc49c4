"""Admission webhooks: mutating and validating, called over HTTPS with AdmissionReviews."""
