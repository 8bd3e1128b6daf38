"""The stand's parts, one file each: `measure` tells what it found."""
