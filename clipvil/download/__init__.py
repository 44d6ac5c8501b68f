"""Published files from their servers: gone on with, checked, and only then put in their place."""
