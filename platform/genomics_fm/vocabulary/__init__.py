"""What a token is: byte-pair encoding, overlapping k-mers, and their ensemble."""
