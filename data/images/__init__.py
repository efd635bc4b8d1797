"""Encoded bytes to pictures: the decode policy, images from anywhere, drawings."""
