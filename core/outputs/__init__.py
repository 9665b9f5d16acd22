"""What a reconstruction is worth and what it looks like: pictures, videos, scenes, figures."""
