"""Disparities of one arm and between two: their inputs, bounds and rows."""
