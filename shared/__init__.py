"""What both frameworks share: skeletons, architectures, weights, targets, inference and decoding, in NumPy.

Axis letters, used in every docstring: N batch, P persons, K keypoints, L limbs, C channels, H W image, h w map.
Arrays are channels last and float32 unless a docstring says otherwise.  A point is (x, y) in pixels, integer
coordinates are pixel centres; a size is (height, width).
"""
