"""Navigation graphs: viewpoints of scanned buildings and the ways between them."""
