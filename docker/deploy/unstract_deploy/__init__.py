"""Rolls the workers out on one machine, one container at a time, and back if the new ones do not get ready.

It runs where nothing but Python 3.11 and a container engine is installed, so it uses the standard library alone.
"""
