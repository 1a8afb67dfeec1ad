"""Where things are kept: one interface over a local folder and an S3 bucket."""
