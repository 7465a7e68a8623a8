// Filled by its first room.
