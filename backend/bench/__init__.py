"""Speed and memory, measured: the ratios of ``python3 -m backend bench`` on any machine, and foundation models of full
size with random weights on a card (``python3 -m backend.bench.foundation``). docs/performance.md says how and what."""
