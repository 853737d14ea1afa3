"""Red, green and blue without torch, alike for pictures and the textures of meshes: luma, hue, jitter.

Colours are float32 [..., 3], in units of full scale.
"""
