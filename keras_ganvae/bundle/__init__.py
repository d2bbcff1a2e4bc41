"""A bundle for apps: build, verify, read, sample and benchmark it; its model card and README."""
