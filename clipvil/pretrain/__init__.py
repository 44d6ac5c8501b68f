"""How the shipped encoders were made: from scratch on the embedded world."""
