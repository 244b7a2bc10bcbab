"""Devices, groups of processes, memory and speed; knows no models."""
