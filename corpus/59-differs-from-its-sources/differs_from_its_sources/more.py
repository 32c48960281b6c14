"""The module that only the published wheel has. It does nothing."""
MORE = 43
