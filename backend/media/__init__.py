"""Reading and writing pictures and videos; every file appears under its final name whole or not at all."""
