"""Data sets written in other formats."""

from atmnet.conversion.convert import convert

__all__ = ["convert"]
