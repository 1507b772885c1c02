"""Demo: handwritten digits on photographs, with known boxes, and a small network for them."""
