"""Names, versions and aliases: which digest each stands for, now and before."""
