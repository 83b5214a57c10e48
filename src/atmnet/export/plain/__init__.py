"""Networks in plain operations, for runtimes without our operators."""
