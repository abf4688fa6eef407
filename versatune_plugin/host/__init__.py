"""Everything that leans on private parts of the host, with the versions it was tested on."""
