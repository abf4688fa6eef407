"""Files that runs leave and read: knowledge, reference losses, journals, records."""
