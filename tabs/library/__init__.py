"""What is kept: history and projects."""
