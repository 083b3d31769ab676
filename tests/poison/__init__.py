"""Events and calls that are wrong in every way: none of them is retried without end."""
