"""What comes out: image files, their copies under the shop's names, the ledger, and the run's folder."""
