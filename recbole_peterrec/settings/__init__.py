"""What a user may set: how it is written, read, checked and merged, before there is a config."""
