"""Reads answers as a careful human does, however they are decorated; what names no single answer is not read."""
