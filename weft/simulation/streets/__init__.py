"""Simulated pictures of streets, with the class of each pixel: what a segmentation of images is shown on."""
