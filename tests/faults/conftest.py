def pytest_configure(config):
    config.addinivalue_line("markers", "slow: starts a whole fleet and breaks it")
