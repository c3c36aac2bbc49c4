"""The API server: HTTP, authentication, authorization, admission, the generic registry, storage, discovery."""
