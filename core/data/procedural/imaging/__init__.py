"""How a camera sees layers that move: homographies and compositing."""
