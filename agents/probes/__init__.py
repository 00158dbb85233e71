"""Finding what is attached to a host, one probe a kind of attachment."""
