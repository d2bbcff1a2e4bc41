"""Bundles in a browser: an installable, offline site of static files, and a server for it."""
