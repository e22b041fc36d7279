"""Settings: one typed tree with a default for every key, read from one TOML file and the command line.

`settings` has the tree, `loading` reads it, `doors` lists the addresses, `reference` explains the keys.
"""
