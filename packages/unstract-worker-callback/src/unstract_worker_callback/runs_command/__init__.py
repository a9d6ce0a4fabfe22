"""The command `runs`: what is open, one run in detail, another look now, an abort. Imported when it is asked for."""
