"""The parts of `benches/versus-kafka`: brokers, rows, measuring, plots, the page."""
