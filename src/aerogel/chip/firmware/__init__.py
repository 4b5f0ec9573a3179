"""Firmware: the device's registers and commands, and the driver that cuts, loads, starts and reads back."""
