"""The three grammars, and the plain data they share."""
