"""The page of a listening test for those who have a link to it and nothing else."""
