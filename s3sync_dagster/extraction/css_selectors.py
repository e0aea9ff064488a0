"""Compiles the patterns of bs4's CSS parser, which does so at its first selector.

Imported by the forker: every web page is read in a fresh fork, and each would pay it again, 0.13
CPU-seconds.
"""

import soupsieve

soupsieve.compile("p > p")
