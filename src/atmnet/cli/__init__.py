"""One module per command; the parser itself is in ``atmnet_cli``, which loads these only when they run."""
