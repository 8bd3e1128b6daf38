"""The generated messages and stubs of the wire. Edit the protos, then run `make protos`."""
