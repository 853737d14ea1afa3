"""Pictures without torch: normalising, sizes, augmentation, morphology, refinement, features of pixels.

Pictures are [C, Y, X], masks int [Y, X] with −1 where there is no label; sizes are (rows, columns) in pixels.
"""
