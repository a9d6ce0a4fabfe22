"""What the workers are compared with. Each module runs in a process of its own and knows only its environment."""
