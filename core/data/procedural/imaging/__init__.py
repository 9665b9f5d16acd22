"""How a camera sees layers that move: homographies, compositing, sensor."""
