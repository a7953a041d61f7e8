"""Networks of other libraries as models of a configuration."""
