"""The process that trains. It never opens the store."""
