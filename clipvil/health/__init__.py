"""Whether an encoder is what it says: small checks, each against a fault that has happened."""
