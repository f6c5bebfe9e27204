"""The server: who may come in, what is served beside the page, how endpoints and files travel."""
