"""What `listbridge demo` shows: a shop made from real purchases, and a day in its life."""
