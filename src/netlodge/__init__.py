"""Netlodge: one door for a network's web, shared cache, names and mail."""

__version__ = "0.1.0"
