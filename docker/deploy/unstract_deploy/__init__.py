"""Rolls the workers out on one machine, one at a time, and back again if the new ones do not get healthy.

It runs where nothing but Python 3.11 and a container engine is installed, so it uses the standard library alone.
"""
