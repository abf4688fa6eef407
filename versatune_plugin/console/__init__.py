"""Tables and pictures: all that is printed and drawn."""
