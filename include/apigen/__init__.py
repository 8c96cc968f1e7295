# SPDX-License-Identifier: MIT
"""Reads the description of the CUDA driver API (include/api) and writes the code that follows from it."""
