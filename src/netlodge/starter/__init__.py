"""What a new lodge begins with: a small site (`www`), and an application written for the lodge itself (`shop`)."""
