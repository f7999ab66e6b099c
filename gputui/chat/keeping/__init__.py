"""What outlives the session: conversations in SQLite, searched, exported."""
