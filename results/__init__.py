"""The results that ship with the project: README.md says what is here and what wrote it."""
