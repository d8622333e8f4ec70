"""From windows to masked, packed rows of tokens, in an order that depends on nothing but seed and step."""
