"""People as maps and back: encoding (targets) and decoding live side by side."""
