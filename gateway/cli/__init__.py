"""The command line: ``gateway --help``."""

from gateway.cli.main import main

__all__ = ["main"]
