"""Breaks a real RabbitMQ under a running fleet: killed and restarted, cut off, silent. Judged as every fault run is."""
