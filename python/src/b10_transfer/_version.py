"""The version, in the one place that the build reads; a test compares it with package.json."""

__version__ = "0.5.0"
