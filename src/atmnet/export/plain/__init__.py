"""Networks rewritten in plain operations, for runtimes that have no operator of ours."""
