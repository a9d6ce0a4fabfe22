"""Commands for operators; `run` never imports them."""
