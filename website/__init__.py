"""The pages of the documentation's site that are made from the source: reference of Python, commands and recipes."""
