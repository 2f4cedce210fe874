"""What runs leave of their networks: written, and read again without running code."""
