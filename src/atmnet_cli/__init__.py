"""The ``atmnet`` command: its options, its errors and its parser. Imports neither torch nor ``atmnet``."""
