"""What people decided about pictures, and which pictures are asked for in the place of rejected ones. Append-only."""
