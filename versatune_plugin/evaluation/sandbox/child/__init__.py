"""A folder that a bare interpreter runs (`__main__`): nothing in it imports the package."""
