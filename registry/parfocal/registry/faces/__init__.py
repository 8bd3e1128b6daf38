"""The registry's network interfaces."""
