"""Where things are in a room, in a street and in open country."""
