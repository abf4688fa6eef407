"""What a file or a section may hold: strict types, domain names, one JSON reader, problems in a user's words."""
