"""One module per verb: what a request does once it is authenticated and authorized."""
