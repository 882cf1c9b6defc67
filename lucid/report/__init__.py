"""What `compiled.explain()` and `compiled.profile()` tell: records, with their text; how they are made."""
