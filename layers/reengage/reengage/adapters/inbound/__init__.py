"""The forms in which the outside speaks, one module each, read into the domain's values or rejected by field."""
