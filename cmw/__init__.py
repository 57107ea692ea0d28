"""cmw: how many calls does a PBX, SBC or trunk hold, and how do they sound?"""

__version__ = "0.1.0"
