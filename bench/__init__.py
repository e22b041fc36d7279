"""Measures Netlodge beside the servers it is compared with: `make bench`, explained in bench/README.md."""
